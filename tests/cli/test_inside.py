"""The commands that change neurons inside the model of a real run."""

import json
from pathlib import Path

import pandas as pd
import pytest

from helpers.command import Stc
from stc_core.interpret.interventions import effects

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
    stc: Stc, run_folder: Path, tmp_path: Path
):
    out = tmp_path / "usage.csv"
    said = stc("ablate", run_folder, *FEW, "--usage", "--out", out)
    assert said.code == 0, said.err
    assert "Rank correlation of what is read and what is used" in said.out
    kept = pd.read_parquet(run_folder / "neurons.parquet")
    places = kept[["site", "index"]].drop_duplicates()
    table = pd.read_csv(out)
    assert len(table) == len(places)
    merged = table.merge(places, on=["site", "index"])
    assert len(merged) == len(table)


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


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--neuron", "mlp.3"), "neuron 'mlp.3': expected a name like 'mlp.3.1288'"),
        (("--layer", 2, "--top", 3), "expected one of these options"),
        (("--how", "nudge"), "expected mean, zero, resample, steer"),
        (("--split", "dev"), "split: expected one of"),
        (("--out", "x.csv"), "--out: expected --usage with it"),
    ],
)
def test_what_cannot_be_done_is_said(
    stc: Stc, run_folder: Path, options: tuple, problem: str
):
    said = stc("ablate", run_folder, "--texts", 2, "--random", 0, *options)
    assert said.code == 2
    assert problem in " ".join(said.err.split())
