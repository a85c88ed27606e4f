"""Which column is the text, the label, the split, the id: guessed or checked."""

import json
import math
import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

import numpy as np
import pandas as pd

from stc_core.config import DataConfig
from stc_core.errors import StcError
from stc_core.frames import as_text, series

SAMPLE_ROWS = 2000
_SLICE_ROWS = 20
TEXT_NAMES = (
    "text sentence utterance message review question content query tweet body comment "
    "document post sms headline premise prompt input description title subject"
).split()
LABEL_NAMES = (
    "label labels target class category topic intent sentiment y gold tag emotion "
    "rating stars output answer subtopic"
).split()
SPLIT_NAMES = "split set subset fold partition data_split dataset".split()
ID_NAMES = "id uid uuid guid idx index row row_id key _id".split()
SPLITS = {
    "train": "train",
    "training": "train",
    "dev": "validation",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
    "holdout": "test",
}


class Columns(NamedTuple):
    """The names of the columns in use; labels from coarse to fine."""

    text: str
    labels: tuple[str, ...]
    split: str | None = None
    id: str | None = None
    thought: str | None = None
    reply: str | None = None

    @property
    def written(self) -> dict[str, str]:
        """The columns that are written after the labels, in that order, by role."""
        roles = {"thought": self.thought, "reply": self.reply}
        return {role: name for role, name in roles.items() if name}


class _Profile(NamedTuple):
    name: str
    plain: str
    n: int
    distinct: int
    chars: float
    splits: bool
    fractional: bool
    nested: bool

    @property
    def unique(self) -> bool:
        return self.n > 0 and self.distinct >= 0.9 * self.n

    @property
    def classes(self) -> bool:
        """Whether the values may be classes: a few, each on several rows."""
        few = self.distinct <= 0.5 * self.n or (self.n < 20 and not self.unique)
        return self.distinct >= 2 and few and not self.fractional and not self.nested


def guess_columns(frame: pd.DataFrame) -> Columns:
    """The likeliest columns, from names first and content second.

    One label is proposed, unless only label_1 ... label_n exist, which are levels from
    coarse to fine. `labels` is empty when no column can be one.
    """
    return _guess(frame, DataConfig(path=""))


def resolve_columns(frame: pd.DataFrame, data: DataConfig) -> Columns:
    """The columns that `data` names, each checked, the others guessed.

    Raises StcError with the nearest name for one that is not there, when a column is
    wanted twice, or when no label was named and none can be guessed.
    """
    named = _named(data)
    if data.thought and not data.reply:
        raise StcError(
            f"thought column {data.thought!r}",
            expected="a reply that follows the thought",
            remedy="Name its column with --reply, or leave --thought out.",
        )
    for role, name in named:
        check_column(frame, name, role=role)
    taken = [name for _, name in named]
    twice = next((name for name in taken if taken.count(name) > 1), None)
    if twice:
        raise StcError(
            f"column {twice!r}",
            expected="one use for each column",
            got=" and ".join(role for role, name in named if name == twice),
            remedy="Choose another column for one of them.",
        )
    columns = _guess(frame, data)
    if not columns.labels:
        raise _no_label(frame, columns)
    return columns


def _guess(frame: pd.DataFrame, data: DataConfig) -> Columns:
    taken = {name for _, name in _named(data)}
    sample = _sample(frame)
    free = [
        _profile(str(c), series(sample, c)) for c in frame.columns if c not in taken
    ]
    splits = (p for p in free if p.splits and p.plain not in LABEL_NAMES)
    split = _name(_first(splits)) if data.split is None else data.split or None
    free = [p for p in free if p.name != split]
    may_be_id = free if data.text or len(free) > 1 else []
    identity = data.id or None
    if data.id is None:
        identity = _name(_first(p for p in may_be_id if _is_id(p)))
    free = [p for p in free if p.name != identity]
    text = data.text or _name(_guess_text(free))
    if text is None:
        raise StcError(
            "no column is left for the text",
            got=f"columns {', '.join(map(repr, frame.columns))}",
            remedy="Choose the text column by name.",
        )
    free = _after(free, text)
    labels = data.labels or _guess_labels(free)
    return Columns(text, labels, split, identity, data.thought, data.reply)


