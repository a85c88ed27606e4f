"""What a file is, from its first bytes: packing, format, encoding, delimiter.

Nothing here reads more than a sample; stc_core.table reads the rows.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

from charset_normalizer import from_bytes

from stc_core.errors import StcError

Format = Literal["csv", "tsv", "json", "jsonl", "parquet"]
SAMPLE_BYTES = 1 << 19
TAIL_BYTES = 1 << 16
SNIFF_ROWS = 200
DELIMITERS = ",\t;|"
READABLE = "CSV, TSV, JSONL, JSON or Parquet, plain or .gz"

# The default limit of 128 KiB a cell would refuse long documents.
csv.field_size_limit(2**31 - 1)

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FOREIGN = (
    (b"PK\x03\x04", "an Excel workbook or a zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a rich-text document"),
    (b"SQLite format 3", "an SQLite data base"),
    (b"ARROW1", "an Arrow/Feather file"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
)
_WIDE = [f"utf_{n}{end}" for n in (7, 16, 32) for end in ("", "_le", "_be")]
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x1a\x1b")) + b"\x7f"


class Sniffed(NamedTuple):
    """How to open a file; encoding, delimiter and quoting are None outside of text."""

    format: Format
    packed: bool
    encoding: str | None = None
    delimiter: str | None = None
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL


def sniff(path: Path) -> Sniffed:
    """How to open the table at `path`, judged by content first, then by name.

    Raises StcError for what is missing, empty, a folder or not a table.
    """
    head, tail, packed = read_sample(path)
    if not head.strip():
        raise StcError(
            f"{path.name}", expected="a table with a header row", got="an empty file"
        )
    if head[:4] == b"PAR1":
        return Sniffed("parquet", packed)
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            raise StcError(
                path.name, expected=READABLE, got=what, remedy="Save it as CSV (UTF-8)."
            )
    encoding = sniff_encoding(head, tail, name=path.name)
    text = head.decode(encoding, "replace")
    suffixes = [s.lower() for s in path.suffixes]
    format = sniff_format(text, suffixes)
    if format in ("json", "jsonl"):
        return Sniffed(format, packed, encoding)
    whole_lines = text if len(head) < SAMPLE_BYTES else _drop_last_line(text)
    delimiter, quoting = sniff_dialect(whole_lines, prefer_tab=".tsv" in suffixes)
    format = "tsv" if delimiter == "\t" else "csv"
    return Sniffed(format, packed, encoding, delimiter, quoting)


def read_sample(path: Path) -> tuple[bytes, bytes, bool]:
    """The first bytes, the last bytes when there are more, and whether gzip-packed."""
    if not path.exists():
        near = _similar_file(path)
        raise StcError(
            f"{path}: no such file",
            remedy=f"Did you mean {near}?" if near else "Check the path.",
        )
    if path.is_dir():
        raise StcError(
            f"{path}", expected=f"a file: {READABLE}", got="a folder of files"
        )
    with open_bytes(path) as (handle, packed):
        head = handle.read(SAMPLE_BYTES)
        if packed or path.stat().st_size <= SAMPLE_BYTES:
            return head, b"", packed
        handle.seek(-TAIL_BYTES, io.SEEK_END)
        return head, handle.read(), packed


class open_bytes:
    """A context with (binary handle, packed): gunzips by content, not by name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> tuple[io.BufferedIOBase, bool]:
        try:
            self.file = self.path.open("rb")
        except OSError as error:
            raise StcError(
                f"{self.path}: cannot be opened ({error.strerror})",
                remedy="Check that you may read it.",
            ) from error
        packed = self.file.peek(2)[:2] == b"\x1f\x8b"
        return (gzip.GzipFile(fileobj=self.file) if packed else self.file), packed

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.file.close()
        if isinstance(error, (gzip.BadGzipFile, EOFError, zlib.error)):
            raise StcError(
                f"{self.path.name}: the gzip archive is damaged or cut short",
                got=str(error),
                remedy="Download or pack it again.",
            ) from error


