"""Records of JSON and JSONL, one at a time, however long the file or the line."""

import json
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Any

from stc_core.cells import Number
from stc_core.errors import StcError

WINDOW_CHARS = 1 << 23
SPACE = " \t\r\n"
SHAPE = "one JSON record on each line, or one list of records"


def read_records(
    handle: TextIOWrapper, name: str, *, listed: bool, checked: bool = True
) -> Iterator[dict[str, Any]]:
    """Every record of one list, or of one record a line, read as a stream.

    Cells are Python values, but numbers stay as they are written. Raises StcError
    with the line or the record that is no JSON object, that names a field twice, and
    for anything behind the list. Fields that come twice are looked for if `checked`.
    """
    decoder = json.JSONDecoder(
        parse_int=str if checked else Number,
        parse_float=_number,
        parse_constant=_constant,
        object_pairs_hook=_fields if checked else None,
    )
    values = _listed if listed else _lines
    found = _records(_nested(values(handle, decoder, name), name), name)
    first = next(found, None)
    if first is None:
        return
    second = next(found, None)
    if second is None and not listed:
        _refuse_wrapped(first, name)
    yield first
    if second is not None:
        yield second
    yield from found


def _records(values: Iterator[tuple[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    for where, value in values:
        if not isinstance(value, dict):
            raise StcError(
                f"{name}, {where}",
                expected='a record such as {"text": "...", "label": "..."}',
                got=f"{type(value).__name__} {str(value)[:40]!r}",
            )
        yield value


def _refuse_wrapped(record: dict[str, Any], name: str) -> None:
    """Refuse the one record of a file if it is the table, wrapped up."""
    inside = {k: v for k, v in record.items() if isinstance(v, (list, dict)) and v}
    rows = next((key for key, value in inside.items() if _holds_records(value)), None)
    if rows is not None and len(str(record[rows])) > 0.5 * len(str(record)):
        raise StcError(
            name,
            expected=SHAPE,
            got=f"one record whose field {rows!r} holds {len(record[rows]):,} records",
            remedy=f"Save the list in {rows!r} as the whole file.",
        )
    if record and inside.keys() == record.keys():
        fields = ", ".join(map(repr, list(record)[:5]))
        raise StcError(
            name,
            expected=SHAPE,
            got=f"one record with nothing but lists or objects in {fields}, as of a "
            "table written column by column",
            remedy="With pandas: frame.to_json(path, orient='records').",
        )


def count_of(n: int, what: str) -> str:
    """'1 record', '2 records'."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def _holds_records(value: Any) -> bool:
    if not isinstance(value, list) or len(value) < 2:
        return False
    return all(isinstance(item, dict) for item in value)


class RepeatedField(ValueError):
    """A record that names one field twice, of which a reader would keep the last."""


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise RepeatedField(next(name for name in names if names.count(name) > 1))
    return found


def _nested(values: Iterator[tuple[str, Any]], name: str) -> Iterator[tuple[str, Any]]:
    try:
        yield from values
    except RecursionError as error:
        raise StcError(f"{name}: a record is nested too deep to read") from error


def _twice(where: str, error: RepeatedField) -> StcError:
    return StcError(
        where,
        expected="each field once in a record",
        got=f"{str(error)!r} twice",
        remedy="Delete or rename one of the two.",
    )


def _lines(
    handle: TextIOWrapper, decoder: json.JSONDecoder, name: str
) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(handle, 1):
        line = line.rstrip().lstrip("\ufeff")
        if not line:
            continue
        try:
            yield f"line {number}", decoder.decode(line)
        except RepeatedField as error:
            raise _twice(f"{name}, line {number}", error) from error
        except json.JSONDecodeError as error:
            near = line[max(0, error.pos - 20) : error.pos + 20]
            raise StcError(
                f"{name}, line {number}, character {error.colno}",
                expected=SHAPE,
                got=f"{error.msg}: {near!r}",
                remedy="Mend that line, or save the table as CSV.",
            ) from error


class _Window:
    """The part of a JSON text that is being read; it grows where a value is longer."""

    def __init__(self, handle: TextIOWrapper) -> None:
        self.handle = handle
        self.text = ""
        self.at = 0

    def grow(self) -> bool:
        """False at the end of the file."""
        rest = self.text[self.at :]
        more = self.handle.read(max(WINDOW_CHARS, len(rest)))
        self.text, self.at = rest + more, 0
        return bool(more)

    def peek(self) -> str:
        """The next character that is no space, not read yet; '' at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in SPACE:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.grow():
                return ""

    def value(self, decoder: json.JSONDecoder) -> Any:
        while True:
            try:
                value, self.at = decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self.grow():
                    raise
            else:
                return value

    def near(self) -> str:
        return repr(self.text[self.at : self.at + 40])


def _listed(
    handle: TextIOWrapper, decoder: json.JSONDecoder, name: str
) -> Iterator[tuple[str, Any]]:
    """The items of the one JSON list that the file is."""
    window, count = _Window(handle), 0
    while window.peek() in ("\ufeff", "["):
        window.at += 1
        if window.text[window.at - 1] == "[":
            break
    while (next_one := window.peek()) != "]":
        where = f"{name}, record {count + 1}"
        if count and next_one != ",":
            raise _damaged(where, f"no comma before it: {window.near()}")
        if count:
            window.at += 1
            if window.peek() == "]":  # a comma behind the last record harms nothing
                break
        try:
            value = window.value(decoder)
        except RepeatedField as error:
            raise _twice(where, error) from error
        except json.JSONDecodeError as error:
            raise _damaged(where, f"{error.msg}: {window.near()}") from error
        count += 1
        yield f"record {count}", value
    window.at += 1
    if window.peek():
        raise StcError(
            f"{name}, behind the list of {count_of(count, 'record')}",
            expected="the end of the file",
            got=window.near(),
            remedy="Put all records into one list.",
        )


def _damaged(where: str, got: str) -> StcError:
    return StcError(
        where,
        expected="a list of JSON records",
        got=got,
        remedy="Mend that record, or save the table as CSV.",
    )


def _number(literal: str) -> str:
    """The number as written, but '1' for 1.0: a column of counts with gaps."""
    return Number(literal[:-2] if literal.endswith(".0") else literal)


def _constant(literal: str) -> str | None:
    return None if literal == "NaN" else literal
