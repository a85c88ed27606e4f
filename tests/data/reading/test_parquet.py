"""Parquet: every column and row comes in, and goes out as text that can be read."""

import datetime as dt
import decimal
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stc_core.cells import bytes_text
from stc_core.classifiers.predict_table import predict_file
from stc_core.config import DataConfig
from stc_core.data.corpus import inspect_corpus
from stc_core.data.table import iter_table, read_table
from stc_core.errors import StcError
from stc_core.frames import as_text, series

WHEN = dt.datetime(2024, 1, 2, 3, 4, 5)
STRUCT = {"n": 1, "who": {"name": "é", "raw": b"\xff"}, "at": WHEN}
STRUCT_JSON = {
    "n": 1,
    "who": {"name": "é", "raw": "base64:/w=="},
    "at": "2024-01-02T03:04:05",
}
COLUMNS: dict[str, tuple[pa.Array, object]] = {
    "long": (pa.array([list(range(2000)), None, []]), list(range(2000))),
    "struct": (pa.array([STRUCT, None, None]), STRUCT_JSON),
    "nested": (pa.array([[{"a": [1.5, None]}], None, None]), [{"a": [1.5, None]}]),
    "map": (
        pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        [["k", 1]],
    ),
    "fixed": (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)), [1, 2]),
    "large": (pa.array([["x"], None, []], pa.large_list(pa.string())), ["x"]),
    "text_bytes": (pa.array([b"caf\xc3\xa9", None, b""]), "café"),
    "bytes": (pa.array([b"\xff\x00", None, b""], pa.large_binary()), "base64:/wA="),
    "fixed_bytes": (pa.array([b"ab", None, b"cd"], pa.binary(2)), "ab"),
    "decimal": (pa.array([decimal.Decimal("1.50"), None, None]), "1.50"),
    "nothing": (pa.nulls(3), None),
    "category": (pa.array(["x", None, "y"]).dictionary_encode(), "x"),
    "view": (pa.array(["x", None, "y"], pa.string_view()), "x"),
    "uuid": (
        pa.ExtensionArray.from_storage(
            pa.uuid(), pa.array([b"0123456789abcdef", None, None], pa.binary(16))
        ),
        "0123456789abcdef",
    ),
}


class Same:
    classes_ = np.array(["a", "b"])

    def predict_proba(self, texts) -> np.ndarray:
        return np.tile([1.0, 0.0], (len(texts), 1))


def save(folder: Path, columns: dict[str, pa.Array]) -> Path:
    table = pa.table({"text": pa.array(["one", "two", "three"]), **columns})
    pq.write_table(table, folder / "t.parquet", row_group_size=2)
    return folder / "t.parquet"


def predicted(source: Path, suffix: str) -> pd.DataFrame:
    out = source.with_name(f"out{suffix}")
    assert predict_file(Same(), source, out, trained="text").rows == 3
    return read_table(out)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_every_type_is_written_whole(tmp_path, name, suffix):
    array, wanted = COLUMNS[name]
    back = predicted(save(tmp_path, {name: array}), suffix)
    cell, blank, _ = back[name].fillna("").tolist()
    assert blank == ""
    if isinstance(wanted, str) or wanted is None:
        assert cell == (wanted or "")
        return
    assert json.loads(cell) == wanted


@pytest.mark.parametrize("name", COLUMNS)
def test_parquet_keeps_every_type(tmp_path, name):
    array, _ = COLUMNS[name]
    source = save(tmp_path, {name: array})
    predict_file(Same(), source, tmp_path / "out.parquet", trained="text")
    back = pq.read_table(tmp_path / "out.parquet")
    kept = back.column(name).combine_chunks().to_pylist()
    assert len(kept) == 3 and back.column_names[:2] == ["text", name]
    if name != "uuid":
        assert kept == array.to_pylist()


@pytest.mark.parametrize("name", COLUMNS)
def test_every_type_can_be_a_label(tmp_path, name):
    array, wanted = COLUMNS[name]
    frame = read_table(save(tmp_path, {name: array}))
    cell, blank, _ = as_text(series(frame, name)).fillna("").tolist()
    assert blank == ""
    if isinstance(wanted, list):
        assert json.loads(cell) == wanted


