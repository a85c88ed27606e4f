"""Rows of delimited text, each at the width of the header, as Arrow tables."""

import csv
from collections.abc import Iterator, Sequence
from io import TextIOBase
from itertools import repeat

import pyarrow as pa

from stc_core.data.reading.dialect import EXCEL_HINT, unescape
from stc_core.data.reading.limits import MOST_ROW_CHARS, check_width, too_long
from stc_core.data.reading.repairs import Tally, mend, text_table
from stc_core.data.reading.sniff import Sniffed
from stc_core.errors import StcError

CHUNK_CHARS = 1 << 23


class _Lines:
    """The lines of a file; it keeps those of the record that is being read.

    StcError for a record that is too long, such as one whose quote is never closed.
    """

    def __init__(self, handle: TextIOBase, name: str, *, escaped: bool) -> None:
        self.handle = handle
        self.name = name
        self.escaped = escaped
        self.record: list[str] = []
        self.backslash = False
        self.number = 0
        self.chars = 0
        self.record_start = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self.handle.readline(MOST_ROW_CHARS + 1)
        if not line:
            raise StopIteration
        if not self.record:
            self.record_start = self.chars
        if '\\"' in line or (self.escaped and "\\" in line):
            self.backslash = True
            line = unescape(line) if self.escaped else line
        self.record.append(line)
        self.number += 1
        self.chars += len(line)
        if self.chars - self.record_start > MOST_ROW_CHARS:
            first = self.number - len(self.record) + 1
            raise too_long(f"{self.name}, line {first}")
        return line


def csv_batches(
    handle: TextIOBase,
    name: str,
    sniffed: Sniffed,
    tally: Tally,
    *,
    chunk_rows: int,
    whole: bool,
) -> Iterator[pa.Table]:
    """Yield tables of at most `chunk_rows` rows.

    A row that repeats the header, as after joining two files, is noted. If the table is
    read `whole`, the cells of such a row are missing.
    """
    assert sniffed.delimiter is not None, sniffed
    lines = _Lines(handle, name, escaped=sniffed.escaped)
    reader = csv.reader(lines, delimiter=sniffed.delimiter, quoting=sniffed.quoting)
    heads = [_head(cell) for cell in _first_row(reader, lines)]
    check_width(heads, name)
    names, rows = header_names(heads, name), []
    lines.record.clear()
    for cells in _fitted(reader, lines, heads, name, sniffed, tally, whole=whole):
        rows.append(cells)
        if len(rows) == chunk_rows or lines.chars > CHUNK_CHARS:
            yield text_table(rows, names, tally)
            rows, lines.chars = [], 0
    yield text_table(rows, names, tally)


def _fitted(
    reader: Iterator[list[str]],
    lines: _Lines,
    heads: list[str],
    name: str,
    sniffed: Sniffed,
    tally: Tally,
    *,
    whole: bool,
) -> Iterator[Sequence[str | None]]:
    """Yield the rows after the header, as wide as the header; repairs are noted."""
    width, titles = len(heads), frozenset(heads)
    row, blanks = 0, 0
    last_record: list[str] = []
    for cells in reader:
        if not cells:
            blanks += (
                width == 1
            )  # in a table of one column an empty line is an empty cell
        else:
            row += blanks + 1
            yield from repeat(
                [""], blanks
            )  # empty lines at the end of the file are no rows
            blanks = 0
            if len(lines.record) > 1 or lines.backslash:
                _check_record(lines, name, sniffed, tally, row)
            if len(cells) != width:
                cells = _fit(cells, width, tally, row)
            elif width > 1 and cells[0].strip("\ufeff ") in titles:
                if _is_header(cells, heads, name, row):
                    tally.note("header", row)
                    cells = [None] * width if whole else cells
            yield cells
        last_record[:] = lines.record
        lines.record.clear()
    lines.record = last_record
    _check_quotes(lines, name, sniffed, row)


