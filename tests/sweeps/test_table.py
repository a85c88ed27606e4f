"""The tables of a sweep: means and spreads by hand, and what may be called the best."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from helpers.metrics import whole_metrics
from helpers.runs.sweeps import planned, stand_in_scores
from stc_core.config import RunConfig
from stc_core.errors import StcError
from stc_core.files import write_json
from stc_core.paths import runs_folder
from stc_core.sweeps.table import (
    cached_sentence,
    criterion_of,
    lead_over_next,
    result_sentence,
    runs_frame,
    settings_frame,
)
from stc_core.sweeps.work import train_sweep

pytestmark = pytest.mark.usefixtures("own_home")
HELD = {"stc": (0.80, 0.84, 0.85), "spin": (0.78, 0.79, 0.81)}


def by_preset(config: RunConfig) -> float:
    return HELD[config.train.preset][config.train.seed]


@pytest.fixture
def sweep(table: Path):
    return planned(table, "mine", preset=["spin", "stc"], seed=[0, 1, 2])


@pytest.fixture
def frames(sweep, monkeypatch) -> tuple[pd.DataFrame, pd.DataFrame]:
    stand_in_scores(monkeypatch, by_preset)
    train_sweep(sweep)
    runs = runs_frame(sweep)
    return runs, settings_frame(sweep, runs)


def test_a_setting_has_the_mean_and_the_deviation_of_its_seeds(frames):
    runs, settings = frames
    assert len(runs) == 6 and settings["setting"].tolist() == ["stc", "spin"]
    for row in settings.to_dict("records"):
        held = np.array(HELD[row["setting"]])
        assert row["held_accuracy"] == pytest.approx(held.mean())
        assert row["held_accuracy_sd"] == pytest.approx(held.std(ddof=1))
        assert row["test_accuracy"] == pytest.approx(held.mean() - 0.1)
        assert row["runs"] == row["done"] == 3 and row["seconds"] == 7
    assert settings["best"].tolist() == [True, False]


def test_the_lead_is_that_of_a_paired_t_test(frames):
    runs, settings = frames
    lead = lead_over_next(settings, runs)
    assert lead is not None and lead.over == "spin"
    expected = ttest_rel(HELD["stc"], HELD["spin"]).confidence_interval(0.95)
    assert (lead.low, lead.high) == pytest.approx((expected.low, expected.high))
    said = result_sentence(settings, runs)
    assert said.startswith("Best on held-out rows: stc, accuracy 83.0 %; on test rows")
    assert "73.0 % (means of 3 seeds). It leads spin by 3.7 points (95 %: " in said
    assert ("hardly luck" in said) == (expected.low > 0)


def test_held_out_rows_choose_and_not_test_rows(table: Path, sweep, monkeypatch):
    """The setting that is worse on held-out rows is far better on test rows."""
    stand_in_scores(monkeypatch, by_preset)
    train_sweep(sweep)
    runs = runs_frame(sweep)
    better = runs["setting"].eq("spin") * 0.5
    turned = runs.assign(test_accuracy=runs["test_accuracy"] + better)
    settings = settings_frame(sweep, turned)
    assert settings["setting"].tolist()[0] == "stc" and settings["best"].tolist()[0]


def test_macro_f1_ranks_where_it_chose(table: Path, monkeypatch):
    def metrics(config: RunConfig) -> float:
        return 0.8

    stand_in_scores(monkeypatch, metrics)
    sweep = planned(table, preset=["stc", "spin"])
    train_sweep(sweep)
    for name, f1 in zip(sweep.runs, (0.3, 0.6), strict=True):
        goal = {"criterion": "macro_f1", "class_weight": "tempered"}
        held = {"accuracy": 0.8, "macro_f1": f1}
        record = whole_metrics(goal=goal, validation=held)
        write_json(runs_folder() / name / "metrics.json", record)
    runs = runs_frame(sweep)
    settings = settings_frame(sweep, runs)
    assert criterion_of(runs) == "macro_f1"
    assert settings["setting"].tolist() == ["spin", "stc"]
    said = result_sentence(settings, runs)
    assert "spin, macro-F1 60.0 %" in said and "with one seed" in said


def test_a_setting_that_lacks_a_run_is_not_the_best(sweep, monkeypatch):
    def failing(config: RunConfig) -> float:
        if config.train.preset == "stc" and config.train.seed == 2:
            raise StcError("out of room")
        return by_preset(config)

    stand_in_scores(monkeypatch, failing)
    train_sweep(sweep)
    runs = runs_frame(sweep)
    settings = settings_frame(sweep, runs)
    assert settings["setting"].tolist() == ["spin", "stc"]
    assert settings["best"].tolist() == [True, False]
    assert settings["done"].tolist() == [3, 2]
    assert "It leads" not in result_sentence(settings, runs)


def test_before_any_run_nothing_is_the_best(sweep):
    runs = runs_frame(sweep)
    settings = settings_frame(sweep, runs)
    assert set(runs["state"]) == {"waiting"} and True not in set(settings["best"])
    assert "none is called the best" in result_sentence(settings, runs)
    assert cached_sentence(runs).startswith("0 of 0 runs found")


def test_runs_that_read_nothing_again_are_counted(frames):
    said = cached_sentence(frames[0])
    assert said == (
        "4 of 6 runs found all activations in the cache; 320 of 360 texts were not "
        "read again."
    )


def test_a_run_that_was_damaged_later_says_so(sweep, frames):
    name = next(iter(sweep.runs))
    (runs_folder() / name / "metrics.json").write_text("{")
    runs = runs_frame(sweep)
    assert runs["state"].tolist() == ["failed", *["done"] * 5]
    assert "metrics.json" in runs["reason"][0]
