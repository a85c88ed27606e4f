"""Frozen records whose values are always checked, and words for a bad value."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union
from typing import get_args as args_of
from typing import get_origin as origin_of

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from stc_core.errors import StcError

F = TypeVar("F", bound="Frozen")
SHOWN_CHARS = 60
"""The most characters of a bad value that a message shows."""
BOUNDS: dict[str, Callable[[Any], str]] = {
    "ge": "{:,} or more".format,
    "gt": "above {:,}".format,
    "le": "{:,} or less".format,
    "lt": "below {:,}".format,
}
TYPES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
}


def _whole(text: str) -> str:
    """The text itself; ValueError if it holds half a character, which UTF-8 lacks."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("whole characters, which UTF-8 can hold") from error
    return text


Words = Annotated[str, AfterValidator(_whole)]
"""A text that can be written to a file."""


class SettingError(StcError):
    """An invalid setting; `place` is the path to it, such as ("tune", "epochs")."""

    def __init__(self, place: tuple[str, ...], *, expected: str, got: str) -> None:
        self.place = place
        super().__init__(".".join(place) or "settings", expected=expected, got=got)

    def __reduce__(self):
        return (_again, (self.place, self.expected, self.got))


def _again(place: tuple[str, ...], expected: str, got: str) -> SettingError:
    return SettingError(place, expected=expected, got=got)


class Frozen(BaseModel):
    """A frozen record; however one is made, its values are checked.

    Invalid values raise a SettingError, which describes the first of them in one
    sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    if not TYPE_CHECKING:  # type checkers know the fields themselves

        def __init__(self, **values: Any) -> None:
            with _in_words(type(self)):
                super().__init__(**values)

        # With this, records inside this one are checked together with it.
        __init__.__pydantic_base_init__ = True

    @classmethod
    def model_validate(cls: type[F], obj: Any, **options: Any) -> F:
        """The record made of a mapping of values."""
        with _in_words(cls):
            return super().model_validate(obj, **options)  # pyright: ignore

    @classmethod
    def model_validate_json(cls: type[F], json_data: Any, **options: Any) -> F:
        """The record made of a JSON object."""
        with _in_words(cls):
            return super().model_validate_json(json_data, **options)  # pyright: ignore

    def changed(self: F, **changes: Any) -> F:
        """The same record with some other values, which are checked.

        pydantic's own copy with an update would accept any value.
        """
        return type(self).model_validate({**dict(self), **changes})


class OneOf:
    """A validator of names: one that is a key of `table` when it is checked.

    Unlike a Literal it takes names that are added to the table later.
    """

    def __init__(self, table: Mapping[str, object]) -> None:
        self.table = table

    def __call__(self, name: str) -> str:
        """`name`; raises ValueError for one that is not in the table."""
        if name not in self.table:
            raise ValueError(self.words())
        return name

    def words(self) -> str:
        """The names that may be given, in words."""
        return " or ".join(self.table)


@contextmanager
def _in_words(model: type[BaseModel]) -> Iterator[None]:
    """Turn pydantic's errors about a record into SettingError."""
    try:
        yield
    except ValidationError as error:
        raise setting_in_words(model, error) from error


def setting_in_words(model: type[BaseModel], error: ValidationError) -> SettingError:
    """The first problem in `error` about a record of class `model`, in words."""
    first = error.errors()[0]
    place, field = _field_at(model, first["loc"])
    got = repr(first["input"])
    got = got if len(got) <= SHOWN_CHARS else f"{got[:SHOWN_CHARS]}…"
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][len(place)])
        known = ", ".join(_model_in(field.annotation, model).model_fields)
        return SettingError((*place, name), expected=f"one of {known}", got=name)
    if first["type"] == "missing":
        return SettingError(place, expected="a value", got="none")
    if first["type"] == "json_invalid":
        return SettingError(place, expected="JSON", got=first["msg"])
    if first["type"] == "value_error":
        return SettingError(
            place, expected=str(first.get("ctx", {}).get("error")), got=got
        )
    return SettingError(place, expected=words_for(field) or first["msg"], got=got)


def _field_at(
    model: type[BaseModel], path: tuple[int | str, ...]
) -> tuple[tuple[str, ...], FieldInfo]:
    """The names along `path` that lead to a field, and that field."""
    place: tuple[str, ...] = ()
    inside, field = model, FieldInfo(annotation=model)
    for part in path:
        fields: Mapping[Any, FieldInfo] = getattr(inside, "model_fields", {})
        if part not in fields:
            break
        place, field = (*place, str(part)), fields[part]
        inside = _model_in(field.annotation, None)
    return place, field


def _model_in(annotation: Any, default: Any) -> Any:
    """The record class among the types of a field; `default` if there is none."""
    for candidate in (annotation, *args_of(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return default


def words_for(field: FieldInfo) -> str | None:
    """The allowed values, such as 'a whole number, 1 or more'; None if unknown."""
    words = _words(field.annotation, field.metadata)
    if field.default is None and origin_of(_bare(field.annotation)[0]) is Literal:
        return words and f"{words}, or none"
    return words


def _bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without None and Annotated, and the notes on it."""
    notes: tuple[Any, ...] = ()
    while True:
        if origin_of(annotation) is Annotated:
            annotation, *more = args_of(annotation)
            notes += tuple(more)
        elif origin_of(annotation) in (Union, UnionType):
            not_none = [one for one in args_of(annotation) if one is not NoneType]
            if len(not_none) != 1:
                return annotation, notes
            annotation = not_none[0]
        else:
            return annotation, notes


def _words(annotation: Any, notes: Any) -> str | None:
    """The allowed values of a type in words, or None."""
    kind, more = _bare(annotation)
    for note in (*notes, *more):
        if isinstance(check := getattr(note, "func", None), OneOf):
            return check.words()
    if model := _model_in(kind, None):
        return f"an object with some of {', '.join(model.model_fields)}"
    if origin_of(kind) is Literal:
        return " or ".join(map(str, args_of(kind)))
    if origin_of(kind) is tuple:
        item, of_item = _bare(args_of(kind)[0])
        if origin_of(item) is Literal:
            return f"some of {', '.join(map(str, args_of(item)))}"
        for note in of_item:
            if isinstance(check := getattr(note, "func", None), OneOf):
                return f"some of {', '.join(check.table)}"
        if model := _model_in(item, None):
            return f"objects with some of {', '.join(model.model_fields)}"
        plural = {int: "whole numbers", float: "numbers", str: "texts"}.get(item)
        return plural and plural + _bounds(of_item)
    return TYPES[kind] + _bounds((*notes, *more)) if kind in TYPES else None


def _bounds(notes: Any) -> str:
    """', above 0 and 1 or less': the limits among the notes on a type."""
    flat = [part for note in notes for part in getattr(note, "metadata", [note])]
    limits = [
        say(getattr(note, name))
        for name, say in BOUNDS.items()
        for note in flat
        if getattr(note, name, None) is not None
    ]
    return f", {' and '.join(limits)}" if limits else ""