def _first_row(reader: Iterator[list[str]], lines: _Lines) -> list[str]:
    """The first row that is not blank, and not the 'sep=;' that Excel may write."""
    rows = (row for row in reader if any(cell.strip() for cell in row))
    first = next(rows, [])
    is_hint = bool(first) and EXCEL_HINT.match(lines.record[-1].lstrip("\ufeff"))
    return next(rows, []) if is_hint else first


def _head(cell: str) -> str:
    return cell.strip().lstrip("\ufeff").strip()


def header_names(cells: list[str], name: str) -> list[str]:
    """The column names, trimmed; a column without a name is called 'column n'."""
    names = [_head(cell) for cell in cells]
    names = [name or f"column {n}" for n, name in enumerate(names, 1)]
    columns_of: dict[str, list[int]] = {}
    for n, title in enumerate(names, 1):
        columns_of.setdefault(title, []).append(n)
    repeated = {
        title: positions
        for title, positions in columns_of.items()
        if len(positions) > 1
    }
    if repeated:
        message = "; ".join(
            f"{title!r} heads columns {' and '.join(map(str, positions))}"
            for title, positions in repeated.items()
        )
        raise StcError(
            f"{name}, header row",
            expected="a different name for each column",
            got=message,
            remedy="Rename or delete the repeated columns in the file.",
        )
    return [mend(title) for title in names]


def _is_header(cells: list[str], heads: list[str], name: str, row: int) -> bool:
    """Whether a row repeats the header.

    StcError if its columns are in another order, since the rows below it would not fit.
    """
    titles = [_head(cell) for cell in cells]
    if titles == heads:
        return True
    if sorted(titles) == sorted(heads):
        raise StcError(
            f"{name}, row {row}",
            expected=f"the columns {', '.join(map(repr, heads[:20]))} in this order",
            got=f"a second header with {', '.join(map(repr, titles[:20]))}",
            remedy="Use one order of columns in the files that were joined here.",
        )
    return False


def _fit(
    cells: list[str], width: int, tally: Tally, row: int
) -> list[str] | list[None]:
    """The row at the header's width: a short row is filled, a long one is emptied."""
    if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
        return cells[:width]
    if len(cells) > width:
        tally.note("long", row)
        return [None] * width
    tally.note("short", row)
    return cells + [""] * (width - len(cells))


def _strict_error(record: list[str], sniffed: Sniffed) -> csv.Error | None:
    """The error of a strict reader about the quotes of one record."""
    assert sniffed.delimiter is not None, sniffed
    strict = csv.reader(iter(record), delimiter=sniffed.delimiter, strict=True)
    try:
        for _ in strict:
            pass
    except csv.Error as error:
        return error
    return None


def _check_record(
    lines: _Lines, name: str, sniffed: Sniffed, tally: Tally, row: int
) -> None:
    r"""StcError if a record has swallowed other rows; a note if it has a lone quote."""
    if len(lines.record) > 1:
        _check_quotes(lines, name, sniffed, row)
    plain = sniffed.quoting == csv.QUOTE_NONE or sniffed.escaped
    if lines.backslash and not plain and _strict_error(lines.record, sniffed):
        tally.note("backslash", row)
    lines.backslash = False


def _check_quotes(lines: _Lines, name: str, sniffed: Sniffed, row: int) -> None:
    """StcError for a record whose quotes do not close: it has swallowed other rows."""
    if sniffed.quoting == csv.QUOTE_NONE or '"' not in "".join(lines.record[:1]):
        return
    error = _strict_error(lines.record, sniffed)
    if error and (len(lines.record) > 1 or "end of data" in str(error)):
        first = lines.number - len(lines.record) + 1
        raise StcError(
            f"{name}, row {row} (line {first})",
            expected='every quote " that opens a cell to be closed',
            got=f"a cell that goes on to line {lines.number} ({error})",
            remedy='Close the quote, or write a quote inside a cell as "".',
        ) from error
