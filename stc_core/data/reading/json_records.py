"""Records of JSON and JSONL files, one at a time, for any length of file or line."""

import json
import re
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Any

from stc_core.cells import Number
from stc_core.data.columns import LABEL_NAMES, SPLITS, TEXT_NAMES
from stc_core.data.reading.limits import MOST_ROW_CHARS, too_long
from stc_core.errors import StcError

WINDOW_CHARS = 1 << 23
WHOLE_CHARS = 1 << 26
"""So much of a file over several lines is read to see what it is."""
_SPACES = re.compile(r"[ \t\r\n]*")
SHAPE = "one JSON record on each line, or one list of records"


def read_records(
    handle: TextIOWrapper, name: str, *, listed: bool, checked: bool = True
) -> Iterator[dict[str, Any]]:
    """Yield every record of one list, or of one record per line, as a stream.

    Cells are Python values; numbers stay as they are written. StcError names the line
    or the record that is not a JSON object or has a field twice, and text after the
    list. Repeated fields are found only if `checked`.
    """
    decoder = json.JSONDecoder(
        parse_int=str if checked else Number,
        parse_float=_number,
        parse_constant=_constant,
        object_pairs_hook=_fields if checked else None,
    )
    values = _listed if listed else _lines
    records = _records(_nested(values(handle, decoder, name), name), name)
    first = next(records, None)
    if first is None:
        return
    second = next(records, None)
    if second is None and not listed:
        _refuse_wrapped(first, name)
    yield first
    if second is not None:
        yield second
    yield from records


