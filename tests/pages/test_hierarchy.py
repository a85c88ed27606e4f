"""Hierarchy: scores, tree, layers and a text's way down, of a run on a tiny model."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from helpers.app import at_home, charts, fine, said, visit, written_run
from helpers.runs.hierarchy import trained
from stc_core.analysis.label_tree_tables import path_verdict
from stc_core.config import RunConfig
from stc_core.display import percent
from stc_core.paths import runs_folder
from stc_core.recipe_settings import HierarchyConfig
from stc_core.runs.processes import jobs
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

PAGE = "pages/8_Hierarchy.py"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("hierarchy")
    return trained(folder, 2, hierarchy=HierarchyConfig(layers=(1, 3)))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, finished: Run, monkeypatch) -> None:
    """A home with the hierarchical run `r` and a plain one `p`."""
    runs = at_home(tmp_path, monkeypatch, r=finished.folder)
    written_run(runs / "p", "plain")


def test_it_shows_scores_tree_and_layers(finished: Run):
    app = fine(visit(PAGE, run="r"))
    assert len(charts(app)) == 3
    layer = finished.metrics["hierarchy"]["layers"][0]
    assert any(one.label == f"level 0 · layer {layer}" for one in app.metric)
    nodes = app.dataframe[1].value
    assert nodes.loc[nodes["level"] == 1, "rows"].sum() == len(finished.corpus)
    assert any(one.label == "Joint path accuracy" for one in app.metric)
    table = app.dataframe[0].value
    assert (table["joint path"] / 100).tolist() == pytest.approx(
        [
            finished.metrics["test"]["joint_accuracy"],
            *(
                finished.metrics["baselines"][name]["joint_accuracy"]
                for name in ("flat", "separate", "inner_probe")
            ),
        ]
    )


def test_a_parent_is_looked_into():
    app = fine(visit(PAGE, run="r", state={"parent": "cold"}))
    assert "test texts. Shade" in said(app)


@pytest.mark.parametrize("coarse", [True, False])
def test_a_text_goes_down_the_tree(coarse: bool):
    text, state = "good price very slow", {"coarse_only": coarse}
    app = fine(visit(PAGE, run="r", text=text, state=state))
    decided = [one.label for one in app.metric if "decided at layer" in one.label]
    assert len(decided) == (1 if coarse else 2)
    assert ("The blocks above this layer were not run." in said(app)) is coarse


def test_it_says_whether_the_levels_help(finished: Run):
    app = fine(visit(PAGE, run="r"))
    assert path_verdict(finished.metrics) in said(app)
    alone = finished.metrics["test"]["coarse"][0]
    (first,) = [one for one in app.metric if one.label == "level 0 · layer 1"]
    assert first.value == percent(alone["accuracy"])


def test_an_unsure_text_gets_a_coarser_label():
    text, state = "good price very slow", {"least": 1.0}
    app = fine(visit(PAGE, run="r", text=text, state=state))
    assert len([one for one in app.metric if "decided at layer" in one.label]) == 1
    assert "No finer label has a probability of 100.0 % or more" in said(app)


def test_a_run_without_levels_says_so():
    app = visit(PAGE, run="p")
    assert "No levels in this run" in said(fine(app))


@pytest.fixture
def started(monkeypatch, finished: Run) -> list[RunConfig]:
    """What would have been started."""
    found: list[RunConfig] = []
    monkeypatch.setattr(
        jobs, "start", lambda config: found.append(config) or finished.folder
    )
    return found


def press(app: AppTest, label: str) -> None:
    next(one for one in app.button if one.label == label).click().run()


def test_other_layers_are_chosen_and_trained(started, finished: Run):
    key, layers = "layer_r_0", finished.metrics["hierarchy"]["layers"]
    app = fine(visit(PAGE, run="r"))
    boxes = [one for one in app.selectbox if one.label.startswith("Layer of")]
    assert [one.value for one in boxes] == layers == [boxes[0].value, 3]
    button = next(one for one in app.button if one.label == "Train with these layers")
    assert button.disabled
    wrong = fine(visit(PAGE, run="r", state={key: 3}))
    assert "needs a higher layer" in said(wrong)
    other = 3 - layers[0]
    press(fine(visit(PAGE, run="r", state={key: other})), "Train with these layers")
    (config,) = started
    assert config.train.hierarchy.layers == (other, 3)
    assert config.train.model_copy(
        update={"hierarchy": finished.config.train.hierarchy}
    ) == (finished.config.train)


def test_levels_of_a_plain_run_can_be_trained(started, finished: Run):
    metrics = finished.metrics
    del metrics["hierarchy"]
    with RunWriter(runs_folder() / "q", finished.config) as writer:
        writer.write_json("metrics.json", metrics)
        writer.write_text("report.json", finished.report.to_json())
        writer.finish()
    app = fine(visit(PAGE, run="q", state={"epochs": 2}))
    press(app, "Train the levels")
    (config,) = started
    assert config.train.recipe == "hierarchy" and config.train.tune.epochs == 2
    assert config.data.labels == ("level 0", "level 1")
