"""`stc sweep` and `stc rank` as they are typed."""

import json
from pathlib import Path

import pytest

from helpers.command import Stc
from helpers.models.saved import saved_base
from helpers.runs.hierarchy import table as learnable
from helpers.runs.sweeps import stand_in_scores
from stc_core.config import RunConfig
from stc_core.errors import StcError
from stc_core.paths import runs_folder, sweeps_folder
from stc_core.runs.run import Run

pytestmark = pytest.mark.usefixtures("own_home")
COLUMNS = ("--text", "text", "--label", "kind")


def score(config: RunConfig) -> float:
    if config.train.preset == "spin" and config.train.seed == 1:
        raise StcError("this row", expected="luck")
    return 0.8 if config.train.preset == "stc" else 0.9


def test_a_sweep_tells_each_setting_and_why_runs_failed(
    stc: Stc, table: Path, monkeypatch
):
    stand_in_scores(monkeypatch, score)
    asked = ("--preset", "stc", "--preset", "spin", "--seed", "0..1", "--name", "mine")
    said = stc("sweep", table, *COLUMNS, *asked)
    assert said.code == 0, said.err
    assert "Run 1 of 4: mine: stc, seed 0" in said.err
    assert "80.0 ± 0.0 %" in said.out and "2 of 2" in said.out and "1 of 2" in said.out
    assert "Best on held-out rows: stc, accuracy 80.0 %" in said.out
    assert "mine-spin-seed-1: this row: expected luck." in said.out
    assert str(sweeps_folder() / "mine") in said.err
    assert len(list(runs_folder().glob("mine-*"))) == 4


def test_other_settings_hold_for_every_run(stc: Stc, table: Path, monkeypatch):
    stand_in_scores(monkeypatch, lambda config: 0.8)
    more = ("--eta", 0.5, "--epochs", 4, "--pooling", "mean", "--words", "off")
    several = ("--budget", 5, "--budget", 9, "--penalty", "l1", "--penalty", "group")
    said = stc("sweep", table, *COLUMNS, *more, *several, "--json")
    assert said.code == 0, said.err
    record = json.loads(said.out)
    configs = [Run.open(runs_folder() / row["run"]).config for row in record["runs"]]
    assert len(configs) == 4
    for config in configs:
        train = config.train
        assert (train.eta, train.tune.epochs, train.words) == (0.5, 4, "off")
        assert train.poolings == ("mean",) and config.data.labels == ("kind",)
    chosen = {(c.train.budget, c.train.penalty) for c in configs}
    assert chosen == {(5, "l1"), (5, "group"), (9, "l1"), (9, "group")}
    assert {row["setting"] for row in record["settings"]} == {
        f"penalty {penalty}, budget {budget}"
        for penalty in ("l1", "group")
        for budget in (5, 9)
    }


def test_settings_of_a_file_hold_for_every_run(
    stc: Stc, table: Path, monkeypatch, tmp_path: Path
):
    stand_in_scores(monkeypatch, lambda config: 0.8)
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"train": {"eta": 0.25, "seed": 5}}))
    said = stc("sweep", table, *COLUMNS, "--config", path, "--budget", 5, "--json")
    assert said.code == 0, said.err
    (row,) = json.loads(said.out)["runs"]
    config = Run.open(runs_folder() / row["run"]).config
    assert (config.train.eta, config.train.seed, config.train.budget) == (0.25, 5, 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--seed", "4..0"), "option --seed: expected whole numbers, or a range"),
        (("--seed", "1,1"), "option --seed: expected each value once; got 1 twice"),
        (("--preset", "spin", "--preset", "spin"), "option --preset: expected each"),
        (("--recipe", "best"), "option --recipe: expected stc or attention"),
        (("--words", "maybe"), "option --words: expected auto or on or off"),
        (("--eta", "0.5", "--eta", "2"), "option --eta: expected a number, above 0"),
        (("--backbone", "/no/model"), "backbone '/no/model': expected a folder"),
        (("--name", "///"), "option --name: expected a name with letters"),
    ],
)
def test_a_wrong_sweep_is_refused_before_any_run(
    stc: Stc, table: Path, options: tuple, words: str
):
    said = stc("sweep", table, *COLUMNS, *options)
    assert said.code == 2 and words in said.err, said.err
    assert not runs_folder().exists() and not sweeps_folder().exists()


def test_another_sweep_of_a_name_is_refused(stc: Stc, table: Path, monkeypatch):
    stand_in_scores(monkeypatch, lambda config: 0.8)
    asked = ("sweep", table, *COLUMNS, "--name", "mine", "--seed")
    assert stc(*asked, "0..1").code == 0
    said = stc(*asked, "0..2")
    assert said.code == 2 and "got another one: 2 of its 2 runs" in said.err


def test_if_every_run_fails_the_code_is_2(stc: Stc, table: Path, monkeypatch):
    def fail(config: RunConfig) -> float:
        raise StcError("this row", expected="luck")

    stand_in_scores(monkeypatch, fail)
    said = stc("sweep", table, *COLUMNS, "--seed", "0..1")
    assert said.code == 2 and "none is called the best" in said.out
    assert said.out.count("expected luck") == 2


def test_rank_orders_models_and_names_a_bad_one(stc: Stc, tmp_path: Path):
    source = learnable(tmp_path, 1, rows=80)
    models = [saved_base(tmp_path / kind, kind) for kind in ("bert", "gpt2")]
    flat = [word for m in (*models, "/no/model") for word in ("--backbone", m)]
    asked = ("--label", "level 0", "--rows", 40, "--device", "cpu")
    said = stc("rank", source, *flat, *asked)
    assert said.code == 0, said.err
    assert "LogME on 40 rows of 2 classes" in said.out
    assert "/no/model: backbone '/no/model': expected a folder" in said.out
    record = json.loads(stc("rank", source, *flat, *asked, "--json").out)
    assert record["rows"] == 40
    scores = [one["score"] for one in record["backbones"]]
    assert scores[0] >= scores[1] and scores[2] is None


def test_rank_of_nothing_that_can_be_read_is_2(stc: Stc, table: Path):
    said = stc("rank", table, *COLUMNS, "--backbone", "/no/model")
    assert said.code == 2 and "got no such folder" in said.out
    said = stc("rank", table, *COLUMNS, "--backbone", "a", "--rows", 5)
    assert said.code == 2 and "option --rows: expected 20 to 5,000 rows" in said.err