def _records(values: Iterator[tuple[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    """Yield the values, which must be records."""
    for where, value in values:
        if not isinstance(value, dict):
            raise StcError(
                f"{name}, {where}",
                expected='a record such as {"text": "...", "label": "..."}',
                got=f"{type(value).__name__} {str(value)[:40]!r}",
            )
        yield value


def _refuse_wrapped(record: dict[str, Any], name: str) -> None:
    """StcError if the only record of a file wraps up a table, or several tables."""
    tables = {key: value for key, value in record.items() if _holds_records(value)}
    if tables and not _is_row(record, tables):
        raise _wrapped(tables, name)
    inside = [value for value in record.values() if isinstance(value, (list, dict))]
    if record and all(inside) and len(inside) == len(record):
        fields = ", ".join(map(repr, list(record)[:5]))
        raise StcError(
            name,
            expected=SHAPE,
            got=f"one record with only lists or objects in {fields}, like a table "
            f"{_way_of(inside)}",
            remedy="With pandas: frame.to_json(path, orient='records').",
        )


def _is_row(record: dict[str, Any], tables: dict[str, list[dict]]) -> bool:
    """Whether a record with lists of records in it is itself a row of a table.

    It is a row if it has a known text field, and the lists hold no labels that it
    lacks. With other field names it is a row if the lists hold no words, or less text
    than the fields beside them.
    """
    own = {key.lower() for key, value in record.items() if isinstance(value, str)}
    rows = [row for some in tables.values() for row in some]
    inner = {key.lower() for row in rows for key in row}
    if own & {*TEXT_NAMES} and (own & {*LABEL_NAMES} or not inner & {*LABEL_NAMES}):
        return True
    if own and not all(any(map(_has_letters, row.values())) for row in rows):
        return True
    return len(str(list(tables.values()))) <= 0.5 * len(str(record))


def _has_letters(value: Any) -> bool:
    return isinstance(value, str) and any(map(str.isalpha, value))


def _wrapped(tables: dict[str, list[dict]], name: str) -> StcError:
    """The error for a file with tables under names, and how to save one of them."""
    contents = " and ".join(
        f"{key!r} holds {count_of(len(rows), 'record')}" for key, rows in tables.items()
    )
    row = "If it is one row, put it in a list: [{...}]."
    splits = [key for key in tables if key.lower() in SPLITS]
    tests = [key for key in splits if SPLITS[key.lower()] == "test"]
    if len(tables) == 1:
        remedy = f"Save the list in {next(iter(tables))!r} as the whole file. {row}"
    elif tests and len(splits) == len(tables):
        remedy = (
            f"Save each list as a file of its own, and give that of {tests[0]!r} with "
            "--test, or as the test file on Data. Or put all records into one list, "
            "each with a field 'split' that says train, validation or test."
        )
    else:
        key = next(iter(tables))
        remedy = (
            "Save the list that you want as a file of its own. With Python: "
            f"json.dump(json.load(open(FILE))[{key!r}], open('table.json', 'w'))."
        )
    return StcError(
        name,
        expected=SHAPE,
        got=f"one record with lists of records inside: {contents}",
        remedy=remedy,
    )


def _way_of(values: list[list | dict]) -> str:
    """The layout of a table with these parts, in words."""
    records = [one for one in values if isinstance(one, dict)]
    fields = {tuple(one) for one in records}
    numbered = all(key.isdecimal() for names in fields for key in names)
    if 1 < len(values) == len(records) and len(fields) == 1 and not numbered:
        return "with a name for each row"
    return "written column by column"


def count_of(n: int, what: str) -> str:
    """'1 record', '2 records'."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def _holds_records(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(item, dict) for item in value)


class RepeatedField(ValueError):
    """A record that has one field twice; a reader would keep only the last."""


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of a record; RepeatedField if one comes twice."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise RepeatedField(next(name for name in names if names.count(name) > 1))
    return fields


def _nested(values: Iterator[tuple[str, Any]], name: str) -> Iterator[tuple[str, Any]]:
    """Yield the values; StcError if a record is nested too deeply."""
    try:
        yield from values
    except RecursionError as error:
        raise nested_error(name) from error


def nested_error(name: str) -> StcError:
    """The error for a record with lists or objects inside each other too often."""
    return StcError(
        name,
        expected="records with a few levels of lists and objects",
        got="a record that is nested too deeply to read",
        remedy="Delete the nested field, or write it as text.",
    )


def _twice(where: str, error: RepeatedField) -> StcError:
    """The error for a record with a repeated field."""
    return StcError(
        where,
        expected="each field once in a record",
        got=f"{str(error)!r} twice",
        remedy="Delete or rename one of the two.",
    )


def _lines(
    handle: TextIOWrapper, decoder: json.JSONDecoder, name: str
) -> Iterator[tuple[str, Any]]:
    """Yield each line's value, with the line as its place."""
    lines = iter(lambda: handle.readline(MOST_ROW_CHARS + 1), "")
    for number, line in enumerate(lines, 1):
        if len(line) > MOST_ROW_CHARS:
            raise too_long(f"{name}, line {number}")
        line = line.rstrip().lstrip("\ufeff")
        if not line:
            continue
        try:
            yield f"line {number}", decoder.decode(line)
        except RepeatedField as error:
            raise _twice(f"{name}, line {number}", error) from error
        except json.JSONDecodeError as error:
            if number == 1:
                _refuse_lines(line + handle.read(WHOLE_CHARS), decoder, name)
            near = line[max(0, error.pos - 20) : error.pos + 20]
            raise StcError(
                f"{name}, line {number}, character {error.colno}",
                expected=SHAPE,
                got=f"{error.msg}: {near!r}",
                remedy="Correct that line, or save the table as CSV.",
            ) from error


def _refuse_lines(text: str, decoder: json.JSONDecoder, name: str) -> None:
    """StcError if the text is one record over several lines that wraps up a table."""
    try:
        value = decoder.decode(text)
    except ValueError:  # then only the error of its first line is known
        return
    if isinstance(value, dict):
        _refuse_wrapped(value, name)


class _Window:
    """The part of a JSON text being read; it grows if a value is longer."""

    def __init__(self, handle: TextIOWrapper, name: str) -> None:
        self.handle = handle
        self.name = name
        self.text = ""
        self.at = 0

    def grow(self) -> bool:
        """Read more; False at the end of the file."""
        rest = self.text[self.at :]
        if len(rest) > MOST_ROW_CHARS:
            raise too_long(f"{self.name}, a record that begins with {rest[:40]!r}")
        more = self.handle.read(max(WINDOW_CHARS, len(rest)))
        self.text, self.at = rest + more, 0
        return bool(more)

    def peek(self) -> str:
        """The next character that is not a space, without reading it; '' at the end."""
        while True:
            spaces = _SPACES.match(self.text, self.at)
            assert spaces is not None, self.at
            self.at = spaces.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.grow():
                return ""

    def value(self, decoder: json.JSONDecoder) -> Any:
        """The next JSON value."""
        while True:
            try:
                value, self.at = decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self.grow():
                    raise
            else:
                return value

    def near(self) -> str:
        """The text at the position, for an error."""
        return repr(self.text[self.at : self.at + 40])


def _listed(
    handle: TextIOWrapper, decoder: json.JSONDecoder, name: str
) -> Iterator[tuple[str, Any]]:
    """Yield the items of a file that is one JSON list."""
    window, count = _Window(handle, name), 0
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
            if window.peek() == "]":  # a comma after the last record does no harm
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
            f"{name}, after the list of {count_of(count, 'record')}",
            expected="the end of the file",
            got=window.near(),
            remedy="Put all records into one list.",
        )


def _damaged(where: str, got: str) -> StcError:
    """The error for a damaged record."""
    return StcError(
        where,
        expected="a list of JSON records",
        got=got,
        remedy="Correct that record, or save the table as CSV.",
    )


def _number(literal: str) -> str:
    """The number as written, but '1' for 1.0, as counts look in a column with gaps."""
    return Number(literal[:-2] if literal.endswith(".0") else literal)


def _constant(literal: str) -> str | None:
    """None for NaN; other constants as written."""
    return None if literal == "NaN" else literal
