"""Compare: the runs of the same data, and what two of them say of each text."""

from pathlib import Path

import pytest

from helpers.app import charts, fine, said, visit
from helpers.runs.copies import copied
from stc_core.runs.annotations import rename
from stc_core.runs.run import Run

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
