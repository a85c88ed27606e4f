"""Layers: the curves of a real run, their summary, and what a click leads to."""

import gc
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1.element_tree import Block

from helpers.app import at_home, charts, fine, said, visit
from helpers.runs.copies import copied
from stc_core import memory
from stc_core.analysis import frontier_options
from stc_core.analysis.frontier_options import near_options
from stc_core.analysis.layer_scores import best_probes
from stc_core.config import RunConfig
from stc_core.display import percent
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.state import stale_events

PAGE = "pages/3_Layers.py"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, run_folder: Path, monkeypatch) -> None:
    """A home with the one run `r`."""
    at_home(tmp_path, monkeypatch, r=run_folder)


def test_it_tells_what_the_curves_show():
    app = fine(visit(PAGE, run="r"))
    assert len(charts(app)) == 2
    assert "at **layer " in said(app) and "tried, which scored " in said(app)
    assert "validation texts**, with 95 % intervals that hold for all" in said(app)
    assert "test texts**, which were not used" in said(app)


def test_the_other_tab_draws_what_is_in_it_alone():
    app = fine(visit(PAGE, run="r", layers="cheaper"))
    assert len(charts(app)) == 3
    assert "validation texts**, with 95 % intervals" not in said(app)
    (table,) = app.dataframe
    assert {"layer", "neurons", "accuracy", "ms_per_text"} <= set(table.value.columns)


def tabs_id(app) -> str:
    blocks = (o for o in app._tree if isinstance(o, Block))
    (found,) = (o._block_id for o in blocks if "tabs_" in o._block_id)
    return found


def click_tab(app, title: str):
    """What a click on a tab sends; AppTest has no such click."""
    states = app._tree.get_widget_states()
    states.widgets.add(id=tabs_id(app), string_value=title)
    return fine(app._run(states))


def to_tab(app, name: str):
    app.query_params["layers"] = name
    return fine(app.run())


def test_a_click_on_a_tab_opens_it():
    app = click_tab(fine(visit(PAGE, run="r")), "Fewer neurons, fewer layers")
    assert len(charts(app)) == 3
    app = click_tab(app, "Layer by layer")
    assert len(charts(app)) == 2 and "".join(app.query_params["layers"]) == "curves"


def test_what_was_chosen_is_kept_from_tab_to_tab():
    app = fine(visit(PAGE, run="r"))
    fine(app.toggle(key="baselines").set_value(False).run())
    fine(app.segmented_control(key="metric").set_value("macro_f1").run())
    assert "macro-F1" in said(to_tab(app, "cheaper"))
    assert app.segmented_control(key="metric").value == "macro_f1"
    to_tab(app, "curves")
    assert app.segmented_control(key="metric").value == "macro_f1"
    toggle = app.toggle(key="baselines")
    assert not toggle.value
    assert toggle.proto.set_value  # the browser has forgotten it: it is told again


def test_a_score_that_a_tab_does_not_have_is_another_one_there():
    app = fine(visit(PAGE, run="r"))
    fine(app.segmented_control(key="metric").set_value("auc").run())
    assert app.segmented_control(key="metric").value == "auc"
    to_tab(app, "cheaper")
    assert app.segmented_control(key="metric").value == "accuracy"


def test_a_link_to_a_layer_opens_the_tab_that_tells_of_it():
    app = fine(visit(PAGE, run="r", layer="3", layers="cheaper"))
    (link,) = (o for o in app.get("page_link") if o.proto.label == "layer 3")
    assert "layers=curves" in link.proto.query_string
    (link,) = (o for o in app.get("page_link") if o.proto.label == "Neurons")
    assert "layers=cheaper" in link.proto.query_string


def test_a_tab_that_a_link_just_left_is_no_choice_but_new_tabs(monkeypatch):
    """The browser has it open, and nothing in it, unless it gets tabs that are new."""
    monkeypatch.setattr(stale_events, "STALE_S", 60.0)
    app = to_tab(fine(visit(PAGE, run="r", layers="cheaper")), "curves")
    before = tabs_id(app)
    app = click_tab(app, "Fewer neurons, fewer layers")
    assert len(charts(app)) == 2 and tabs_id(app) != before
    app = click_tab(app, "Fewer neurons, fewer layers")
    assert len(charts(app)) == 3 and "".join(app.query_params["layers"]) == "cheaper"


