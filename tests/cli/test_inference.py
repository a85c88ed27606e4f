"""The commands that use a run whose classifier knows one word."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.command import Stc
from helpers.runs.fake_recipe import metrics, train
from stc_core.config import DataConfig, RunConfig
from stc_core.data.table import read_table
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

pytestmark = pytest.mark.usefixtures("own_home")

EXPLANATION = {
    "label": "spam",
    "probabilities": {"ham": 0.25, "spam": 0.75},
    "logits": {"ham": 0.0, "spam": 1.1},
    "bias": {"ham": 0.0, "spam": 0.1},
    "neurons": [
        {
            "site": "mlp.5",
            "layer": 5,
            "index": n,
            "pooling": "max",
            "activation": 1.0,
            "contribution": {"ham": 0.0, "spam": value},
        }
        for n, value in enumerate([0.2, 1.5, -0.7] + [0.0] * 10)
    ],
    "tokens": [
        {
            "start": 0,
            "end": 0,
            "text": "[CLS]",
            "unknown": False,
            "contribution": {"spam": 0.1},
        },
        {
            "start": 0,
            "end": 3,
            "text": "win",
            "unknown": False,
            "contribution": {"spam": 1.0},
        },
        {
            "start": 4,
            "end": 8,
            "text": "mum",
            "unknown": False,
            "contribution": {"spam": -0.4},
        },
    ],
}


class ByWord:
    classes_ = np.array(["ham", "spam"])

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        spam = np.array(["win" in text for text in texts], dtype=float)
        return np.stack([1 - spam, spam], axis=1)

    def explain(self, text: str) -> dict[str, Any]:
        return EXPLANATION


@pytest.fixture
def run(table: Path, monkeypatch) -> Path:
    """A finished run whose classifier knows one word."""
    folder = table.parent / "run"
    config = RunConfig(data=DataConfig(path=str(table)))
    with RunWriter(folder, config) as writer:
        train(config, writer)
    monkeypatch.setattr(Run, "classifier", lambda self: ByWord())
    return folder


def test_explain_shows_the_decision(stc: Stc, run: Path):
    said = stc("explain", run, "--text", "win [red]")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "spam  75.0 %" and "ham 25.0 %" in lines[1]
    assert "win [red]" in said.out  # what looks like markup is shown as it is
    neurons = [line for line in lines if "mlp.5 #" in line]
    assert "mlp.5 #1 · max" in neurons[0] and "+1.50" in neurons[0]
    assert "mlp.5 #2 · max" in neurons[1] and "−0.70" in neurons[1]
    assert "3 other neurons" in said.out and "+1.10" in said.out


def test_explain_as_json_is_only_json(stc: Stc, run: Path):
    said = stc("explain", run, "--text", "win", "--json")
    assert json.loads(said.out) == EXPLANATION | {"cut": False}


def test_texts_that_were_cut_are_told(stc: Stc, run_folder: Path, tmp_path: Path):
    long, out = "where is my parcel " * 200, tmp_path / "out.csv"
    table = tmp_path / "new.csv"
    pd.DataFrame({"text": [long, "hello", ""]}).to_csv(table, index=False)
    said = stc("predict", run_folder, table, "--out", out, "--json")
    assert json.loads(said.out)["cut"] == 1
    assert "info: 1 of 3 texts are longer than" in said.err
    said = stc("explain", run_folder, "--text", long, "--json")
    assert json.loads(said.out)["cut"] is True
    assert "The text is longer than" in said.err
    said = stc("explain", run_folder, "--text", "hello")
    assert "longer than" not in said.err


def test_labels_of_another_table_are_named_beside_those_of_the_run(
    stc: Stc, run: Path, tmp_path: Path
):
    table = tmp_path / "new.csv"
    rows = "".join(f"hey,{name}\n" for name in "abcdefghijkl")
    table.write_text(f"text,kind\n{rows}")
    command = ("predict", run, table, "--out", tmp_path / "o.csv", "--label", "kind")
    for options in ((), ("--json",)):
        said = stc(*command, *options)
        assert said.code == 0
        assert "known label in 'kind'" in said.err
        assert "The column has 'a', 'b'" in said.err and "and 2 more" in said.err
        assert "the classifier knows 'ham', 'spam'." in said.err
    assert json.loads(said.out)["score"] is None


def test_explain_takes_a_row_of_the_table(stc: Stc, run_folder: Path):
    """Its explanation is that of the head that predicted it, if not asked otherwise."""
    corpus, table = Run(run_folder).corpus, Run(run_folder).predictions
    example = int(table.loc[~table["correct"] & (table["fold"] >= 0), "row"].iloc[0])
    row, predicted = corpus["row"][example], table["predicted"][example]
    said = stc("explain", run_folder, "--row", row)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].startswith(f"{predicted}  ")
    assert lines[2] == "By a classifier made without this text."
    told = json.loads(stc("explain", run_folder, "--row", row, "--json").out)
    assert (told["label"], told["fold"]) == (predicted, table["fold"][example])
    final = stc("explain", run_folder, "--row", row, "--final").out.splitlines()
    assert final[2] == "By the final classifier, which has learned this text."


@pytest.mark.parametrize("options", [(), ("--row", 1, "--text", "win")])
def test_explain_takes_a_text_or_a_row(stc: Stc, run: Path, options):
    said = stc("explain", run, *options)
    assert said.code == 2 and "expected either --text or --row" in said.err


def test_report_names_the_layer_and_what_is_missing(stc: Stc, run: Path):
    """Layer 3 of 6 is not the last layer, and a baseline can have failed."""
    told = metrics()
    told["baselines"]["last_layer"] |= {"layer": 3}
    del told["baselines"]["all_sites"]
    told["missing"] = {"all_sites": "MemoryError: no room"}
    before = (run / "metrics.json").read_text("utf-8")
    (run / "metrics.json").write_text(json.dumps(told), "utf-8")
    said = stc("report", run)
    (run / "metrics.json").write_text(before, "utf-8")
    assert said.code == 0 and "Layer 3, dense" in said.out
    assert "All sites, dense is missing: MemoryError: no room" in said.out


def test_report_as_json_is_metrics_json(stc: Stc, run: Path):
    assert json.loads(stc("report", run, "--json").out) == metrics()


def test_predict_scores_a_file_that_has_labels(stc: Stc, run: Path, tmp_path: Path):
    table = tmp_path / "new.csv"
    table.write_text("text,kind\nyou win,spam\nhello,ham\nhi,spam\nhey,?\nyo,\n")
    out = tmp_path / "out.csv"
    said = stc("predict", run, table, "--out", out, "--label", "kind")
    assert said.code == 0, said.err
    guess = read_table(out)["predicted_label"].tolist()[:3]
    right = sum(a == b for a, b in zip(guess, ["spam", "ham", "spam"], strict=True))
    assert f"Accuracy {right / 3:.1%}".replace("%", " %") in said.err
    assert "on 3 rows" in said.err and "does not know: '?'" in said.err
    assert "taken for" in said.err or right == 3
    said = stc("predict", run, table, "--out", out, "--label", "sort")
    assert said.code == 2 and "label column 'sort'" in said.err


def test_predict_labels_a_table(stc: Stc, run: Path, tmp_path: Path):
    table = tmp_path / "new.tsv"
    table.write_text("id\ttext\n007\tyou win\n008\t\n009\thello\n")
    said = stc("predict", run, table, "--out", tmp_path / "out.csv")
    assert said.code == 0 and "3 rows labelled" in said.err and said.out == ""
    back = read_table(tmp_path / "out.csv")
    assert list(back.columns) == [
        "id",
        "text",
        "predicted_label",
        "probability",
        "p:ham",
        "p:spam",
    ]
    assert back["id"].tolist() == ["007", "008", "009"]
    assert back["predicted_label"].tolist() == ["spam", "", "ham"]

    said = stc("predict", run, table, "--out", "-")
    assert pd.read_csv(io.StringIO(said.out), dtype=str).shape == (3, 6)
    said = stc("predict", run, table, "--out", tmp_path / "x.csv", "--text", "txt")
    assert said.code == 2 and "Did you mean 'text'" in said.err
    assert not (tmp_path / "x.csv").exists()


UNREADABLE = {
    "binary": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 40,
    "empty": b"",
    "headers_twice": b"text,text\na,b\n",
    "other_columns": b"a,b\nc,d\n",
    "nul": b"text,label\na\0b,c\n",
    "quote": b'text,label\n"a,b\n' + b"c,d\n" * 30,
    "gz": gzip.compress(b"text,label\na,b\nc,d\n" * 30)[:-12],
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_labelled_is_said(
    stc: Stc, run: Path, tmp_path: Path, kind: str
):
    (tmp_path / "bad.csv").write_bytes(UNREADABLE[kind])
    said = stc("predict", run, tmp_path / "bad.csv", "--out", tmp_path / "out.csv")
    assert said.code == 2 and said.err.count("Error: ") == 1
    assert "Traceback" not in said.err and not (tmp_path / "out.csv").exists()


def test_no_runs_is_not_an_error(stc: Stc):
    said = stc("runs")
    assert said.code == 0 and "no runs yet" in said.err
    assert json.loads(stc("runs", "--json").out) == []
