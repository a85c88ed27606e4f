"""Layers: the curves of a real run, their story, and what a click leads to."""

from pathlib import Path

import pytest
from visit import fine, said, visit

PAGE = "pages/3_Layers.py"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, run_folder: Path, monkeypatch) -> None:
    """A home with the one run `r`."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "r").symlink_to(run_folder, target_is_directory=True)
    monkeypatch.setenv("STC_HOME", str(tmp_path))


def charts(app) -> int:
    return len(app.get("plotly_chart"))


def test_it_tells_what_the_curves_show():
    app = fine(visit(PAGE, run="r"))
    assert charts(app) == 4
    assert "The labels are read best at **layer " in said(app)
    assert "validation texts**, with 95 % intervals" in said(app)
    assert "test texts**, which chose nothing" in said(app)


def test_macro_f1_has_its_own_words():
    app = fine(visit(PAGE, run="r", state={"metric": "macro_f1"}))
    assert "macro-F1" in said(app)
    assert "with 95 % intervals" not in said(app)


def test_a_picked_layer_leads_to_its_neurons_and_can_be_cleared():
    app = fine(visit(PAGE, run="r", layer="1"))
    assert "**Layer 1** · best probe `" in said(app)
    next(one for one in app.button if one.label == "Clear").click().run()
    assert "**Layer 1**" not in said(fine(app))
    assert "layer" not in app.query_params


def test_a_layer_that_is_not_there_is_no_error():
    assert "**Layer 99**" not in said(fine(visit(PAGE, run="r", layer="99")))


@pytest.mark.parametrize("state", [{"layer_kinds": ["mlp"]}, {"baselines": False}])
def test_curves_can_be_left_out(state):
    assert charts(fine(visit(PAGE, run="r", state=state))) == 4


def test_the_numbers_can_be_taken_away():
    app = fine(visit(PAGE, run="r"))
    assert list(app.dataframe[0].value.columns[:3]) == ["site", "pooling", "C"]
    assert len(app.get("download_button")) == 1