def test_macro_f1_has_its_own_words():
    app = fine(visit(PAGE, run="r", score="macro_f1"))
    assert "macro-F1 **" in said(app) and "tried, which scored " in said(app)


def test_the_scores_of_a_class_have_no_band(run_folder: Path):
    name = Run.open(run_folder).metrics["classes"][0]
    asked: Any = {"class": name}
    app = fine(visit(PAGE, run="r", **asked))
    assert "each with its own 95 % interval" in said(app)


def test_a_run_without_the_answers_of_its_probes_says_so(
    run_folder: Path, tmp_path: Path
):
    older = tmp_path / "runs" / "older"
    copied(run_folder, older)
    (older / RunFile.GUESSES).unlink()
    app = fine(visit(PAGE, run="older", layer="1"))
    assert "not corrected for that choice" in said(app)
    assert "each with its own 95 % interval" in said(app)
    assert "on validation, not corrected" in said(app)


def test_a_picked_layer_leads_to_its_neurons_and_can_be_cleared():
    app = fine(visit(PAGE, run="r", layer="1"))
    assert "**Layer 1** · best probe `" in said(app)
    assert "tried, which scored " in said(app).partition("**Layer 1**")[2]
    next(one for one in app.button if one.label == "Clear").click().run()
    assert "**Layer 1**" not in said(fine(app))
    assert "layer" not in app.query_params


def test_a_probe_can_be_chosen_without_a_click_on_the_curves(run_folder: Path):
    probes = Run.open(run_folder).probes
    row = probes.loc[probes["best"] & (probes["site"] == "mlp.3")].iloc[0]
    app = fine(visit(PAGE, run="r"))
    assert app.selectbox(key="probe_choice").disabled
    fine(app.selectbox(key="pick_layer").select(3).run())
    place = (row["kind"], row["pooling"])
    fine(app.selectbox(key="probe_choice").select(place).run())
    assert f"probe `{row['site']}` by {row['pooling']}: " in said(app)
    assert f"scored {percent(row['accuracy'])} on the same validation" in said(app)
    assert app.query_params["kind"] in (row["kind"], [row["kind"]])


def test_a_place_without_kept_neurons_leads_to_none(run_folder: Path):
    run = Run.open(run_folder)
    places = ["layer", "kind", "pooling"]
    kept = set(run.neurons[places].itertuples(index=False, name=None))
    every = best_probes(run.probes)[places].itertuples(index=False, name=None)
    layer, kind, pooling = next(one for one in every if one not in kept)
    at = {"layer": str(layer), "kind": kind, "pooling": pooling}
    app = fine(visit(PAGE, run="r", **at))
    assert "none of its neurons was kept" in said(app)
    links = [one.proto.label for one in app.get("page_link")]
    assert "Neurons" in links and "See its neurons" not in links


def test_a_layer_that_is_not_there_is_no_error_and_is_told_of():
    words = said(fine(visit(PAGE, run="r", layer="99")))
    assert "**Layer 99**" not in words
    assert "It has probes of layers 0 to 6." in words
    app = fine(visit(PAGE, run="r", layer="99"))
    next(one for one in app.button if one.label == "Clear").click().run()
    assert "layer" not in fine(app).query_params


def test_it_says_why_this_classifier_and_leads_to_the_cheapest_near_it(
    run_folder, monkeypatch
):
    # So wide that there is one in any case.
    monkeypatch.setattr(frontier_options, "TOLERANCE", 0.2)
    run = Run.open(run_folder)
    found = near_options(frontier_options.options_of(run), chosen_of(run))
    app = fine(visit(PAGE, run="r", layers="cheaper"))
    assert "Training looked at all layers" in said(app)
    shown = [one for one in app.button if one.key == "near"]
    assert len(shown) == len(found) == 1
    fine(shown[0].click().run())
    assert "".join(app.query_params["depth"]) == str(found[0].layer)
    assert "".join(app.query_params["size"]) == str(found[0].neurons)
    assert next(one for one in app.button if one.key == "near").disabled


