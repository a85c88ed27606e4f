"""The kind of a file, from its first bytes: packing, format, encoding, delimiter.

Only a sample is read here; stc_core.data.table reads the rows.
"""

import codecs
import csv
import gzip
import io
import os
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

from stc_core.data.reading.charsets import (
    Candidate,
    likeliest_codecs,
    odd_share,
    text_codec,
    wide_encoding,
)
from stc_core.data.reading.dialect import sniff_dialect
from stc_core.data.reading.limits import Unpacked
from stc_core.errors import StcError

Format = Literal["csv", "tsv", "json", "jsonl", "parquet"]
SAMPLE_BYTES = 1 << 19
WINDOW_BYTES = 1 << 14
WINDOWS = 8
_BUFFER_BYTES = 1 << 16
WINDOWS_LINES = 500
JUDGED_BYTES = 1 << 15
STRAYS = 8
"""So many bytes that are not UTF-8 are enough to tell their code page."""
READABLE = "CSV, TSV, JSONL, JSON or Parquet, plain or .gz"

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
    (b"PARE", "an encrypted Parquet file"),
    (b"ARROW1", "an Arrow/Feather file"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
)
_HIGH = bytes(range(128, 256))
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x1a\x1b")) + b"\x7f"


class Encoding(NamedTuple):
    """The codec of a text, and the codec of single bytes that do not belong to it.

    `candidates` are the likeliest codecs if the codec was guessed, and `sure` says
    whether the guess is clear. Without a guess there are none.
    """

    codec: str
    stray: str = "cp1252"
    candidates: tuple[Candidate, ...] = ()
    sure: bool = True


class Sniffed(NamedTuple):
    """How to open a file; what concerns text only is None for other formats."""

    format: Format
    packed: bool
    encoding: str | None = None
    delimiter: str | None = None
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
    escaped: bool = False
    stray: str = "cp1252"
    candidates: tuple[Candidate, ...] = ()
    sure: bool = True


def sniff(
    path: Path, *, name: str | None = None, encoding: str | None = None
) -> Sniffed:
    """How to open the table at `path`, judged by content first, then by name.

    An `encoding` that is given is used as it is. `name` is the file's name in errors.
    StcError for a path that is missing, empty, a folder or not a table.
    """
    name = name or path.name
    codec = text_codec(encoding) if encoding else None
    head, rest, packed = read_sample(path, name)
    if not head.strip():
        raise StcError(name, expected="a table with a header row", got="an empty file")
    if head[:4] == b"PAR1":
        return Sniffed("parquet", packed)
    for magic, kind in _FOREIGN:
        if head.startswith(magic):
            raise StcError(
                name, expected=READABLE, got=kind, remedy="Save it as CSV (UTF-8)."
            )
    if codec is not None:
        detected = Encoding(_with_mark(codec, head))
    else:
        detected = sniff_encoding(head, rest, name=name)
    common = {
        "packed": packed,
        "encoding": detected.codec,
        "stray": detected.stray,
        "candidates": detected.candidates,
        "sure": detected.sure,
    }
    text = head.decode(detected.codec, "replace")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    format = sniff_format(text, suffixes, name=name)
    if format in ("json", "jsonl"):
        return Sniffed(format, **common)
    whole_lines = text if len(head) < SAMPLE_BYTES else _drop_last_line(text)
    dialect = sniff_dialect(whole_lines, prefer_tab=".tsv" in suffixes)
    format = "tsv" if dialect.delimiter == "\t" else "csv"
    return Sniffed(format, **common, **dialect._asdict())


def _with_mark(codec: str, head: bytes) -> str:
    """The codec that skips the byte-order mark, if the file begins with one."""
    for bom, marked in _BOMS:
        plain = codec.replace("-", "_").removesuffix("_le").removesuffix("_be")
        if head.startswith(bom) and plain.replace("_", "-") in (marked, marked[:5]):
            return marked
    if codec in ("utf-16", "utf-32"):  # without a mark the byte order is unknown
        wide = wide_encoding(head) or ""
        return wide if wide.startswith(codec) else f"{codec}-le"
    return codec