def sniff_encoding(head: bytes, tail: bytes = b"", *, name: str = "file") -> str:
    """The codec that reads the bytes.

    UTF-8 wins as soon as some of the lines that are not ASCII are valid in it: stray
    bytes are mended later, row by row. Raises StcError for binary content.
    """
    for bom, codec in _BOMS:
        if head.startswith(bom):
            return codec
    if b"\0" in head:
        return _wide_encoding(head, name)
    if len(head.translate(None, _CONTROL)) < 0.98 * len(head):
        raise _binary(name)
    lines = [line for line in (head + b"\n" + tail).splitlines() if not line.isascii()]
    if len(lines) > 1 and not (tail or len(head) < SAMPLE_BYTES):
        lines = lines[:-1]  # may be cut in the middle of a character
    foreign = [line for line in lines if not _is_utf8(line)]
    if not foreign or (len(foreign) == 1 and _is_utf8(_uncut(foreign[0]))):
        return "utf-8"
    sample = b"\n".join(foreign)[:TAIL_BYTES]
    legacy = _legacy_encoding(sample)
    sound = len(lines) - len(foreign)
    mixed = sound > 0 if legacy == "cp1252" else sound >= len(foreign)
    return "utf-8" if mixed else legacy


def sniff_format(text: str, suffixes: list[str]) -> Literal["csv", "json", "jsonl"]:
    """JSON by its first bracket, whatever the name says; else a delimited table."""
    start = text.lstrip()
    named_json = any(s in (".json", ".jsonl", ".ndjson") for s in suffixes)
    if start.startswith("["):
        inside = start[1:].lstrip()[:1]
        return "json" if named_json or inside in ("{", "]") else "csv"
    if start.startswith('{"') or (named_json and start.startswith("{")):
        return "jsonl"
    if named_json:
        raise StcError(
            "JSON file",
            expected="a list of records or one record a line",
            got=f"text that begins with {start[:20]!r}",
        )
    return "csv"


def sniff_dialect(text: str, *, prefer_tab: bool) -> tuple[str, Literal[0, 3]]:
    """(delimiter, csv quoting) under which rows have as many fields as the header.

    Quotes are plain characters when only that reading gives even rows.
    """
    if text.startswith("sep=") and text[4:5] in DELIMITERS:
        return text[4], csv.QUOTE_MINIMAL
    best, chosen = (0.0, 0), "\t" if prefer_tab else ","
    for delimiter in DELIMITERS:
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
        return chosen, csv.QUOTE_NONE
    return chosen, csv.QUOTE_MINIMAL


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


def _wide_encoding(head: bytes, name: str) -> str:
    """utf-16 without a mark, told by which byte of the pairs is zero."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = max(1, len(head) // 2)
    if odd > 0.3 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.3 * half and odd < 0.05 * half:
        return "utf-16-be"
    raise _binary(name)


def _legacy_encoding(sample: bytes) -> str:
    """cp1252 for Latin script, unless its letters make no words; else the detector's.

    Latin script has few bytes beyond ASCII; there the detector alone is unsure.
    """
    beyond = sum(byte > 127 for byte in sample)
    letters = len(re.findall(rb"[A-Za-z]", sample))
    if beyond < 0.45 * (beyond + letters):
        text = sample.decode("cp1252", "replace")
        if len(re.findall(r"[a-z][¹³¿¼½¾¶º¸ª¢±][a-z]", text)) <= 0.05 * beyond:
            return "cp1252"
    found = from_bytes(sample, cp_exclusion=_WIDE).best()
    return found.encoding if found else "cp1252"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _uncut(line: bytes) -> bytes:
    """The line without a character cut in two at its start or end."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    start = 0
    while start < min(3, len(line)) and line[start] & 0xC0 == 0x80:
        start += 1
    try:
        return decoder.decode(line[start:]).encode()
    except UnicodeDecodeError:
        return line


def _drop_last_line(text: str) -> str:
    end = text.rfind("\n")
    return text[: end + 1] if end > 0 else text


def _binary(name: str) -> StcError:
    return StcError(
        name,
        expected=READABLE,
        got="binary content",
        remedy="Export the table as CSV (UTF-8).",
    )


def _similar_file(path: Path) -> Path | None:
    from difflib import get_close_matches

    if not path.parent.is_dir():
        return None
    names = [p.name for p in path.parent.iterdir() if p.is_file()]
    near = get_close_matches(path.name, names, n=1)
    return path.parent / near[0] if near else None
