"""Which columns are text, label, split and id: guessed, or checked if given."""

import json
import math
import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Any, NamedTuple

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
    """The names of the columns in use; labels go from coarse to fine."""

    text: str
    labels: tuple[str, ...]
    split: str | None = None
    id: str | None = None
    thought: str | None = None
    reply: str | None = None

    @property
    def written(self) -> dict[str, str]:
        """The columns of text to generate after the labels, in that order, by role."""
        roles = {"thought": self.thought, "reply": self.reply}
        return {role: name for role, name in roles.items() if name}


def level_names(columns: Columns) -> list[str]:
    """The names of the label columns in the corpus, from coarse to fine."""
    n = len(columns.labels)
    return ["label"] if n == 1 else [f"label_{level}" for level in range(1, n + 1)]


class _Profile(NamedTuple):
    """What a sample of a column shows about it."""

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
        """Whether nearly all values differ."""
        return self.n > 0 and self.distinct >= 0.9 * self.n

    @property
    def classes(self) -> bool:
        """Whether the values may be classes: few, each on several rows."""
        few = self.distinct <= 0.5 * self.n or (self.n < 20 and not self.unique)
        return self.distinct >= 2 and few and not self.fractional and not self.nested


def guess_columns(frame: pd.DataFrame) -> Columns:
    """The likeliest columns, judged by names first and content second.

    One label is proposed. If there are only label_1 ... label_n, these are levels from
    coarse to fine. `labels` is empty if no column can be a label.
    """
    return _guess(frame, DataConfig(path=""))


def resolve_columns(frame: pd.DataFrame, data: DataConfig) -> Columns:
    """The columns that `data` names, each checked, with the others guessed.

    StcError for a column that does not exist, with the most similar name; for a column
    with two roles; and if no label is named and none can be guessed.
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
    used = [name for _, name in named]
    repeated = next((name for name in used if used.count(name) > 1), None)
    if repeated:
        raise StcError(
            f"column {repeated!r}",
            expected="one use for each column",
            got=" and ".join(role for role, name in named if name == repeated),
            remedy="Choose another column for one of them.",
        )
    columns = _guess(frame, data)
    if not columns.labels:
        raise _no_label(frame, columns)
    return columns


def _guess(frame: pd.DataFrame, data: DataConfig) -> Columns:
    used = {name for _, name in _named(data)}
    sample = _sample(frame)
    free = [_profile(str(c), series(sample, c)) for c in frame.columns if c not in used]
    splits = (p for p in free if p.splits and p.plain not in LABEL_NAMES)
    split = _name(_first(splits)) if data.split is None else data.split or None
    free = [p for p in free if p.name != split]
    id_candidates = free if data.text or len(free) > 1 else []
    identity = data.id or None
    if data.id is None:
        identity = _name(_first(p for p in id_candidates if _is_id(p)))
    free = [p for p in free if p.name != identity]
    text = data.text or _name(_guess_text(free))
    if text is None:
        raise StcError(
            "no column is left for the text",
            got=f"columns {listed_names(frame.columns)}",
            remedy="Choose the text column by name.",
        )
    free = _after(free, text)
    labels = data.labels or _guess_labels(free)
    return Columns(text, labels, split, identity, data.thought, data.reply)


def _sample(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows from all parts of the table, since files are often sorted by label.

    They are short slices, which cost nothing; single rows would copy whole columns.
    """
    if len(frame) <= SAMPLE_ROWS:
        return frame
    starts = np.linspace(0, len(frame) - _SLICE_ROWS, SAMPLE_ROWS // _SLICE_ROWS)
    return pd.concat([frame.iloc[int(at) : int(at) + _SLICE_ROWS] for at in starts])


def label_columns(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """The columns not in use that could be a label, too."""
    taken = {columns.text, *columns.labels, columns.split, columns.id}
    sample = _sample(frame)
    free = [str(name) for name in frame.columns if name not in taken]
    return [name for name in free if _profile(name, series(sample, name)).classes]


def free_columns(names: Iterable[str], data: DataConfig) -> list[str]:
    """The names that are not text, label, split or id in `data`."""
    taken = {data.text, *data.labels, data.split, data.id}
    return [name for name in names if name not in taken]


def listed_names(names: Iterable[Any]) -> str:
    """The first names of columns, in quotes and shortened; then how many more."""
    shown = [str(name) for name in names]
    first = [name if len(name) <= 40 else f"{name[:39]}…" for name in shown[:20]]
    more = f" and {len(shown) - 20:,} more" if len(shown) > 20 else ""
    return f"{', '.join(map(repr, first))}{more}"


def check_column(frame: pd.DataFrame, name: str, *, role: str = "column") -> None:
    """StcError, with the columns of the table, unless `name` is one of them."""
    names = [str(column) for column in frame.columns]
    if name in names:
        return
    outer, _, field = name.partition(".")
    if outer in names and field in _fields_in(frame, outer):
        raise StcError(
            f"{role} column {name!r}",
            expected=f"one of the columns {listed_names(names)}",
            got=f"a field inside {outer!r}, which is not a column",
            remedy=take_field(outer, field),
        )
    lower = {column.lower(): column for column in names}
    similar = get_close_matches(name.lower(), list(lower), n=1, cutoff=0.5)
    raise StcError(
        f"{role} column {name!r}",
        expected=f"one of the columns {listed_names(names)}",
        remedy=f"Did you mean {lower[similar[0]]!r}?" if similar else None,
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
    """The fields of a column whose cells are JSON objects; [] for other columns."""
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
    """How to make a field of a nested column a column of its own."""
    return f"With pandas: frame[{field!r}] = frame[{name!r}].str.get({field!r})."


def is_fractional(values: Iterable[str]) -> bool:
    """Whether nearly all values are numbers and some are not whole."""
    values = list(values)
    numbers = [number for number in map(_as_number, values) if number is not None]
    return len(numbers) >= 0.95 * len(values) and any(x % 1 for x in numbers)


def are_numbers(values: Iterable[str]) -> bool:
    """Whether nearly all values are numbers."""
    flags = [_as_number(value) is not None for value in values]
    return bool(flags) and sum(flags) >= 0.95 * len(flags)


def _as_number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_id(column: _Profile) -> bool:
    """Whether the column looks like an id."""
    has_id_name = column.plain in ID_NAMES or column.plain.endswith("_id")
    has_no_name = re.fullmatch(r"column_\d+|unnamed(:_?\d+)?", column.plain) is not None
    return column.unique and column.chars < 40 and (has_id_name or has_no_name)


def _guess_text(columns: list[_Profile]) -> _Profile | None:
    """The likeliest text column."""
    for name in TEXT_NAMES:
        for column in columns:
            is_text = name in TEXT_NAMES[:6] or not (column.classes or column.nested)
            if column.plain == name and column.n and is_text:
                return column
    flat = [p for p in columns if not p.nested] or columns
    scored = [(p.chars * (p.distinct / max(p.n, 1)) ** 0.5, p) for p in flat]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def _guess_labels(columns: list[_Profile]) -> tuple[str, ...]:
    """The likeliest label columns."""
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
    """The other columns, those after the text first: the label is usually there."""
    names = [p.name for p in columns]
    at = names.index(text) if text in names else -1
    return columns[at + 1 :] + columns[: max(at, 0)]


def _first(columns: Iterable[_Profile]) -> _Profile | None:
    return next(iter(columns), None)


def _name(column: _Profile | None) -> str | None:
    return column.name if column else None


def _no_label(frame: pd.DataFrame, columns: Columns) -> StcError:
    """The error for a table without a label column."""
    names = listed_names(frame.columns)
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
