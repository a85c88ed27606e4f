"""What a browser still says of before the last move moves nothing back."""

from pathlib import Path

import pytest

from helpers.app import at_home, fine, visit
from stc_core.interpret.neuron_table import addresses_of, neuron_address, one_of
from stc_core.runs.run import Run
from ui.state import stale_events

PAGE = "pages/4_Neurons.py"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, run_folder: Path, monkeypatch) -> Run:
    return Run.open(at_home(tmp_path, monkeypatch, r=run_folder) / "r")


@pytest.fixture
def app(run, monkeypatch):
    """A page that another neuron was asked for by a button, and that shows it."""
    monkeypatch.setattr(stale_events, "STALE_S", 60.0)
    app = fine(visit(PAGE, run="r", neuron=address(run, 3)))
    return fine(app.button(key="step_neuron_Next").click().run())


def address(run: Run, number: int) -> str:
    return neuron_address(one_of(run.neurons, number))


def neuron(app) -> str:
    found = "".join(app.query_params["neuron"])
    assert app.selectbox(key="pick_neuron").value == found
    return found


def test_the_old_value_of_a_widget_is_no_choice(app, run, monkeypatch):
    now, third = neuron(app), address(run, 3)
    chooser = app.selectbox(key="pick_neuron")
    assert now != third and chooser.value == now
    assert neuron(fine(chooser.set_value(third).run())) == now
    other = next(one for one in addresses_of(run.neurons) if one not in (third, now))
    assert neuron(fine(app.selectbox(key="pick_neuron").set_value(other).run())) == (
        other
    )
    monkeypatch.setattr(stale_events, "STALE_S", 0.0)
    chooser = app.selectbox(key="pick_neuron")
    assert neuron(fine(chooser.set_value(third).run())) == third


def test_the_old_url_is_no_link(app, run, monkeypatch):
    now, third, fifth = neuron(app), address(run, 3), address(run, 5)
    app.query_params["neuron"] = third
    assert neuron(fine(app.run())) == now
    app.query_params["neuron"] = fifth
    assert neuron(fine(app.run())) == fifth
    monkeypatch.setattr(stale_events, "STALE_S", 0.0)
    app.query_params["neuron"] = third
    assert neuron(fine(app.run())) == third


def test_a_moment_after_the_page_is_drawn_the_old_value_is_a_choice(
    app, run, monkeypatch
):
    """The moment begins when the page is drawn, not when the context moved."""
    now = neuron(app)
    monkeypatch.setattr(stale_events, "STALE_S", 0.0)
    third, chooser = address(run, 3), app.selectbox(key="pick_neuron")
    assert neuron(fine(chooser.set_value(third).run())) == third != now


@pytest.mark.parametrize("end", [stale_events.note_drawn, stale_events.begin_page])
def test_until_a_page_is_drawn_all_that_it_replaced_may_come(end, monkeypatch):
    monkeypatch.setattr(stale_events.st, "session_state", {"a": 1})
    monkeypatch.setattr(stale_events, "STALE_S", 0.0)
    stale_events.set_widget("a", 2)
    stale_events.set_widget("b", 1)
    assert stale_events.is_stale("a", 1)
    assert not stale_events.is_stale("a", 2) and not stale_events.is_stale("b", 1)
    end()
    assert stale_events.is_stale("a", 1) == (end is stale_events.begin_page)
    monkeypatch.setattr(stale_events, "UNDRAWN_S", 0.0)
    assert not stale_events.is_stale("a", 1)


def test_of_a_table_only_the_rows_count(monkeypatch):
    before = {"selection": {"rows": [4], "columns": [], "cells": []}}
    state = {"t": before}
    monkeypatch.setattr(stale_events.st, "session_state", state)
    taken = []
    stale_events.set_widget("t", {"selection": {"rows": [4]}})
    stale_events.unless_stale("t", taken.append)()
    stale_events.set_widget("t", {"selection": {"rows": [7]}})
    state["t"] = before
    stale_events.unless_stale("t", taken.append)()
    assert taken == [{"selection": {"rows": [4]}}]
