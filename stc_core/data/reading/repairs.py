"""The repairs made while a table is read, and the rows that needed them."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from stc_core.cells import json_text

_NAMED_ROWS = 100
_Kind = Literal["short", "long", "repaired", "header", "backslash"]

_STRAY_BYTES = re.compile("[\udc80-\udcff]+")
_STRAY_HALVES = re.compile("[\ud800-\udfff]")


@dataclass
class Tally:
    """The rows read so far, and the repairs that they needed.

    `short` rows had too few fields, `long` rows too many. `repaired` rows had bytes
    that do not belong to the encoding. `header` rows repeat the header. `backslash`
    rows have a quote written in another way than all others. Each kind is counted, and
    its first rows are named. `stray` is the codec for bytes that do not belong to the
    encoding.
    """

    rows: int = 0
    stray: str = "cp1252"
    counts: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[int]] = field(default_factory=dict)

    def note(self, what: _Kind, row: int) -> None:
        """Count a row, and name it if it is one of the first of its kind."""
        self.counts[what] += 1
        if self.counts[what] <= _NAMED_ROWS:
            self.named.setdefault(what, []).append(row)


def text_table(rows: list[Any], names: list[str], tally: Tally) -> pa.Table:
    """String columns of one chunk; cells that do not encode are repaired and noted."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    arrays, repaired = [], set()
    pool = (
        pa.system_memory_pool()
    )  # wastes half as much as Arrow's own pool on many chunks
    for cells in columns:
        try:
            arrays.append(pa.array(cells, pa.large_string(), memory_pool=pool))
        except (UnicodeEncodeError, pa.ArrowTypeError, pa.ArrowInvalid):
            texts = [_json_cell(cell) for cell in cells]
            mended = [text and mend(text, tally.stray) for text in texts]
            arrays.append(pa.array(mended, pa.large_string(), memory_pool=pool))
            for n, text in enumerate(texts, tally.rows + 1):
                if text and _STRAY_HALVES.search(text):
                    repaired.add(n)
    for n in sorted(repaired):
        tally.note("repaired", n)
    tally.rows += len(rows)
    return pa.table(arrays, names=names)


def mend(text: str, codec: str = "cp1252") -> str:
    """The text, with bytes that did not decode read with another codec."""
    if text.isascii():
        return text
    text = _STRAY_BYTES.sub(lambda match: _reread(match.group(), codec), text)
    return _STRAY_HALVES.sub("\ufffd", text)


def _reread(marks: str, codec: str) -> str:
    """The bytes read with `codec`; a byte that it does not know is read as Latin-1."""
    raw = marks.encode("ascii", "surrogateescape")
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return "".join(_reread_byte(byte, codec) for byte in raw)


def _reread_byte(byte: int, codec: str) -> str:
    try:
        return bytes([byte]).decode(codec)
    except UnicodeDecodeError:
        return bytes([byte]).decode("latin-1")


def _json_cell(value: Any) -> str | None:
    """The cell as text; other values as JSON."""
    return value if value is None or isinstance(value, str) else json_text(value)
