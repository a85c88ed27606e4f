"""Neurons: the map and the close-up of one neuron of a real run."""

from pathlib import Path

import pytest
from visit import at_home, fine, html, said, visit

from stc_core.neurons import classes_of, names_of
from stc_core.run import Run

PAGE = "pages/4_Neurons.py"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, run_folder: Path, monkeypatch) -> Run:
    """The one run `r` of a home of its own."""
    return Run.open(at_home(tmp_path, monkeypatch, r=run_folder) / "r")


def title(app) -> str:
    return app.subheader[0].value


def test_the_most_important_neuron_is_shown_first(run):
    app = fine(visit(PAGE, run="r"))
    neurons = run.neurons
    top = int(neurons.loc[neurons["importance"].idxmax(), "neuron"])
    assert title(app) == names_of(neurons)[top]
    assert len(app.get("plotly_chart")) == 3
    assert f"{len(neurons):,} of the {len(neurons):,} neurons" in said(app)


def test_its_texts_are_coloured_and_lead_to_their_explanation():
    app = fine(visit(PAGE, run="r"))
    assert html(app).count("background:rgba(") > 8
    assert 'href="Examples?run=r&amp;example=' in html(app)


@pytest.mark.parametrize("group", ["Second quarter", "Lowest", "Random"])
def test_other_texts_can_be_seen(group):
    app = fine(visit(PAGE, run="r", state={"text_group": group}))
    assert "explain</a>" in html(app)


def test_a_link_opens_its_neuron_coloured_by_its_class(run):
    name = classes_of(run.neurons)[1]
    app = fine(visit(PAGE, state=None, **{"run": "r", "neuron": "3", "class": name}))
    assert title(app) == names_of(run.neurons)[3]
    assert app.selectbox(key="pick_label").value == name
    assert "Orange: against it." in said(app)


def test_next_and_previous_follow_the_map(run):
    app = fine(visit(PAGE, run="r", neuron="1"))
    before = title(app)
    next(one for one in app.button if one.label == "Next").click().run()
    assert title(fine(app)) != before
    next(one for one in app.button if one.label == "Previous").click().run()
    assert title(fine(app)) == before
    assert app.query_params["neuron"] in ("1", ["1"])


def test_a_neuron_that_is_not_there_shows_the_first():
    app = fine(visit(PAGE, run="r", neuron="999999"))
    assert title(app)


def test_a_layer_filters_the_map(run):
    layer = int(run.neurons["layer"].iloc[0])
    here = int((run.neurons["layer"] == layer).sum())
    app = fine(visit(PAGE, run="r", layer=str(layer)))
    assert f"{here:,} of the {len(run.neurons):,} neurons" in said(app)


def test_filters_that_leave_nothing_say_so(run, monkeypatch):
    nothing = run.neurons.iloc[:0]
    monkeypatch.setattr("stc_core.neurons.chosen_neurons", lambda *_, **__: nothing)
    app = fine(visit(PAGE, run="r"))
    assert "No neuron that was kept passes these filters" in said(app)
