"""Any bytes at any entrance: the table that was written, or a sentence. Never more."""

import errno
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from helpers.faults.entrances import outcomes
from helpers.faults.generated_files import Generated, files
from helpers.faults.hostile_files import HOSTILE, parquet_of
from stc_core.data.reading import limits, sniff
from stc_core.data.table import iter_table, read_table
from stc_core.errors import StcError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("STC_HOME", str(tmp_path / "home"))
    return tmp_path


def faults_of(file: Generated, folder: Path) -> list[str]:
    found = [one for one in outcomes(file, folder) if one.fault]
    return [f"{one.entrance}: {one.fault}" for one in found]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_read_or_refused_in_a_sentence(name: str, tmp_path: Path):
    assert faults_of(Generated("table.csv", HOSTILE[name](1), None), tmp_path) == []


@settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=(
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.function_scoped_fixture,
    ),
)
@given(file=files())
def test_a_generated_file_is_right_or_refused_in_a_sentence(
    file: Generated, tmp_path_factory: pytest.TempPathFactory
):
    assert faults_of(file, tmp_path_factory.mktemp("generated")) == []


@pytest.mark.parametrize(
    "name",
    [
        "gz bomb of zeros",
        "gz bomb of one cell",
        "gz bomb of a JSON cell",
        "gz bomb of a JSON line",
        "gz bomb of JSON spaces",
    ],
)
def test_a_gzip_file_may_not_unpack_to_a_hundred_times_its_size(
    name: str, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(limits, "FREE_BYTES", 50_000)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(HOSTILE[name](1))
    with pytest.raises(StcError, match=r"t\.csv\.gz.*(unpacks to more|binary)"):
        read_table(path)


def test_a_packed_parquet_file_is_bounded_too(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(limits, "FREE_BYTES", 10)
    monkeypatch.setattr(limits, "MOST_TIMES_PACKED", 1)
    (tmp_path / "t.gz").write_bytes(gzip.compress(parquet_of(text=pa.array(["a"] * 9))))
    with pytest.raises(StcError, match="unpacks to more than"):
        read_table(tmp_path / "t.gz")


@pytest.mark.parametrize(
    ("suffix", "content", "place"),
    [
        ("csv", 'text,label\n"' + "never closed\n" * 50, "line 2"),
        ("csv", "text,label\n" + "a" * 400 + ",b\n", "line 2"),
        ("csv", "a" * 400, "line 1"),
        ("jsonl", '{"text": "a"}\n{"text": "' + "b" * 400 + '"}\n', "line 2"),
        ("json", '[{"text": "' + "b" * 2000 + '"}]', "a record that begins with"),
    ],
)
@pytest.mark.parametrize("read", [read_table, lambda path: list(iter_table(path))])
def test_a_row_that_is_too_long_is_named(
    suffix, content, place, read, tmp_path, monkeypatch
):
    from stc_core.data.reading import delimited, json_records

    for module in (limits, delimited, json_records):
        monkeypatch.setattr(module, "MOST_ROW_CHARS", 200)
    monkeypatch.setattr(json_records, "WINDOW_CHARS", 100)
    path = tmp_path / f"t.{suffix}"
    path.write_text(content)
    with pytest.raises(StcError, match=rf"t\.{suffix}, {place}.*at most 200 char"):
        read(path)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_too_many_columns_are_refused(kind: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_TABLE_COLUMNS", 5)
    names = [f"c{n}" for n in range(6)]
    record = ", ".join(f'"{name}": "1"' for name in names)
    content = {
        "csv": f"{','.join(names)}\n1,2,3,4,5,6\n".encode(),
        "jsonl": f"{{{record}}}\n".encode(),
        "parquet": parquet_of(**{name: pa.array(["1"]) for name in names}),
    }[kind]
    (tmp_path / f"t.{kind}").write_bytes(content)
    with pytest.raises(StcError, match="header: expected at most 5 columns; got 6"):
        read_table(tmp_path / f"t.{kind}")


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("sep=;\ntext;label\na b;x\n", ["text", "label"]),
        ("\ufeffsep=;\r\ntext;label\r\na b;x\r\n", ["text", "label"]),
        ("sep=;text;label\n1;a b;x\n", ["sep=", "text", "label"]),
        ("sep=;,text,label\n1,a b,x\n", ["sep=;", "text", "label"]),
        ("sep=,text\na b,x\n", ["sep=", "text"]),
    ],
)
def test_only_a_line_of_its_own_is_a_hint_of_excel(content, columns, tmp_path):
    (tmp_path / "t.csv").write_text(content, newline="")
    frame = read_table(tmp_path / "t.csv")
    assert list(frame.columns) == columns and len(frame) == 1


def test_times_that_python_lacks_are_text_in_every_chunk(tmp_path: Path):
    when = pa.array([0, None, 2**62]).cast(pa.timestamp("us"))
    table = pa.table(
        {
            "text": ["a", "b", "c"],
            "at": when,
            "near": when.slice(0, 1).take(pa.array([0, 0, 0])),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=1)
    first, *_ = chunks = list(iter_table(tmp_path / "t.parquet", chunk_rows=1))
    cells = [chunk["at"].iloc[0] for chunk in chunks]
    assert cells[0] == "1970-01-01 00:00:00.000000" and str(2**62) in cells[2]
    assert cells[1] is None or cells[1] != cells[1]
    assert str(first["near"].dtype).startswith("timestamp")


def test_text_that_is_not_utf8_names_the_column(tmp_path: Path):
    path = tmp_path / "t.parquet"
    path.write_bytes(HOSTILE["Parquet of wrong_utf8"](1))
    with pytest.raises(StcError, match=r"t\.parquet, column 'odd', row 1.*in UTF-8"):
        read_table(path)


def test_a_disk_that_fails_while_it_is_read_is_said(tmp_path: Path, monkeypatch):
    class Failing(io.BytesIO):
        def peek(self, size: int) -> bytes:
            return b"te"

        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "t.csv"
    path.write_text("text\na\n")
    monkeypatch.setattr(Path, "open", lambda self, mode: Failing())
    with pytest.raises(StcError, match=r"t\.csv: cannot be read \(Input/output"):
        sniff.sniff(path)


def test_of_two_even_delimiters_the_one_that_closes_all_quotes_is_taken(tmp_path):
    (tmp_path / "t.csv").write_text('"text";"label";"\',"\n",";"=c";"x"\n')
    frame = read_table(tmp_path / "t.csv")
    assert frame.to_numpy().tolist() == [[",", "=c", "x"]]