def read_sample(path: Path, name: str) -> tuple[bytes, bytes, bool]:
    """The first bytes, whole lines from the rest, and whether the file is gzipped.

    The lines of the rest come from a few positions, the end among them.
    """
    if not path.exists():
        similar = _similar_file(path)
        raise StcError(
            f"{path}: no such file",
            remedy=f"Did you mean {similar}?" if similar else "Check the path.",
        )
    if path.is_dir():
        raise StcError(
            f"{path}", expected=f"a file: {READABLE}", got="a folder of files"
        )
    with open_bytes(path, name) as (handle, packed):
        head = handle.read(SAMPLE_BYTES)
        size = path.stat().st_size
        if packed or size <= SAMPLE_BYTES:
            return head, b"", packed
        last = max(SAMPLE_BYTES, size - WINDOW_BYTES)
        step = max(1, (last - SAMPLE_BYTES) // (WINDOWS - 1))
        rest = []
        for position in sorted({*range(SAMPLE_BYTES, last, step), last}):
            handle.seek(position)
            part = handle.read(WINDOW_BYTES)
            rest += [] if part.isascii() else part.splitlines()[1:-1]
        return head, b"\n".join(rest), packed


class open_bytes:
    """A context manager for (binary handle, packed); gzip is recognised by content."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name

    def __enter__(self) -> tuple[io.BufferedIOBase, bool]:
        try:
            self.file = self.path.open("rb")
        except OSError as error:
            raise StcError(
                f"{self.name}: cannot be opened ({error.strerror})",
                remedy="Check that you may read it.",
            ) from error
        packed = self.file.peek(2)[:2] == b"\x1f\x8b"
        if not packed:
            return self.file, False
        n_bytes = os.fstat(self.file.fileno()).st_size
        unpacked = Unpacked(self.file, self.name, n_bytes)
        return io.BufferedReader(unpacked, _BUFFER_BYTES), True

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.file.close()
        if isinstance(error, (gzip.BadGzipFile, EOFError, zlib.error)):
            raise StcError(
                f"{self.name}: the gzip archive is damaged or cut short",
                got=str(error),
                remedy="Download or pack it again.",
            ) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise StcError(
                f"{self.name}: cannot be read ({error.strerror})",
                remedy="Check the disk, or copy the file to another one.",
            ) from error


def sniff_encoding(head: bytes, rest: bytes = b"", *, name: str = "file") -> Encoding:
    """The encoding of a text from its first bytes and some of its other lines.

    It is UTF-8 if some of the lines beyond ASCII are valid UTF-8: single wrong bytes
    are repaired later, row by row. StcError for binary content.
    """
    for bom, codec in _BOMS:
        if head.startswith(bom):
            return Encoding(codec)
    if b"\0" in head:
        if codec := wide_encoding(head):
            return Encoding(codec)
        raise _with_zeros(head, name)
    if len(head.translate(None, _CONTROL)) < 0.98 * len(head):
        raise _binary(name)
    if head.isascii() and rest.isascii():
        if b"\x1b" not in head:
            return Encoding("utf-8")
        reading = likeliest_codecs(head)  # seven-bit Japanese or Korean
        return Encoding(reading.encoding if "iso2022" in reading.encoding else "utf-8")
    if _is_utf8(head, cut=True) and _is_utf8(rest):
        return Encoding("utf-8")
    return _guess(head, rest)


def _guess(head: bytes, rest: bytes) -> Encoding:
    """The encoding of a text that is not entirely UTF-8."""
    is_cut = len(head) >= SAMPLE_BYTES or not head.endswith((b"\n", b"\r"))
    lines, plain = _lines_of(head, drop_last=is_cut and bool(rest or head.count(b"\n")))
    rest_lines, rest_plain = _lines_of(rest)
    lines, plain = lines + rest_lines, plain + rest_plain
    foreign = [line for line in lines if not _is_utf8(line)]
    if not foreign:
        return Encoding("utf-8")
    reading = likeliest_codecs(_some(foreign), _some(plain))
    first = reading.candidates[0]
    valid = [line for line in lines if _is_utf8(line)]
    if _are_mixed(_some(valid), first.encoding) and (
        len(valid) >= len(foreign) or not reading.is_dense
    ):
        is_clear = reading.sure and sum(map(_beyond_ascii, foreign)) >= STRAYS
        return Encoding("utf-8", stray=first.encoding if is_clear else "cp1252")
    return Encoding(first.encoding, "cp1252", reading.candidates, reading.sure)


def sniff_format(
    text: str, suffixes: list[str], *, name: str = "file"
) -> Literal["csv", "json", "jsonl"]:
    """JSON if the first bracket shows it, whatever the name; else a delimited table."""
    start = text.lstrip("\ufeff \t\r\n")
    named_json = any(s in (".json", ".jsonl", ".ndjson") for s in suffixes)
    inside = start[1:].lstrip()[:1]
    if start.startswith("["):
        return "json" if named_json or inside in ("{", "]") else "csv"
    if start.startswith("{") and (named_json or inside in ('"', "}")):
        return "jsonl"
    if named_json:
        raise StcError(
            name,
            expected="a list of records or one record a line",
            got=f"text that begins with {start[:20]!r}",
        )
    return "csv"


def _lines_of(
    part: bytes, *, drop_last: bool = False
) -> tuple[list[bytes], list[bytes]]:
    """The lines with bytes beyond ASCII, and some of the other lines."""
    if part.isascii():
        return [], part[:WINDOW_BYTES].splitlines()
    lines = part.splitlines()
    lines = lines[:-1] if drop_last and len(lines) > 1 else lines
    not_ascii = [line for line in lines if not line.isascii()]
    plain = [line for line in lines[:WINDOWS_LINES] if line.isascii()]
    return not_ascii, plain


def _are_mixed(sound: bytes, codec: str) -> bool:
    """Whether valid UTF-8 lines make at least as much sense as in the other codec."""
    if not sound:
        return False
    return odd_share(sound.decode("utf-8", "replace")) <= odd_share(
        sound.decode(codec, "replace")
    )


def _some(lines: list[bytes]) -> bytes:
    """Enough lines to judge by, from all parts of the text."""
    step = max(1, sum(map(len, lines)) // JUDGED_BYTES)
    return b"\n".join(lines[::step])[:JUDGED_BYTES]


def _beyond_ascii(line: bytes) -> int:
    """The number of bytes beyond ASCII."""
    return len(line) - len(line.translate(None, _HIGH))


def _is_utf8(text: bytes, *, cut: bool = False) -> bool:
    """Whether the bytes are UTF-8; with `cut` the last character may be incomplete."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(text, final=not cut)
    except UnicodeDecodeError:
        return False
    return True


def _drop_last_line(text: str) -> str:
    end = text.rfind("\n")
    return text[: end + 1] if end > 0 else text


def _with_zeros(head: bytes, name: str) -> StcError:
    """The error for a text with zero bytes, or for binary content."""
    n = head.count(0)
    if n > 0.01 * len(head) or not _is_utf8(head.replace(b"\0", b""), cut=True):
        return _binary(name)
    line = head[: head.index(0)].count(b"\n") + 1
    return StcError(
        f"{name}, line {line}",
        expected="text",
        got=f"{n} zero byte{'s' * (n != 1)} (NUL), which text does not have",
        remedy=f"Delete them, for example with: tr -d '\\000' < {name} > clean.csv",
    )


def _binary(name: str) -> StcError:
    return StcError(
        name,
        expected=READABLE,
        got="binary content",
        remedy="Export the table as CSV (UTF-8).",
    )


def _similar_file(path: Path) -> Path | None:
    """The file in the same folder with the most similar name."""
    from difflib import get_close_matches

    if not path.parent.is_dir():
        return None
    names = [p.name for p in path.parent.iterdir() if p.is_file()]
    matches = get_close_matches(path.name, names, n=1)
    return path.parent / matches[0] if matches else None