def test_times_and_lengths_of_time(tmp_path):
    columns = {
        "at": pa.array([WHEN, None, None], pa.timestamp("us", "UTC")),
        "took": pa.array([dt.timedelta(hours=2), None, None]),
        "day": pa.array([WHEN.date(), None, None]),
    }
    back = predicted(save(tmp_path, columns), ".jsonl").iloc[0]
    assert back["at"] == "2024-01-02T03:04:05+00:00"
    assert (back["took"], back["day"]) == ("P0DT2H0M0S", "2024-01-02")


def test_names_with_spaces_stay_columns(tmp_path):
    columns = {" label ": pa.array(list("aba")), "x\t": pa.array([1, 2, 3])}
    source = save(tmp_path, columns)
    frame = read_table(source)
    assert list(frame.columns) == ["text", "label", "x"]
    assert frame["label"].tolist() == list("aba") and frame["x"].tolist() == [1, 2, 3]
    for suffix in (".csv", ".parquet"):
        assert list(predicted(source, suffix).columns[:3]) == ["text", "label", "x"]
    with pytest.raises(StcError, match="'label' heads columns 2 and 3"):
        read_table(save(tmp_path, {"label": columns[" label "], "label ": pa.nulls(3)}))


def test_the_index_of_a_frame_is_a_column(tmp_path):
    frame = pd.DataFrame({"text": list("abc")}, index=pd.Index(["k1", "k2", "k3"]))
    frame.to_parquet(tmp_path / "t.parquet")
    back = read_table(tmp_path / "t.parquet")
    assert back["index"].tolist() == ["k1", "k2", "k3"]
    own = {"__index_level_0__": pa.array([7, 8, 9])}
    assert "__index_level_0__" in read_table(save(tmp_path, own)).columns


def test_no_rows_have_columns_too(tmp_path):
    source = save(tmp_path, {"label": pa.array(list("aba"))})
    pq.write_table(pq.read_table(source).slice(0, 0), source)
    (chunk,) = iter_table(source)
    assert list(chunk.columns) == ["text", "label"] and not len(chunk)
    with pytest.raises(StcError, match="no rows"):
        read_table(source)


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"PARE" + bytes(99), "encrypted Parquet"),
        (b"PAR1" + bytes(99) + b"PAR1", "damaged, cut short or encrypted"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, raw, match):
    (tmp_path / "t.parquet").write_bytes(raw)
    with pytest.raises(StcError, match=match):
        read_table(tmp_path / "t.parquet")


def test_a_damaged_page_is_told(tmp_path):
    source = save(tmp_path, {"x": pa.array([f"value {n}" * 50 for n in range(3)])})
    raw = bytearray(source.read_bytes())
    raw[20:60] = bytes(40)
    source.write_bytes(raw)
    with pytest.raises(StcError, match=r"t\.parquet"):
        read_table(source)


def test_bytes_that_are_no_text_are_marked():
    assert bytes_text("é".encode()) == "é"
    assert bytes_text(b"a\0") == "base64:YQA="


def test_a_struct_that_is_read_as_a_text_is_told_with_its_fields(tmp_path):
    rows = [
        {"message": {"body": f"text {n}", "lang": "en"}, "kind": "ab"[n % 2]}
        for n in range(40)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    lines = "\n".join(map(json.dumps, rows))
    (tmp_path / "t.jsonl").write_text(lines, encoding="utf-8")
    said = []
    for name in ("t.parquet", "t.jsonl"):
        corpus = inspect_corpus(DataConfig(path=str(tmp_path / name)))
        assert json.loads(corpus.texts[0]) == rows[0]["message"]
        (found,) = (f for f in corpus.report.findings if f.kind == "nested")
        said.append(found.message)
    assert said[0] == said[1] and "with the fields body, lang" in said[0]
    assert "frame['body'] = frame['message'].str.get('body')" in said[0]
