"""A corpus from files: what is kept, named, refused, and how it is split."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stc_core.config import DataConfig
from stc_core.data.corpus import inspect_corpus, read_corpus
from stc_core.data.findings import Finding
from stc_core.errors import StcError


def rows(n: int = 60, k: int = 3, stem: str = "text") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "text": [f"{stem} number {i}" for i in range(n)],
            "label": [f"c{i % k}" for i in range(n)],
        }
    )


def save(frame: pd.DataFrame, folder: Path, name: str = "data.csv") -> str:
    path = folder / name
    frame.to_csv(path, index=False)
    return str(path)


def found(frame: pd.DataFrame, folder: Path, **data: object) -> dict[str, Finding]:
    config = DataConfig.model_validate({"path": save(frame, folder), **data})
    corpus = inspect_corpus(config)
    kinds = [f.kind for f in corpus.report.findings]
    assert len(kinds) == len(set(kinds)), kinds
    return {f.kind: f for f in corpus.report.findings}


def test_clean_data_has_no_findings(tmp_path):
    corpus = read_corpus(DataConfig(path=save(rows(), tmp_path)))
    assert corpus.report.findings == ()
    assert corpus.report.n_rows == corpus.report.n_used == 60
    assert list(corpus.texts) == rows()["text"].tolist()
    assert corpus.labels.tolist() == rows()["label"].tolist()
    assert corpus.classes == ("c0", "c1", "c2")
    assert corpus.frame["row"].tolist() == list(range(1, 61))
    assert list(corpus.frame.columns) == ["row", "file", "id", "text", "label", "split"]
    assert corpus.report.classes["c1"] == {"train": 13, "validation": 3, "test": 4}
    assert {s: len(corpus.rows(s)) for s in ("train", "validation", "test")} == {
        "train": 39,
        "validation": 9,
        "test": 12,
    }
    assert corpus.parents == {}


def test_the_seed_decides_the_split(tmp_path):
    data = DataConfig(path=save(rows(), tmp_path))
    frames = [read_corpus(data, seed=seed).frame for seed in (0, 0, 1)]
    pd.testing.assert_frame_equal(frames[0], frames[1])
    assert frames[0]["split"].tolist() != frames[2]["split"].tolist()


def test_string_labels_are_kept(tmp_path):
    table = rows()
    table["label"] = ["001", "NA", "None", "1.0", "null", " pad "] * 10
    corpus = read_corpus(DataConfig(path=save(table, tmp_path)))
    assert corpus.classes == ("001", "1.0", "NA", "None", "null", "pad")


def test_integer_labels_with_gaps_in_parquet(tmp_path):
    table = rows().assign(label=[float(i % 2) for i in range(60)])
    table.loc[5, "label"] = np.nan
    table.to_parquet(tmp_path / "t.parquet")
    corpus = read_corpus(DataConfig(path=str(tmp_path / "t.parquet")))
    assert corpus.classes == ("0", "1")
    assert corpus.report.findings[0].rows == (6,)


def test_unusable_rows_are_left_out_and_named(tmp_path):
    table = rows()
    table.loc[[3, 8], "text"] = ["", " \t\u00a0"]
    table.loc[[8, 11], "label"] = ["", " "]
    got = found(table, tmp_path)
    assert got["empty_text"].rows == (4, 9)
    assert got["missing_label"].rows == (12,)
    corpus = read_corpus(DataConfig(path=save(table, tmp_path)))
    assert corpus.report.n_used == 57
    assert not set(corpus.frame["row"]) & {4, 9, 12}
    assert corpus.frame.index.tolist() == list(range(57))


def test_rows_with_too_many_fields_are_told_once(tmp_path):
    path = tmp_path / "t.csv"
    lines = rows().to_csv(index=False).splitlines()
    lines[7] = "a, comma,c0"
    lines[9] = "short"
    path.write_text("\n".join(lines))
    report = read_corpus(DataConfig(path=str(path))).report
    assert {f.kind: f.rows for f in report.findings} == {
        "long": (7,),
        "short": (9,),
        "missing_label": (9,),
    }


def test_repeats_and_conflicts(tmp_path):
    table = rows()
    table.loc[30, ["text", "label"]] = table.loc[0, ["text", "label"]].tolist()
    table.loc[31, ["text", "label"]] = [f"  {table.loc[0, 'text']} ", "c0"]
    table.loc[40, ["text", "label"]] = [table.loc[1, "text"], "c2"]
    got = found(table, tmp_path)
    assert got.keys() == {"duplicate", "conflict"}
    assert got["duplicate"].rows == (31, 32)
    assert got["conflict"].rows == (2, 41)


def test_equal_texts_never_straddle_our_split(tmp_path):
    table = pd.concat([rows(40), rows(40), rows(10)], ignore_index=True)
    for seed in range(5):
        corpus = read_corpus(DataConfig(path=save(table, tmp_path)), seed=seed)
        pairs = set(zip(corpus.texts, corpus.frame["split"], strict=True))
        assert len(pairs) == len(set(corpus.texts))
        assert "leak" not in {f.kind for f in corpus.report.findings}


def test_class_sizes(tmp_path):
    table = pd.concat([rows(40, 2), rows(9, 1, "few").assign(label="few")])
    got = found(table, tmp_path)
    assert got.keys() == {"class_small"}
    assert got["class_small"].rows == tuple(range(41, 50))
    table = pd.concat([table, rows(1, 1, "lone").assign(label="lone")])
    path = save(table, tmp_path)
    message = re.escape("Class 'lone' has only one row to learn from: row 50.")
    with pytest.raises(StcError, match=message):
        read_corpus(DataConfig(path=path))


def test_a_class_that_most_rows_have_is_named(tmp_path):
    table = pd.concat([rows(70, 1), rows(30, 1, "few").assign(label="few")])
    got = found(table, tmp_path)["imbalance"].message
    assert "70 % of the rows are 'c0'" in got and "--criterion" in got
    assert "imbalance" not in found(table.iloc[1:], tmp_path)


def table_of(labels: list) -> pd.DataFrame:
    return pd.DataFrame(
        {"text": [f"t {i}" for i in range(len(labels))], "label": labels}
    )


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (list(np.linspace(0, 1, 60)), "label_continuous"),
        ([f"{x:.2f}" for x in np.arange(1200) % 30 / 7], "label_continuous"),
        ([f"user{i}" for i in range(60)], "label_id"),
        ([f"c{i % 5000}" for i in range(10_000)], "classes_too_many"),
        (["same"] * 60, "one_class"),
        ([""] * 60, "no_rows"),
    ],
)
def test_labels_that_are_none(tmp_path, labels, kind):
    data = DataConfig(path=save(table_of(labels), tmp_path), labels=("label",))
    errors = inspect_corpus(data).report.errors
    assert [f.kind for f in errors] == [kind]
    with pytest.raises(StcError, match=r"data\.csv: "):
        read_corpus(data)


def test_numbers_for_a_text_are_told(tmp_path):
    table = pd.DataFrame(
        {"amount": [f"{k}.5" for k in range(40)], "label": ["a", "b"] * 20}
    )
    data = DataConfig(path=save(table, tmp_path), text="amount", labels=("label",))
    found = {f.kind: f for f in inspect_corpus(data).report.findings}
    assert found["text_numbers"].severity == "warning"
    assert "'amount' holds numbers" in found["text_numbers"].message
    words = table.assign(amount=[f"{k} parcels" for k in range(40)])
    data = DataConfig(path=save(words, tmp_path), text="amount", labels=("label",))
    kinds = [f.kind for f in inspect_corpus(data).report.findings]
    assert "text_numbers" not in kinds


@pytest.mark.parametrize("labels", [[1, 2, 3, 4] * 15, ["0.5", "1.0", "1.5"] * 20])
def test_ratings_are_classes(tmp_path, labels):
    assert found(table_of(labels), tmp_path) == {}


def test_odd_class_names(tmp_path):
    labels = ["spam", "ham", "Spam", "nan"] * 15
    got = found(table_of(labels), tmp_path)
    assert got.keys() == {"label_variants", "label_null_word"}
    assert got["label_null_word"].rows[:2] == (4, 8)
    assert got["label_variants"].count == 15


def test_a_file_without_header_is_told(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("\n".join(f"{'hs'[i % 2]}am\ttext {i}" for i in range(40)))
    corpus = inspect_corpus(DataConfig(path=str(path)))
    assert [f.kind for f in corpus.report.findings] == ["no_header"]


@pytest.mark.parametrize("where", ["column", "file"])
def test_leaks_and_unseen_labels(tmp_path, where):
    train, test = rows(60), rows(10, 3, "test")
    test.loc[2, "text"] = train.loc[7, "text"]
    test.loc[3, "label"] = "new"
    if where == "file":
        other = save(test, tmp_path, "test.csv")
        path = save(train, tmp_path)
        data, shift = DataConfig(path=path, test_path=other), 0
    else:
        both = pd.concat([train.assign(Set="Training"), test.assign(Set="holdout")])
        data, shift = DataConfig(path=save(both, tmp_path)), 60
    corpus = read_corpus(data)
    got = {f.kind: f for f in corpus.report.findings}
    inside = {"conflict"} if where == "column" else set()  # c1 in train, c2 in test
    assert got.keys() == {"leak", "unseen_label"} | inside
    assert got["leak"].rows == (3 + shift,)
    assert got["unseen_label"].rows == (4 + shift,)
    assert got["leak"].file == ("test" if where == "file" else "data")
    assert corpus.classes == ("c0", "c1", "c2")
    assert (corpus.report.n_rows, corpus.report.n_used) == (70, 69)
    assert len(corpus.rows("test")) == 9
    assert len(corpus.rows("validation")) == 9
    assert set(corpus.frame["file"]) <= {"data", "test"}


def test_split_words_and_strangers(tmp_path):
    table = rows().assign(split=["train", "TRAIN", "Dev", "valid", "eval"] * 12)
    corpus = read_corpus(DataConfig(path=save(table, tmp_path)))
    assert len(corpus.rows("validation")) == 24
    assert len(corpus.rows("test")) == 12
    table.loc[4, "split"] = "later"
    with pytest.raises(StcError, match=r"row 5: expected train.*'later'"):
        read_corpus(DataConfig(path=save(table, tmp_path), split="split"))
    table["split"] = "test"
    path = save(table, tmp_path)
    with pytest.raises(StcError, match="no usable row as train"):
        read_corpus(DataConfig(path=path))


def test_two_tests_are_refused(tmp_path):
    table = rows().assign(split=["train", "train", "test"] * 20)
    other = save(rows(9, 3, "other"), tmp_path, "test.csv")
    with pytest.raises(StcError, match="20 rows marked test"):
        read_corpus(DataConfig(path=save(table, tmp_path), test_path=other))


def test_the_test_file_needs_the_columns(tmp_path):
    other = save(rows().rename(columns={"label": "lable"}), tmp_path, "test.csv")
    data = DataConfig(path=save(rows(), tmp_path), test_path=other)
    with pytest.raises(
        StcError, match=r"test\.csv: label column.*Did you mean 'lable'"
    ):
        read_corpus(data)


def levels() -> pd.DataFrame:
    fine = [f"f{i % 6}" for i in range(120)]
    coarse = ["even" if i % 2 == 0 else "odd" for i in range(120)]
    return rows(120).drop(columns="label").assign(coarse=coarse, fine=fine)


def test_levels(tmp_path):
    data = DataConfig(path=save(levels(), tmp_path), labels=("coarse", "fine"))
    corpus = read_corpus(data)
    assert corpus.report.findings == ()
    assert corpus.frame["label_1"].tolist() == levels()["coarse"].tolist()
    assert corpus.frame["label_2"].tolist() == corpus.labels.tolist()
    assert corpus.parents == {
        "label_1": {f"f{i}": "odd" if i % 2 else "even" for i in range(6)}
    }


def test_a_child_of_two_parents(tmp_path):
    table = levels()
    table.loc[6, "coarse"] = "odd"
    got = found(table, tmp_path, labels=("coarse", "fine"))
    assert got.keys() == {"several_parents"}
    assert got["several_parents"].rows == (7,)
    assert "'f0'" in got["several_parents"].message
    corpus = read_corpus(
        DataConfig(path=save(table, tmp_path), labels=("coarse", "fine"))
    )
    assert corpus.parents["label_1"]["f0"] == "even"


def test_levels_from_fine_to_coarse_are_told(tmp_path):
    got = found(levels(), tmp_path, labels=("fine", "coarse"))
    assert got.keys() == {"level_order"}


def test_ids(tmp_path):
    table = rows().assign(uid=[f"u{i}" for i in range(60)])
    corpus = read_corpus(DataConfig(path=save(table, tmp_path)))
    assert corpus.columns.id == "uid"
    assert corpus.frame["id"].tolist() == table["uid"].tolist()
    corpus = read_corpus(DataConfig(path=save(rows(), tmp_path)))
    assert corpus.frame["id"].tolist() == [str(n) for n in range(1, 61)]


def test_rows_without_a_reply_are_named_and_left_out(tmp_path):
    table = rows().assign(answer=[f" answer {n} " for n in range(len(rows()))])
    table.loc[[3, 8], "answer"] = ["", "  "]
    table.loc[8, "label"] = ""
    path = save(table, tmp_path)
    data = DataConfig(path=path, labels=("label",), reply="answer")
    corpus = read_corpus(data)
    kinds = {f.kind: f.rows for f in corpus.report.findings}
    assert kinds["missing_reply"] == (4,) and kinds["missing_label"] == (9,)
    assert corpus.frame["reply"].tolist()[0] == "answer 0"
    assert len(corpus.frame) == len(table) - 2
    with pytest.raises(StcError, match="a reply that follows"):
        read_corpus(DataConfig(path=path, thought="answer"))
    with pytest.raises(StcError, match=r"reply column 'anser'.*'answer'"):
        read_corpus(DataConfig(path=path, reply="anser"))
    test = DataConfig(path=path, test_path=save(rows(), tmp_path, "t.csv"))
    with pytest.raises(StcError, match=r"t\.csv: reply column 'answer'"):
        read_corpus(test.model_copy(update={"reply": "answer", "labels": ("label",)}))
