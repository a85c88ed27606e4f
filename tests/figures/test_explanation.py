"""Probabilities and the waterfall of one text."""

import pytest

from helpers.frames import CLASSES, explanation, faithful_part, layout
from stc_core.figures.explanation import (
    _MOST_CLASSES,
    erasure_curves,
    probability_bars,
    top_classes,
    waterfall,
)
from stc_core.interpret.explanation import check_sum, layer_parts, neuron_parts
from stc_core.interpret.faithfulness.scores import ATTRIBUTIONS

FOUND = explanation()
MANY = {f"c{k}": (77 - k) / 3003 for k in range(77)}


def test_probabilities_are_bars_with_the_true_label_marked():
    figure = probability_bars(FOUND["probabilities"], label="b")
    assert list(figure.data[0].x) == [0.7, 0.2, 0.1]
    assert list(layout(figure).yaxis.ticktext) == ["a", "b ✓", "&lt;i&gt;c&lt;/i&gt;"]
    assert list(figure.data[0].y) == [2, 1, 0]


def test_of_many_classes_the_rest_is_one_bar():
    bars = probability_bars(MANY, label="c0").data[0]
    assert len(bars.x) == _MOST_CLASSES + 1
    assert sum(bars.x) == pytest.approx(1)
    assert "67 other classes" in bars.hovertext[-1]


def test_the_true_label_is_always_among_those_shown():
    assert top_classes(MANY, "c60") == [f"c{k}" for k in range(9)] + ["c60"]
    assert top_classes(MANY, None) == [f"c{k}" for k in range(10)]
    assert top_classes(MANY, "unknown") == top_classes(MANY, None)


@pytest.mark.parametrize("label", CLASSES)
@pytest.mark.parametrize("parts", [neuron_parts, layer_parts])
def test_the_waterfall_ends_at_the_logit(label, parts):
    figure = waterfall(parts(FOUND, label), check_sum(FOUND, label))
    steps = figure.data[0]
    assert steps.measure[0] == "absolute" and steps.measure[-1] == "total"
    assert set(steps.measure[1:-1]) == {"relative"}
    assert sum(steps.x[:-1]) == pytest.approx(FOUND["logits"][label])
    assert steps.x[-1] == pytest.approx(FOUND["logits"][label])
    names = layout(figure).yaxis.ticktext
    assert names[0] == "bias" and names[-1] == "logit"


def test_the_axis_holds_every_step_and_zero():
    axis = layout(waterfall(neuron_parts(FOUND, "a"), check_sum(FOUND, "a"))).xaxis
    assert axis.range[0] < 0 and axis.range[1] > 1.6


def test_each_explanation_has_a_line_over_the_shares():
    part = faithful_part(best=0.5)
    lines = erasure_curves(part, ATTRIBUTIONS).data
    assert [line.name for line in lines] == [
        ATTRIBUTIONS[one["method"]] for one in part["methods"]
    ]
    assert list(lines[1].x) == ["1 %", "5 %", "10 %", "20 %", "50 %"]
    assert list(lines[1].y) == [0.5] * 5
    assert [line.line.dash for line in lines] == ["solid", "solid", "dot"]
    alone = erasure_curves(part, ATTRIBUTIONS, "alone")
    assert list(alone.data[1].y) == [0.1] * 5
    assert layout(alone).xaxis.title.text == "strongest parts kept alone"


def test_an_explanation_has_one_colour_whatever_stands_beside_it():
    part = faithful_part(best=0.5)
    fewer = {**part, "methods": part["methods"][1:]}
    both = [
        {line.name: line.line.color for line in erasure_curves(one, ATTRIBUTIONS).data}
        for one in (part, fewer)
    ]
    assert both[1].items() < both[0].items()
    assert len(set(both[0].values())) == len(both[0])
