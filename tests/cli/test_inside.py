"""The commands that change neurons inside the model of a real run."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from helpers.command import Stc
from stc_core.analysis.inside import faithfulness as over
from stc_core.analysis.inside.kept import is_current
from stc_core.interpret.interventions import effects
from stc_core.runs.run import Run

FEW = ("--texts", 8, "--split", "validation")


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """A small part of the training texts says what is usual."""
    monkeypatch.setattr(effects, "MOST_REFERENCE", 20)


def test_ablate_tells_the_effect_beside_random_sets(stc: Stc, run_folder: Path):
    said = stc("ablate", run_folder, *FEW, "--top", 5, "--random", 2)
    assert said.code == 0, said.err
    assert said.out.startswith("5 neurons changed in 8 texts")
    assert "this" in said.out
    assert "last layer" in said.out
    assert "random sets of the same" in " ".join(said.out.split())
    told = stc(
        "ablate", run_folder, *FEW, "--steer", 3, "--label", "delivery", "--json"
    )
    if told.code:
        classes = pd.read_parquet(run_folder / "neurons.parquet").filter(like="weight:")
        pytest.fail(f"{told.err} {list(classes)}")
    record = json.loads(told.out)
    assert (record["how"], record["steer"], record["texts"]) == ("steer", 3.0, 8)
    assert len(record["readers"][0]["random"]) == 20


def test_usage_is_a_table_with_a_row_for_each_neuron(
    stc: Stc, run_folder: Path, tmp_path: Path, monkeypatch
):
    out, own = tmp_path / "usage.csv", shutil.copytree(run_folder, tmp_path / "own")
    said = stc("ablate", own, *FEW, "--usage", "--out", out)
    assert said.code == 0, said.err
    assert "Rank correlation of what is read and what is used" in said.out
    kept = pd.read_parquet(run_folder / "neurons.parquet")
    places = kept[["site", "index"]].drop_duplicates()
    table = pd.read_csv(out)
    assert len(table) == len(places)
    merged = table.merge(places, on=["site", "index"])
    assert len(merged) == len(table)
    run = Run.open(own)
    frame = run.neuron_usage
    assert frame["neuron"].tolist() == kept["neuron"].tolist()
    by_place = table.set_index(["site", "index"])["effect"]
    first = frame.iloc[0]
    assert first["effect"] == pytest.approx(by_place[first["site"], first["index"]])
    # What was measured is read again, unless it is of another head.
    monkeypatch.setattr("stc_core.analysis.inside.use.measure_usage", None)
    assert stc("ablate", own, *FEW, "--usage", "--json").code == 0
    assert is_current(run, run.usage)
    assert not is_current(run, {**run.usage, "head": "another"})


def test_faithfulness_is_measured_once_and_kept(
    stc: Stc, run_folder: Path, tmp_path: Path, monkeypatch
):
    own = shutil.copytree(run_folder, tmp_path / "own")
    few = "--texts", 3
    said = stc("faithfulness", own, *few)
    assert said.code == 0, said.err
    assert "Over words" in said.out
    assert "Over neurons" in said.out
    assert "Without the words that the exact split puts first" in " ".join(
        said.out.split()
    )
    monkeypatch.setattr(over, "faithfulness_over_words", None)
    told = stc("faithfulness", own, *few, "--json")
    assert told.code == 0, told.err
    record = json.loads(told.out)
    assert record == Run.open(own).faithfulness
    corpus = pd.read_parquet(own / "corpus.parquet")
    rows, splits = corpus["row"].tolist(), corpus["split"].tolist()
    for case in record["words"]["cases"]:
        assert rows[case["example"]] == case["row"]
        assert splits[case["example"]] == "test"


def test_patch_shows_both_texts_and_the_patched_one(stc: Stc, run_folder: Path):
    texts = "--text", "where is my parcel", "--donor", "please refund the money"
    layer = max(pd.read_parquet(run_folder / "neurons.parquet")["layer"].tolist())
    said = stc("patch", run_folder, *texts, "--layer", layer, "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told.keys() == {"before", "donor", "after", "aligned"}
    assert told["after"]["this classifier"] != told["before"]["this classifier"]
    shown = stc("patch", run_folder, *texts, "--neuron", "resid.3.5")
    assert "patched" in shown.out
    blank = stc("patch", run_folder, "--text", " ", "--donor", "refund")
    assert blank.code == 2
    assert "--text: expected a text that is not blank" in blank.err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--neuron", "mlp.3"), "neuron 'mlp.3': expected a name like 'mlp.3.1288'"),
        (("--layer", 2, "--top", 3), "expected one of these options"),
        (("--how", "nudge"), "expected mean, zero, resample, steer"),
        (("--split", "dev"), "split: expected one of"),
        (("--out", "x.csv"), "--out: expected --usage with it"),
        (("--usage", "--top", 3, "--how", "zero"), "got --top and --how."),
        (("--how", "zero", "--steer", 2), "--steer: expected no other --how"),
        (("--how", "steer"), "a number of standard deviations other than 0"),
        (("--steer", "nan"), "a number of standard deviations other than 0"),
        (("--top", 0), "greater than or equal to 1"),
        (("--seed", -1), "greater than or equal to 0"),
        (("--layer", 99), "layer: expected one with kept neurons"),
        (("--label", "nothing"), "class: expected"),
    ],
)
def test_what_cannot_be_done_is_said(
    stc: Stc, run_folder: Path, options: tuple, problem: str, monkeypatch
):
    # Nothing is read before the options are known to be right.
    monkeypatch.setattr(effects, "read_reference", None)
    said = stc("ablate", run_folder, "--texts", 2, "--random", 0, *options)
    assert said.code == 2
    assert problem in " ".join(said.err.split())