def chosen_of(run: Run):
    return frontier_options.options_of(run)[
        int(run.frontier["chosen"].to_numpy().argmax())
    ]


@pytest.mark.parametrize(
    ("state", "gone"),
    [({"layer_kinds": ["mlp"]}, "hidden states"), ({"baselines": False}, "TF-IDF")],
)
def test_curves_can_be_left_out(state, gone):
    def drawn(app) -> str:
        return str(charts(app)[0])

    assert gone in drawn(fine(visit(PAGE, run="r")))
    assert gone not in drawn(fine(visit(PAGE, run="r", state=state)))


def test_the_numbers_can_be_taken_away():
    app = fine(visit(PAGE, run="r"))
    assert list(app.dataframe[0].value.columns[:3]) == ["site", "pooling", "C"]
    labels = [one.proto.label for one in app.get("download_button")]
    assert labels == ["Report as HTML", "Download CSV"]


def facts(app) -> dict[str, str]:
    return {one.label: one.value for one in app.metric}


def test_the_dials_begin_at_the_classifier_of_the_run(run_folder: Path):
    metrics = Run.open(run_folder).metrics
    app = fine(visit(PAGE, run="r", layers="cheaper"))
    assert facts(app)["Test"] == percent(metrics["test"]["accuracy"])
    assert "This is the classifier of this run." in said(app)
    assert not [one for one in app.button if one.label == "Make this classifier"]


def test_a_turned_dial_shows_another_and_stays_in_the_address(run_folder: Path):
    frontier = Run.open(run_folder).frontier
    row = frontier.loc[frontier["layer"] == 2].iloc[0]
    app = fine(visit(PAGE, run="r", layers="cheaper", depth="2"))
    app.select_slider(key="pick_size").set_value(int(row["neurons"])).run()
    assert facts(fine(app))["Test"] == percent(row["test_accuracy"])
    assert facts(app)["Time per text"] == f"{row['ms_per_text']:.1f} ms"
    assert "".join(app.query_params["size"]) == str(row["neurons"])


@pytest.mark.parametrize("asked", [{"depth": "99"}, {"size": "3"}, {"size": "10000"}])
def test_a_place_that_is_not_there_shows_one_that_is(asked: dict[str, str]):
    app = fine(visit(PAGE, state=None, run="r", layers="cheaper", **asked))
    assert "Test macro-F1" in facts(app)


def test_the_button_starts_the_run_that_is_shown(run_folder: Path, monkeypatch):
    began: list[RunConfig] = []

    def start(config: RunConfig) -> Path:
        began.append(config)
        return Path("r")

    monkeypatch.setattr("stc_core.runs.processes.jobs.start", start)
    frontier = Run.open(run_folder).frontier
    row = frontier.iloc[3]
    place = {"depth": str(row["layer"]), "size": str(row["neurons"])}
    app = fine(visit(PAGE, state=None, run="r", layers="cheaper", **place))
    next(one for one in app.button if one.label == "Make this classifier").click().run()
    (config,) = began
    assert config.shrink is not None
    assert (config.shrink.layer, config.shrink.neurons) == (
        row["layer"],
        row["neurons"],
    )


def test_a_page_spares_what_it_imported_from_later_collections(monkeypatch):
    monkeypatch.setattr(memory, "_spared", 0)
    gc.unfreeze()
    # The first run may load modules, and the second one counts them.
    fine(fine(fine(visit(PAGE, run="r")).run()).run())
    assert gc.get_freeze_count() > 1000
    gc.unfreeze()


def test_from_a_run_that_is_gone_one_click_leads_to_the_newest():
    app = fine(visit(PAGE, run="gone"))
    assert "There is no run 'gone' here" in said(app)
    (way,) = (one for one in app.button if one.label.startswith("Open the newest"))
    app = fine(way.click().run())
    assert "There is no run" not in said(app)
    assert app.query_params["run"] in ("r", ["r"])
