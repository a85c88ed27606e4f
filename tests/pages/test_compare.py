"""Compare: the runs of the same data, and what two of them say of each text."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from helpers.app import charts, fine, said, visit
from helpers.run_cards import made
from helpers.runs.copies import copied
from stc_core.files import write_json
from stc_core.runs.annotations import rename
from stc_core.runs.run import Run
from stc_core.sweeps.folder import SWEEP_FILE
from stc_core.sweeps.plan import Sweep
from ui.compare.sweep import run_to_compare

PAGE = "pages/10_Compare.py"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Path:
    """A home with the run `r`, its worse twin `w` and the same on another model."""
    home = tmp_path_factory.mktemp("studio")
    (home / "runs").mkdir()
    (home / "runs" / "r").symlink_to(run_folder, target_is_directory=True)
    copied(run_folder, home / "runs" / "w", wrong=4)
    copied(run_folder, home / "runs" / "m", identity="another")
    return home


@pytest.fixture(autouse=True)
def home(studio: Path, monkeypatch) -> None:
    monkeypatch.setenv("STC_HOME", str(studio))


def test_all_runs_of_the_data_are_there_and_one_is_asked_for():
    app = fine(visit(PAGE, run="r"))
    assert "3 finished runs on **messages\\.csv**" in said(app)
    assert "Click a point, or choose a run" in said(app)
    assert len(charts(app)) == 1


def test_a_run_is_called_by_the_name_given_later(studio: Path):
    rename(studio / "runs" / "w", "Later")
    app = fine(visit(PAGE, run="r"))
    assert any("Later" in one for one in app.selectbox(key="pick_other").options)
    rename(studio / "runs" / "w", "")


def test_a_chosen_run_stays_in_the_address():
    app = fine(visit(PAGE, run="r"))
    app.selectbox(key="pick_other").select_index(1).run()
    assert "".join(app.query_params["other"]) in ("m", "w")
    assert "McNemar" in said(fine(app))


def test_two_runs_are_counted_text_by_text(run_folder: Path):
    app = fine(visit(PAGE, run="r", other="w"))
    run = Run.open(run_folder)
    n = run.metrics["test"]["n"]
    right = round(n * run.metrics["test"]["accuracy"])
    facts = {one.label: one.value for one in app.metric}
    assert f"**{n:,} test texts are in both runs**" in said(app)
    assert facts["Only this right"] == "4" and facts["Only other right"] == "0"
    assert facts["Both right"] == f"{right - 4}"
    assert "McNemar's exact p = 0.12" in said(app)
    assert "Jaccard 1.00" in said(app)
    assert len(charts(app)) == 3


def test_the_texts_where_they_differ_lead_to_both_runs(run_folder: Path):
    table = Run.open(run_folder).predictions
    rows = table.loc[(table["split"] == "test") & table["correct"], "row"]
    app = fine(visit(PAGE, run="r", other="w", example=str(rows.iloc[0])))
    (frame,) = (one.value for one in app.dataframe if "predicted_a" in one.value)
    assert len(frame) == 4 and set(frame["predicted_b"]) == {"<b>none</b>"}
    assert ":red-badge[wrong]" in said(app) and ":green-badge[right]" in said(app)
    assert "\\<b\\>none" in said(app)


@pytest.mark.parametrize(
    ("which", "n"), [("a", 4), ("differ", 4), ("b", 0), ("neither", 0)]
)
def test_they_can_be_filtered(which, n):
    app = fine(visit(PAGE, run="r", other="w", state={"which": which}))
    tables = [one.value for one in app.dataframe if "predicted_a" in one.value]
    assert sum(map(len, tables)) == n
    assert ("There is no such text." in said(app)) == (n == 0)


def test_neurons_of_other_models_are_not_compared():
    assert "different language models" in said(fine(visit(PAGE, run="r", other="m")))


@pytest.mark.parametrize(
    ("other", "words"),
    [("r", "cannot be compared with itself"), ("gone", "is not a finished run among")],
)
def test_a_run_that_cannot_be_compared_says_why(other, words):
    assert words in said(fine(visit(PAGE, run="r", other=other)))


def test_a_run_alone_has_nothing_to_compare_with(
    tmp_path: Path, run_folder: Path, monkeypatch
):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "r").symlink_to(run_folder, target_is_directory=True)
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    app = fine(visit(PAGE, run="r"))
    assert "Nothing to compare yet" in said(app)


@pytest.fixture
def sweep(studio: Path, run_folder: Path) -> Iterator[Sweep]:
    """A sweep of the runs `r` and `w`, seeds 0 and 1, though both had seed 0."""
    base = Run.open(run_folder).config
    runs = {name: base.changed(created="", name=name) for name in ("r", "w")}
    runs["w"] = runs["w"].changed(train=base.train.changed(preset="spin"))
    sweep = Sweep(name="mine", axes=("preset",), tables={}, runs=runs)
    folder = studio / "sweeps" / "mine"
    folder.mkdir(parents=True)
    write_json(folder / SWEEP_FILE, sweep)
    yield sweep
    shutil.rmtree(studio / "sweeps")


def test_without_a_sweep_there_is_no_choice_of_one():
    assert "pick_sweep" not in {box.key for box in visit(PAGE, run="r").selectbox}


def test_a_sweep_shows_its_runs_alone_and_its_settings(sweep: Sweep, run_folder: Path):
    app = fine(visit(PAGE, run="r"))
    assert "3 finished runs" in said(app)
    app.selectbox(key="pick_sweep").select_index(0).run()
    assert "2 finished runs" in said(fine(app))
    assert "".join(app.query_params["sweep"]) == "mine"
    (table,) = (one.value for one in app.dataframe if "held" in one.value)
    held = 100 * Run.open(run_folder).metrics["validation"]["accuracy"]
    assert table["setting"].tolist() == ["stc", "spin"]
    assert table["held"].tolist() == pytest.approx([held, held])
    assert "stc, accuracy" in said(app) and "It leads spin by" in said(app)


def test_the_run_that_is_looked_at_stays_beside_a_sweep(sweep: Sweep):
    app = fine(visit(PAGE, run="m", sweep="mine"))
    assert "3 finished runs" in said(app)
    app = fine(visit(PAGE, run="m", sweep="gone"))
    assert "3 finished runs" in said(app) and "It leads" not in said(app)


def test_a_damaged_sweep_is_told(sweep: Sweep, studio: Path):
    (studio / "sweeps" / "mine" / SWEEP_FILE).write_text("{")
    app = fine(visit(PAGE, run="r"))
    assert SWEEP_FILE.replace(".", "\\.") in said(app)
    assert "3 finished runs" in said(app)


def test_a_setting_compares_with_its_run_of_the_same_seed():
    runs = pd.DataFrame(
        {
            "run": ["a0", "a1", "b0", "b1"],
            "setting": ["a", "a", "b", "b"],
            "seed": [0, 1, 0, 1],
        }
    )
    mine, known = made("a1", seed=1), {"a0", "a1", "b0", "b1"}
    assert run_to_compare(runs, "b", known, mine) == {"other": "b1"}
    assert run_to_compare(runs, "b", {"a1", "b0"}, mine) == {"other": "b0"}
    assert run_to_compare(runs, "a", known, mine) == {"other": "a0"}
    assert run_to_compare(runs, "a", {"a1"}, mine) == {}
