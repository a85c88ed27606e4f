"""Figures of errors: what they carry for clicks, and that they hold any data."""

import numpy as np
import pandas as pd
import pytest

from helpers.frames import layout, traces
from stc_core.analysis.calibration import answer_above, calibration_bins, coverage_curve
from stc_core.analysis.confusion import Confusion
from stc_core.figures.errors import (
    calibration_curve,
    confusion_matrix,
    coverage_figure,
)

FOUND = Confusion(("a", "<b>"), np.array([[5, 2], [0, 1]]))


def cells(figure) -> dict[tuple, tuple]:
    """(x, y, number) by what a click on the square says."""
    return {
        tuple(data): (x, y, text)
        for trace in traces(figure)
        if trace.customdata is not None and len(trace.customdata)
        for data, x, y, text in zip(
            trace.customdata, trace.x, trace.y, trace.text, strict=True
        )
    }


def test_each_full_cell_and_each_total_says_what_it_is():
    found = cells(confusion_matrix(FOUND, FOUND.classes))
    assert found[("a", "a")] == (0, 0, "5")
    assert found[("a", "<b>")] == (1, 0, "2")
    assert found[("<b>", "<b>")] == (1, 1, "1")
    assert ("<b>", "a") not in found
    assert found[("a", None)][2] == "7"
    assert found[(None, "<b>")][2] == "3"
    assert len(found) == 7


def test_totals_count_the_classes_that_are_not_shown_too():
    found = cells(confusion_matrix(FOUND, ["a"]))
    assert {data: text for data, (_, _, text) in found.items()} == {
        ("a", "a"): "5",
        ("a", None): "7",
        (None, "a"): "5",
    }


def test_names_are_shown_letter_for_letter():
    figure = confusion_matrix(FOUND, FOUND.classes)
    assert "&lt;b&gt;" in layout(figure).xaxis.ticktext
    said = [trace.hovertext for trace in traces(figure) if trace.hovertext is not None]
    assert not any("<b>" in text for texts in said for text in texts)


@pytest.mark.parametrize(
    ("picked", "place"),
    [
        (("a", "<b>"), (1, 0)),
        ((None, "a"), (0, 2.3)),
        (("a", None), (2.3, 0)),
        ((None, None), None),
        (("gone", "a"), None),
    ],
)
def test_the_picked_cell_is_outlined(picked, place):
    last = traces(confusion_matrix(FOUND, FOUND.classes, picked=picked))[-1]
    outlined = last.marker.symbol == "square-open"
    assert outlined == (place is not None)
    if place:
        assert (last.x[0], last.y[0]) == place


@pytest.mark.parametrize("k", [1, 7, 15, 40])
def test_any_number_of_classes_is_drawn(k):
    counts = np.random.default_rng(0).integers(0, 3000, (k, k))
    names = tuple(map(str, range(k)))
    figure = confusion_matrix(Confusion(names, counts), names)
    assert layout(figure).height > 150


def test_both_calibrations_and_the_diagonal():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 60)
    bins = calibration_bins(rng.integers(0, 3, 60), p)
    assert len(traces(calibration_curve(bins))) == 2
    figure = calibration_curve(bins, bins)
    assert list(traces(figure)[2].x) == bins["confidence"].tolist()
    assert "texts" in traces(figure)[2].hovertext[0]


def test_the_threshold_is_marked_on_the_curve():
    confidence = np.linspace(0.3, 1, 40)
    correct = confidence > 0.5
    curve = coverage_curve(confidence, correct)
    kept = answer_above(confidence, correct, 0.5)
    figure = coverage_figure(curve, kept)
    assert (traces(figure)[2].x[0], traces(figure)[2].y[0]) == (
        kept.coverage,
        kept.accuracy,
    )
    none = answer_above(confidence, correct, 1.1)
    assert len(traces(coverage_figure(curve, none))) == 2
    one = coverage_curve(np.array([0.5]), np.array([True]))
    assert isinstance(one, pd.DataFrame)
    assert len(traces(coverage_figure(one, none))) == 2
