"""Delimiter and quoting of delimited text, found in its first rows."""

import csv
import io
import re
from typing import Literal, NamedTuple

SNIFF_ROWS = 200
_DELIMITERS = ",\t;|"

# The default limit of 128 KiB for a cell would refuse long documents.
csv.field_size_limit(2**31 - 1)

EXCEL_HINT = re.compile(r"sep=([^\r\n])[ \t]*(?:[\r\n]|$)")
"""A first line that is no header: Excel writes and reads the delimiter in it."""
_ESCAPES = re.compile(r'\\(["\\])')


class Dialect(NamedTuple):
    r"""How rows are split into cells; `escaped`: quotes in cells have a backslash."""

    delimiter: str
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
    escaped: bool = False


def sniff_dialect(text: str, *, prefer_tab: bool) -> Dialect:
    r"""The dialect in which rows have as many fields as the header.

    Quotes are plain characters if only then all rows have the same number of fields. A
    backslash before a quote escapes it if only then all quotes close.
    """
    if '\\"' in text:
        plain = unescape(text)
        unescaped = _delimiter(plain, prefer_tab=prefer_tab)
        if unescaped.quoting == csv.QUOTE_MINIMAL and _closes(
            plain, unescaped.delimiter
        ):
            as_written = _delimiter(text, prefer_tab=prefer_tab)
            if as_written.quoting == csv.QUOTE_MINIMAL and not _closes(
                text, as_written.delimiter
            ):
                return unescaped._replace(escaped=True)
    return _delimiter(text, prefer_tab=prefer_tab)


def unescape(text: str) -> str:
    r"""The text with escaped quotes doubled, as in CSV, and single backslashes."""
    return _ESCAPES.sub(lambda match: '""' if match[1] == '"' else "\\", text)


def _closes(text: str, delimiter: str) -> bool:
    """Whether every quote that opens a cell closes, except for a cut at the end."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for _ in rows:
            pass
    except csv.Error as error:
        return "end of data" in str(error)
    return True


def _delimiter(text: str, *, prefer_tab: bool) -> Dialect:
    """The delimiter that gives the most even rows, and whether quotes are plain.

    Of two that are even, it is the one with which all quotes close, then the wider.
    """
    hint = EXCEL_HINT.match(text)
    if hint and hint[1] in _DELIMITERS:
        return Dialect(hint[1])
    best, chosen = (0.0, False, 0), "\t" if prefer_tab else ","
    for delimiter in _DELIMITERS:
        counts = _field_counts(text, delimiter, csv.QUOTE_MINIMAL)
        raw = _field_counts(text, delimiter, csv.QUOTE_NONE)
        width = counts[0] if counts else 0
        evenness = max(_evenness(counts), _evenness(raw))
        evenness += prefer_tab and delimiter == "\t"
        score = (evenness, '"' not in text or _closes(text, delimiter), width)
        if width > 1 and score > best:
            best, chosen = score, delimiter
    quoted = _field_counts(text, chosen, csv.QUOTE_MINIMAL)
    raw = _field_counts(text, chosen, csv.QUOTE_NONE)
    is_plain = raw and raw[0] > 1 and _evenness(raw) == 1 and len(quoted) < len(raw)
    edge = re.escape(chosen)
    opened = rf'(?m)(?:^|{edge})"(?!")'
    closed = rf'(?m)(?:^|{edge})"(?:[^"\r\n]|"")*"(?=$|{edge})'
    if is_plain and len(re.findall(opened, text)) > 1 and not re.search(closed, text):
        return Dialect(chosen, csv.QUOTE_NONE)
    return Dialect(chosen)


def _field_counts(text: str, delimiter: str, quoting: Literal[0, 3]) -> list[int]:
    """The number of fields in each of the first rows."""
    rows = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting
    )
    counts = []
    for row in rows:
        if row:
            counts.append(len(row))
        if len(counts) == SNIFF_ROWS:
            break
    return counts


def _evenness(counts: list[int]) -> float:
    """The share of the rows with as many fields as the first row."""
    return sum(count == counts[0] for count in counts) / len(counts) if counts else 0.0