def _sample(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows from all over the table, as files are often sorted by label.

    Short slices cost nothing, where single rows would copy whole columns.
    """
    if len(frame) <= SAMPLE_ROWS:
        return frame
    starts = np.linspace(0, len(frame) - _SLICE_ROWS, SAMPLE_ROWS // _SLICE_ROWS)
    return pd.concat([frame.iloc[int(at) : int(at) + _SLICE_ROWS] for at in starts])


def label_columns(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """Those of the other columns that could be a label as well."""
    taken = {columns.text, *columns.labels, columns.split, columns.id}
    sample = _sample(frame)
    free = [str(name) for name in frame.columns if name not in taken]
    return [name for name in free if _profile(name, series(sample, name)).classes]


def free_columns(names: Iterable[str], data: DataConfig) -> list[str]:
    """Those of `names` that are neither text, label, split nor id of `data`."""
    taken = {data.text, *data.labels, data.split, data.id}
    return [name for name in names if name not in taken]


def check_column(frame: pd.DataFrame, name: str, *, role: str = "column") -> None:
    """Raises StcError, with the columns there are, unless `name` is one of them."""
    names = [str(column) for column in frame.columns]
    if name in names:
        return
    outer, _, field = name.partition(".")
    if outer in names and field in _fields_in(frame, outer):
        raise StcError(
            f"{role} column {name!r}",
            expected=f"one of the columns {', '.join(map(repr, names))}",
            got=f"a field inside of {outer!r}, where it is no column",
            remedy=take_field(outer, field),
        )
    lower = {column.lower(): column for column in names}
    near = get_close_matches(name.lower(), list(lower), n=1, cutoff=0.5)
    raise StcError(
        f"{role} column {name!r}",
        expected=f"one of the columns {', '.join(map(repr, names))}",
        remedy=f"Did you mean {lower[near[0]]!r}?" if near else None,
    )


def _fields_in(frame: pd.DataFrame, name: str) -> list[str]:
    return nested_fields(as_text(series(frame, name).head(_SLICE_ROWS)).dropna())


def _named(data: DataConfig) -> list[tuple[str, str]]:
    pairs = [("text", data.text), *(("label", name) for name in data.labels)]
    pairs += [("split", data.split), ("id", data.id)]
    pairs += [("thought", data.thought), ("reply", data.reply)]
    return [(role, name) for role, name in pairs if name]


def _profile(name: str, column: pd.Series) -> _Profile:
    cells = as_text(column).dropna().str.strip()
    cells = cells[cells != ""]
    values = set(cells)
    return _Profile(
        name=name,
        plain=re.sub(r"[\s\-.]+", "_", name.strip().lower()),
        n=len(cells),
        distinct=len(values),
        chars=float(cells.str.len().mean()) if len(cells) else 0.0,
        splits=bool(values) and {value.lower() for value in values} <= SPLITS.keys(),
        fractional=len(values) > 20 and is_fractional(values),
        nested=bool(nested_fields(cells)),
    )


def nested_fields(cells: Iterable[str]) -> list[str]:
    """The fields of a column whose cells are JSON objects; none of another one."""
    fields: dict[str, None] = {}
    for cell in islice(filter(None, cells), _SLICE_ROWS):
        try:
            value = json.loads(cell) if cell.startswith("{") else None
        except (json.JSONDecodeError, RecursionError):
            value = None
        if not isinstance(value, dict):
            return []
        fields |= dict.fromkeys(map(str, value))
    return list(fields)


def take_field(name: str, field: str) -> str:
    """How a field of a nested column becomes a column of its own."""
    return f"With pandas: frame[{field!r}] = frame[{name!r}].str.get({field!r})."


def is_fractional(values: Iterable[str]) -> bool:
    """Whether nearly all values are numbers and some are not whole."""
    values = list(values)
    numbers = [number for number in map(_as_number, values) if number is not None]
    return len(numbers) >= 0.95 * len(values) and any(x % 1 for x in numbers)


def are_numbers(values: Iterable[str]) -> bool:
    """Whether nearly all values are numbers."""
    found = [_as_number(value) is not None for value in values]
    return bool(found) and sum(found) >= 0.95 * len(found)


def _as_number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_id(column: _Profile) -> bool:
    named = column.plain in ID_NAMES or column.plain.endswith("_id")
    nameless = re.fullmatch(r"column_\d+|unnamed(:_?\d+)?", column.plain) is not None
    return column.unique and column.chars < 40 and (named or nameless)


def _guess_text(columns: list[_Profile]) -> _Profile | None:
    for name in TEXT_NAMES:
        for column in columns:
            sure = name in TEXT_NAMES[:6] or not (column.classes or column.nested)
            if column.plain == name and column.n and sure:
                return column
    flat = [p for p in columns if not p.nested] or columns
    spread = [(p.chars * (p.distinct / max(p.n, 1)) ** 0.5, p) for p in flat]
    return max(spread, key=lambda pair: pair[0])[1] if spread else None


def _guess_labels(columns: list[_Profile]) -> tuple[str, ...]:
    by_name = {p.plain: p for p in columns}
    if "label" not in by_name:
        levels = [p for p in columns if re.fullmatch(r"label_?\d+", p.plain)]
        if len(levels) > 1:
            levels.sort(key=lambda p: int(re.sub(r"\D", "", p.plain)))
            return tuple(p.name for p in levels)
    exact = [by_name[name] for name in LABEL_NAMES if name in by_name]
    partly = [p for p in columns if set(p.plain.split("_")) & set(LABEL_NAMES)]
    chosen = (
        _first(p for p in exact if p.classes)
        or _first(p for p in partly if p.classes)
        or _first(exact)
        or _first(p for p in columns if p.classes)
    )
    return (chosen.name,) if chosen else ()


def _after(columns: list[_Profile], text: str) -> list[_Profile]:
    """The other columns, those behind the text first: there the label mostly is."""
    names = [p.name for p in columns]
    at = names.index(text) if text in names else -1
    return columns[at + 1 :] + columns[: max(at, 0)]


def _first(columns: Iterable[_Profile]) -> _Profile | None:
    return next(iter(columns), None)


def _name(column: _Profile | None) -> str | None:
    return column.name if column else None


def _no_label(frame: pd.DataFrame, columns: Columns) -> StcError:
    names = ", ".join(repr(str(name)) for name in frame.columns)
    if len(frame.columns) == 1:
        return StcError(
            f"the table has the one column {names}",
            expected="a text column and a label column",
            remedy="Add a column with a label for each text, under a header row.",
        )
    return StcError(
        f"no label column found beside the text {columns.text!r}",
        expected="a column with few different values, each on several rows",
        got=f"columns {names}",
        remedy="Name the label column.",
    )
