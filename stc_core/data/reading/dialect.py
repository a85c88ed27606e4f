"""Delimiter and quoting of delimited text, found in its first rows."""

import csv
import io
import re
from typing import Literal, NamedTuple

SNIFF_ROWS = 200
_DELIMITERS = ",\t;|"

# The default limit of 128 KiB a cell would refuse long documents.
csv.field_size_limit(2**31 - 1)

_ESCAPES = re.compile(r'\\(["\\])')


class Dialect(NamedTuple):
    r"""How rows are cut into cells; `escaped`: a quote in a cell is \" and not ""."""

    delimiter: str
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
    escaped: bool = False


def sniff_dialect(text: str, *, prefer_tab: bool) -> Dialect:
    r"""The dialect under which rows have as many fields as the header.

    Quotes are plain characters when only that reading gives even rows, and \" is a
    quote inside a cell when only so all quotes close.
    """
    if '\\"' in text:
        plain = unescape(text)
        found = _delimiter(plain, prefer_tab=prefer_tab)
        if found.quoting == csv.QUOTE_MINIMAL and _closes(plain, found.delimiter):
            usual = _delimiter(text, prefer_tab=prefer_tab)
            if usual.quoting == csv.QUOTE_MINIMAL and not _closes(
                text, usual.delimiter
            ):
                return found._replace(escaped=True)
    return _delimiter(text, prefer_tab=prefer_tab)


def unescape(text: str) -> str:
    r"""The text with \" written as "", as CSV has it, and \\ as one backslash."""
    return _ESCAPES.sub(lambda found: '""' if found[1] == '"' else "\\", text)


def _closes(text: str, delimiter: str) -> bool:
    """Whether every quote that opens a cell closes, but for a cut at the end."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for _ in rows:
            pass
    except csv.Error as error:
        return "end of data" in str(error)
    return True


def _delimiter(text: str, *, prefer_tab: bool) -> Dialect:
    if text.startswith("sep=") and text[4:5] in _DELIMITERS:
        return Dialect(text[4])
    best, chosen = (0.0, 0), "\t" if prefer_tab else ","
    for delimiter in _DELIMITERS:
        counts = _field_counts(text, delimiter, csv.QUOTE_MINIMAL)
        raw = _field_counts(text, delimiter, csv.QUOTE_NONE)
        width = counts[0] if counts else 0
        even = max(_evenness(counts), _evenness(raw))
        score = (even + (prefer_tab and delimiter == "\t"), width)
        if width > 1 and score > best:
            best, chosen = score, delimiter
    quoted = _field_counts(text, chosen, csv.QUOTE_MINIMAL)
    raw = _field_counts(text, chosen, csv.QUOTE_NONE)
    plain = raw and raw[0] > 1 and _evenness(raw) == 1 and len(quoted) < len(raw)
    edge = re.escape(chosen)
    opened = rf'(?m)(?:^|{edge})"(?!")'
    closed = rf'(?m)(?:^|{edge})"(?:[^"\r\n]|"")*"(?=$|{edge})'
    if plain and len(re.findall(opened, text)) > 1 and not re.search(closed, text):
        return Dialect(chosen, csv.QUOTE_NONE)
    return Dialect(chosen)


def _field_counts(text: str, delimiter: str, quoting: Literal[0, 3]) -> list[int]:
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
    return sum(count == counts[0] for count in counts) / len(counts) if counts else 0.0
