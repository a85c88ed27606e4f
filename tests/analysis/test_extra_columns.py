"""The user's other columns: found again by row, or said to be gone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stc_core.analysis.extra_columns import MOST_VALUES, Facets, read_facets
from stc_core.config import DataConfig
from stc_core.data.corpus import Corpus, read_corpus

TABLE = pd.DataFrame(
    {
        "text": [f"words of text number {n}" for n in range(60)],
        "label": ["a", "b"] * 30,
        "channel": ["mail", "chat", ""] * 20,
        "same": "x",
        "own": range(60),
    }
)


def write(table: pd.DataFrame, path: Path) -> DataConfig:
    table.to_csv(path, index=False)
    return DataConfig(path=str(path), text="text", labels=("label",), split="", id="")


def facets(data: DataConfig, corpus: Corpus) -> Facets:
    return read_facets(data, corpus.frame, corpus.columns)


def test_columns_with_few_values_follow_their_rows(tmp_path):
    table = TABLE.copy()
    table.loc[7, "text"] = ""  # a row that the corpus leaves out
    data = write(table, tmp_path / "t.csv")
    corpus = read_corpus(data)
    found = facets(data, corpus)
    assert found.names == ["channel"]
    assert found.note == ""
    want = table["channel"].to_numpy()[corpus.frame["row"].to_numpy() - 1]
    assert found.frame["column:channel"].tolist() == want.tolist()
    assert len(found.frame) == 59


def test_numbers_count_as_values_too(tmp_path):
    table = TABLE.assign(stars=np.arange(60) % MOST_VALUES)
    data = write(table, tmp_path / "t.csv")
    assert facets(data, read_corpus(data)).names == ["channel", "stars"]


def test_rows_of_a_test_file_have_its_values(tmp_path):
    test = TABLE.assign(text="t " + TABLE["text"], channel="phone").drop(columns="own")
    test.to_csv(tmp_path / "test.csv", index=False)
    data = write(TABLE, tmp_path / "t.csv")
    data = data.model_copy(update={"test_path": str(tmp_path / "test.csv")})
    corpus = read_corpus(data)
    found = facets(data, corpus)
    of_test = (corpus.frame["file"] == "test").to_numpy()
    assert set(found.frame["column:channel"][of_test]) == {"phone"}
    assert set(found.frame["column:channel"][~of_test]) == {"mail", "chat", ""}


def test_coarser_labels_are_known_without_the_table(tmp_path):
    table = TABLE.assign(coarse=["c", "c", "d", "d"] * 15)
    table["label"] = table["coarse"] + table["label"]
    data = write(table, tmp_path / "t.csv")
    data = data.model_copy(update={"labels": ("coarse", "label")})
    corpus = read_corpus(data)
    (tmp_path / "t.csv").unlink()
    found = facets(data, corpus)
    assert found.names == ["coarse"]
    assert "t.csv was moved or removed" in found.note


@pytest.mark.parametrize("n", [60, 20])
def test_a_table_that_was_changed_is_not_believed(tmp_path, n):
    data = write(TABLE, tmp_path / "t.csv")
    corpus = read_corpus(data)
    write(TABLE.assign(text=TABLE["text"].tolist()[::-1]).head(n), tmp_path / "t.csv")
    found = facets(data, corpus)
    assert found.names == []
    assert "t.csv was changed" in found.note
