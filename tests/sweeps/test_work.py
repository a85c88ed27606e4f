"""The runs of a sweep: done once, gone on with, and independent of each other."""

import shutil
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from helpers.models.saved import saved_base
from helpers.runs.hierarchy import table as learnable
from helpers.runs.sweeps import planned, stand_in_scores
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.files import write_json
from stc_core.paths import runs_folder, sweeps_folder
from stc_core.runs.layout import RunFile
from stc_core.runs.ownership import owned
from stc_core.runs.run import Run
from stc_core.runs.status import new_status
from stc_core.sweeps import work
from stc_core.sweeps.folder import keep_sweep
from stc_core.sweeps.plan import plan_sweep
from stc_core.sweeps.table import runs_frame
from stc_core.sweeps.work import train_sweep

pytestmark = pytest.mark.usefixtures("own_home")
Usage = namedtuple("Usage", "total used free")


def test_every_run_is_done_once_and_both_tables_are_there(table: Path, monkeypatch):
    began = stand_in_scores(monkeypatch, lambda config: 0.8)
    sweep = planned(table, "mine", preset=["stc", "spin"], seed=[0, 1])
    seen: list[tuple[int, str]] = []
    folder = train_sweep(sweep, on_begin=lambda at, name, _: seen.append((at, name)))
    assert began == list(sweep.runs) and seen == list(enumerate(sweep.runs))
    assert all(Run.open(runs_folder() / name).done for name in sweep.runs)
    assert len(pd.read_csv(folder / "runs.csv")) == 4
    assert pd.read_csv(folder / "settings.csv")["done"].tolist() == [2, 2]
    train_sweep(sweep)
    assert len(began) == 4


def test_a_run_that_fails_costs_its_row_and_is_tried_again(table: Path, monkeypatch):
    def score(config: RunConfig) -> float:
        if config.train.seed == 1:
            raise StcError("these rows", expected="more of them")
        if config.train.seed == 2:
            _ = {}["a bug"]
        return 0.8

    began = stand_in_scores(monkeypatch, score)
    sweep = planned(table, seed=[0, 1, 2, 3])
    train_sweep(sweep)
    rows = runs_frame(sweep)
    assert rows["state"].tolist() == ["done", "failed", "failed", "done"]
    assert "these rows: expected more of them" in rows["reason"][1]
    assert str(rows.at[2, "reason"])
    stand_in_scores(monkeypatch, lambda config: 0.7)
    train_sweep(sweep)
    rows = runs_frame(sweep)
    assert rows["held_accuracy"].tolist() == [0.8, 0.7, 0.7, 0.8] and len(began) == 4


def test_an_interrupted_sweep_goes_on_where_it_was(table: Path, monkeypatch):
    def interrupted(config: RunConfig) -> float:
        if config.train.seed == 1:
            raise KeyboardInterrupt
        return 0.8

    stand_in_scores(monkeypatch, interrupted)
    sweep = planned(table, seed=[0, 1, 2])
    with pytest.raises(KeyboardInterrupt):
        train_sweep(sweep)
    assert runs_frame(sweep)["state"].tolist() == ["done", "cancelled", "waiting"]
    began = stand_in_scores(monkeypatch, lambda config: 0.9)
    train_sweep(sweep)
    assert began == list(sweep.runs)[1:]


def test_a_killed_run_is_taken_up(table: Path, monkeypatch):
    began = stand_in_scores(monkeypatch, lambda config: 0.9)
    sweep = planned(table, seed=[0, 1])
    keep_sweep(sweep)
    first = runs_folder() / next(iter(sweep.runs))
    first.mkdir(parents=True)
    write_json(first / RunFile.CONFIG, sweep.runs[first.name])
    status = {**new_status("running"), "pid": 2**22 + 1, "born": 1.0, "host": "gone"}
    write_json(first / RunFile.STATUS, {**status, "heartbeat": 0.0})
    train_sweep(sweep)
    assert began == list(sweep.runs) and Run.open(first).done


def test_a_full_disk_ends_the_sweep_before_the_next_run(table: Path, monkeypatch):
    began = stand_in_scores(monkeypatch, lambda config: 0.8)
    sweep = planned(table, seed=[0, 1])
    left = iter([Usage(0, 0, 10**12), Usage(0, 0, 10**6)])
    monkeypatch.setattr(work.shutil, "disk_usage", lambda folder: next(left))
    with pytest.raises(StcError, match="expected 200 MB free for the next run; got 1 "):
        train_sweep(sweep)
    assert len(began) == 1


def test_two_at_once_and_a_missing_model_are_refused(table: Path, monkeypatch):
    began = stand_in_scores(monkeypatch, lambda config: 0.8)
    sweep = planned(table, "mine", seed=[0, 1])
    keep_sweep(sweep)
    with owned(sweeps_folder() / "mine"), ThreadPoolExecutor(1) as other:
        with pytest.raises(StcError, match=r"sweep '.*mine': expected a"):
            other.submit(train_sweep, sweep).result()
    gone = planned(table, "gone", backbone=["/no/model", "all-MiniLM-L6-v2"])
    with pytest.raises(StcError, match="backbone '/no/model'"):
        train_sweep(gone)
    assert not began and not (sweeps_folder() / "gone").exists()


def test_runs_of_a_split_table_share_their_activations(tmp_path: Path):
    """Nothing stands in here: a tiny model, two seeds, and a test file."""
    base = saved_base(tmp_path / "base", "bert")
    source = learnable(tmp_path, 1, rows=60)
    test = tmp_path / "test.csv"
    shutil.copy(source, test)
    config = RunConfig(
        data=DataConfig(
            path=str(source), test_path=str(test), text="text", labels=("level 0",)
        ),
        train=TrainConfig(
            backbone=str(base),
            preset="spin",
            device="cpu",
            kinds=("resid",),
            poolings=("mean",),
        ),
    )
    sweep = plan_sweep(config, {"seed": [0, 1]}, name="shared")
    train_sweep(sweep)
    rows = runs_frame(sweep)
    assert rows["state"].tolist() == ["done", "done"], rows["reason"].tolist()
    cached, texts = rows["cached"].tolist(), rows["texts"].tolist()
    assert cached == [0, texts[1]] and texts[1] > 0
