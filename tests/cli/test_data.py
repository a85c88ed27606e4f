"""The commands that look at data without training."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.command import Stc
from helpers.models.broken import broken, save_bert
from stc_core.activations.store import open_writer
from stc_core.data.uploads import SAMPLE_PATH
from stc_core.installation import models
from stc_core.types import PooledSite

pytestmark = pytest.mark.usefixtures("own_home")


def test_data_check_says_how_many_texts_would_be_cut(stc: Stc, tmp_path: Path):
    rows = [f"{'word ' * (400 if i < 9 else 4)}{i},{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(rows), "utf-8")
    found = json.loads(stc("data", "check", tmp_path / "t.csv", "--json").out)
    (cut,) = (f for f in found["findings"] if f["kind"] == "truncated")
    assert cut["count"] == 9 and "9 of 60 texts (15.0 %)" in cut["message"]


def test_data_check_reports_and_exits_2_on_errors(stc: Stc, table: Path):
    said = stc("data", "check", table)
    assert said.code == 0, said.err
    assert "60 of 60 rows" in said.out and "'kind'" in said.out and "spam" in said.out
    found = json.loads(stc("data", "check", table, "--json").out)
    assert found["n_used"] == 60 and found["columns"][0] == "text"

    with table.open("a") as file:
        file.write("\nmessage 1,ham\n ,spam\nlonely,once\n")
    said = stc("data", "check", table)
    assert said.code == 2 and "error:" in said.out and "No text" in said.out
    said = stc("data", "check", table, "--json")
    assert said.code == 2 and json.loads(said.out)["n_rows"] == 63
    assert stc("data", "check", table.parent / "none.csv").code == 2


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("weights are cut", "cut off"),
        ("more blocks", "weights for every part"),
        ("weights are no numbers", "nan or inf"),
        ("tokenizer is newer", "this version of tokenizers reads"),
    ],
)
def test_data_check_tries_the_model_that_is_named(
    stc: Stc, table: Path, tmp_path: Path, fault: str, words: str
):
    folder = broken(fault, tmp_path)
    said = stc("data", "check", table, "--backbone", folder)
    assert said.code == 2 and words in " ".join(said.out.split())
    assert "60 of 60 rows" in said.out  # the table is reported on, too
    found = json.loads(stc("data", "check", table, "--backbone", folder, "--json").out)
    (error,) = (one for one in found["findings"] if one["severity"] == "error")
    assert error["kind"] == "backbone"


def test_data_check_says_what_it_did_not_check_of_a_large_model(
    stc: Stc, table: Path, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(models, "LARGE_BYTES", 10_000)
    folder = save_bert(tmp_path / "whole")
    said = stc("data", "check", table, "--backbone", folder)
    assert said.code == 0 and "was not loaded" in said.out
    monkeypatch.setattr(models, "LARGE_BYTES", 10**9)
    said = stc("data", "check", table, "--backbone", folder)
    assert said.code == 0 and "not loaded" not in said.out
    monkeypatch.setattr(models, "LARGE_BYTES", 10_000)
    cut = stc("data", "check", table, "--backbone", broken("weights are cut", tmp_path))
    assert cut.code == 2 and "cut off" in cut.out


def test_cache_lists_and_cleans(stc: Stc, tmp_path: Path):
    assert "0 stores" in stc("cache").out
    folder = tmp_path / "home" / "cached_features"
    folder.mkdir(parents=True)
    widths, about = {PooledSite.parse("mlp.1.max"): 4}, {"backbone": "tiny"}
    open_writer(folder / "a-b", widths, np.arange(5), dtype="float16", about=about)
    said = stc("cache")
    assert said.code == 0 and "tiny" in said.out and "1 stores" in said.out
    (store,) = json.loads(stc("cache", "--json").out)["stores"]
    assert (store["backbone"], store["n"]) == ("tiny", 5)
    assert store["path"] == str(folder / "a-b")
    assert "1 deleted" in stc("cache", "--clean").err
    assert not (folder / "a-b").exists()


def test_a_sample_is_copied_but_never_over_a_file(stc: Stc, tmp_path: Path):
    out = tmp_path / "mine.csv"
    assert stc("data", "sample", "--out", out).code == 0
    assert out.read_bytes() == SAMPLE_PATH.read_bytes()
    out.write_text("mine")
    said = stc("data", "sample", "--out", out)
    assert said.code == 2 and "Name another file with --out" in said.err
    assert out.read_text() == "mine"
    said = stc("data", "sample", "none.csv")
    assert said.code == 2 and "one of customer_messages.csv, replies.csv" in said.err


def test_data_check_prints_the_repairs_and_takes_them(stc: Stc, table: Path):
    with table.open("a") as file:
        file.write("\nsame again,SPAM\nsame again,SPAM\nsame again,SPAM\n")
    told = " ".join(stc("data", "check", table).out.split())
    assert "--repair merge:SPAM=spam" in told and "--repair leave-out:repeats" in told
    options = ("--repair", "leave-out:repeats", "--repair", "merge:SPAM=spam")
    told = " ".join(stc("data", "check", table, *options).out.split())
    assert "61 of 63 rows can be used" in told and "warning" not in told
    assert "repaired: Read 'SPAM' as 'spam': 3 rows" in told
    assert "with the same label: 2 rows" in told
    assert "--repair" in stc("data", "check", table, "--repair", "x").err
    found = json.loads(stc("data", "check", table, *options, "--json").out)
    assert [one["count"] for one in found["repairs"]] == [3, 2]
