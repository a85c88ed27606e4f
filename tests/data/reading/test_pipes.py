"""A table from a pipe is read whole, as the file would be, and leaves nothing."""

import gzip
import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from stc_core.data.reading.pipes import is_stream, regular_file
from stc_core.data.table import iter_table, read_table
from stc_core.errors import StcError

ROWS = 3000
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pipes by name")


@pytest.fixture(autouse=True)
def spool(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def content(kind: str) -> bytes:
    frame = pd.DataFrame({"text": [f"row {n}, é" for n in range(ROWS)], "label": "a"})
    if kind == "jsonl":
        return str(frame.to_json(orient="records", lines=True)).encode()
    if kind == "json":
        return str(frame.to_json(orient="records")).encode()
    if kind == "parquet":
        frame.to_parquet(out := io.BytesIO(), index=False)
        return out.getvalue()
    raw = frame.to_csv(index=False).encode()
    return gzip.compress(raw, 1) if kind == "csv.gz" else raw


@contextmanager
def fed(path: Path | int, raw: bytes) -> Iterator[None]:
    def feed() -> None:
        with open(path, "wb") as end:  # noqa: PTH123 - may be a number
            end.write(raw)

    writer = threading.Thread(target=feed)
    writer.start()
    yield
    writer.join()


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "json", "parquet"])
@pytest.mark.parametrize("way", ["fifo", "fd", "-"])
def test_no_row_of_a_pipe_is_lost(tmp_path, monkeypatch, spool, kind, way):
    raw = content(kind)
    if way == "-":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        frame = read_table("-")
    elif way == "fifo":
        os.mkfifo(tmp_path / "queue")
        with fed(tmp_path / "queue", raw):
            frame = read_table(tmp_path / "queue")
    else:
        source, sink = os.pipe()
        with fed(sink, raw):
            frame = read_table(f"/dev/fd/{source}")
        os.close(source)
    assert frame["text"].tolist() == [f"row {n}, é" for n in range(ROWS)]
    assert list(frame.columns) == ["text", "label"] and not list(spool.iterdir())


def piped(raw: bytes) -> str:
    """The path of a pipe that holds a few bytes."""
    source, sink = os.pipe()
    os.write(sink, raw)
    os.close(sink)
    return f"/dev/fd/{source}"


def test_chunks_of_a_pipe(spool):
    chunks = iter_table(piped(b"text\na\nb\nc\n"), chunk_rows=2)
    assert [chunk["text"].tolist() for chunk in chunks] == [["a", "b"], ["c"]]
    assert not list(spool.iterdir())


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"", "/dev/fd/[0-9]+: .*an empty file"),
        (b"text,label\n", "/dev/fd/[0-9]+: .*no rows"),
        (b'text,label\n"a,b\n', "/dev/fd/[0-9]+, row 1"),
        (b"PAR1 and no more", "/dev/fd/[0-9]+: .*damaged"),
        (b"\x1f\x8bnot", "/dev/fd/[0-9]+: .*gzip"),
    ],
)
def test_an_error_names_the_pipe_and_leaves_nothing(spool, raw, match):
    with pytest.raises(StcError, match=match):
        read_table(piped(raw))
    assert not list(spool.iterdir())


def test_a_full_disk_is_told(spool, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stc_core.data.reading.pipes.shutil.copyfileobj", full)
    with pytest.raises(StcError, match=r"No space left.*TMPDIR"):
        read_table(piped(b"text\na\n"))
    assert not list(spool.iterdir())


def test_a_file_is_itself(tmp_path):
    (tmp_path / "t.csv").write_text("a\nb\n")
    with regular_file(tmp_path / "t.csv") as file:
        assert file == tmp_path / "t.csv"
    assert not is_stream(tmp_path) and not is_stream(tmp_path / "none")


def test_a_closed_standard_input_is_said(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(StcError, match="it is closed"), regular_file("-"):
        pass
