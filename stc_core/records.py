"""Records of JSON and JSONL, one at a time, however long the file or the line."""

import json
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Any

from stc_core.errors import StcError

WINDOW_CHARS = 1 << 23


def read_records(
    handle: TextIOWrapper, name: str, *, listed: bool
) -> Iterator[dict[str, Any]]:
    """Every record of one list, or of one record a line, read as a stream.

    Cells are Python values, but numbers stay as they are written. Raises StcError
    with the line or the record that is no JSON object.
    """
    decoder = json.JSONDecoder(
        parse_int=str, parse_float=_number, parse_constant=_constant
    )
    values = _listed if listed else _lines
    for where, value in _nested(values(handle, decoder, name), name):
        if not isinstance(value, dict):
            raise StcError(
                f"{name}, {where}",
                expected='a record such as {"text": "...", "label": "..."}',
                got=f"{type(value).__name__} {str(value)[:40]!r}",
            )
        yield value


def _nested(values: Iterator[tuple[str, Any]], name: str) -> Iterator[tuple[str, Any]]:
    try:
        yield from values
    except RecursionError as error:
        raise StcError(f"{name}: a record is nested too deep to read") from error


def _lines(
    handle: TextIOWrapper, decoder: json.JSONDecoder, name: str
) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(handle, 1):
        line = line.rstrip()
        if line:
            try:
                yield f"line {number}", decoder.decode(line)
            except json.JSONDecodeError as error:
                near = line[max(0, error.pos - 20) : error.pos + 20]
                raise StcError(
                    f"{name}, line {number}, character {error.colno}",
                    expected="one JSON record on each line, or one list of records",
                    got=f"{error.msg}: {near!r}",
                    remedy="Mend that line, or save the table as CSV.",
                ) from error


def _listed(
    handle: TextIOWrapper, decoder: json.JSONDecoder, name: str
) -> Iterator[tuple[str, Any]]:
    """The items of one JSON list, read through a window that grows when too short."""
    window = handle.read(WINDOW_CHARS).lstrip("\ufeff \t\r\n")
    at, count, more = 1, 0, True
    while True:
        at = _skip(window, at, ", \t\r\n")
        try:
            if window[at : at + 1] == "]":
                return
            value, end = decoder.raw_decode(window, at)
        except json.JSONDecodeError as error:
            read = handle.read(max(WINDOW_CHARS, len(window) - at)) if more else ""
            more = bool(read)
            window, at = window[at:] + read, 0
            if not more:
                raise StcError(
                    f"{name}, record {count + 1}",
                    expected="a list of JSON records",
                    got=f"{error.msg}: {window[:40]!r}",
                    remedy="Mend that record, or save the table as CSV.",
                ) from error
            continue
        count += 1
        at = end
        yield f"record {count}", value


def _skip(text: str, at: int, what: str) -> int:
    while at < len(text) and text[at] in what:
        at += 1
    return at


def _number(literal: str) -> str:
    """The number as written, but '1' for 1.0: a column of counts with gaps."""
    return literal[:-2] if literal.endswith(".0") else literal


def _constant(literal: str) -> str | None:
    return None if literal == "NaN" else literal
