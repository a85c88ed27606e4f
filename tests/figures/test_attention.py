"""Figures of attention, and what the pages say of a run that reads by it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.app import at_home, fine, html, said, visit
from helpers.runs.attention import trained
from stc_core.backbone.tokenization.tokens import Span
from stc_core.classifiers.base import token_rows
from stc_core.figures.attention import attended_tokens, layer_shares
from stc_core.runs.run import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("shown")).folder


@pytest.fixture
def run(tmp_path: Path, folder: Path, monkeypatch) -> Run:
    """The one run `r` of a home of its own."""
    return Run.open(at_home(tmp_path, monkeypatch, r=folder) / "r")


def test_the_curve_holds_the_shares():
    figure: Any = layer_shares(
        [1, 2, 4], [0.2, 0.5, 0.3], layer_names=["", "block <1>"]
    )
    curve: Any = figure.data[0]
    assert list(curve.x) == [1, 2, 4]
    assert list(curve.y) == [0.2, 0.5, 0.3]
    assert [place[0] for place in curve.customdata] == [1, 2, 4]
    assert curve.hovertext[1] == "layer 2: 50.0 %"
    assert "<1>" not in curve.hovertext[0]
    assert figure.layout.annotations[0].text == "equal shares 33.3 %"


def test_shares_are_those_of_the_class():
    spans = [Span(0, 0, "[CLS]"), Span(0, 2, "ab", unknown=True)]
    rows = token_rows(spans, ["a", "b"], np.zeros((2, 2)))
    found = {"tokens": rows, "attention": {"tokens": {"a": [0.2, 0.8], "b": [1, 0]}}}
    assert [token.value for token in attended_tokens(found, "a")] == [0.2, 0.8]
    first, second = attended_tokens(found, "b")
    assert first.special and second.unknown


def test_layers_show_what_attention_reads(run: Run):
    app = fine(visit("pages/3_Layers.py", run="r", layer="2"))
    assert "What attention reads" in said(app)
    assert "is no proof" in said(app)
    assert "kept neurons are here" not in said(app)


def test_examples_shade_the_words_that_are_read(run: Run):
    app = fine(visit("pages/5_Examples.py", run="r", state={"by": "neuron"}))
    assert "What attention reads" in said(app)
    assert "It is **no proof**" in said(app)
    assert "of what is read" in html(app)
    assert "sums to logit" in said(app)
    assert "Look at" not in said(app)


def test_other_pages_say_what_is_not_there(run: Run):
    app = fine(visit("pages/4_Neurons.py", run="r"))
    assert "This run keeps no neurons" in said(app)
    app = fine(visit("pages/7_Adapt.py", run="r"))
    shown = app.dataframe[0].value
    assert shown["Classifier"].iloc[0] == "This classifier"
    assert "Continue with stc on the tuned model" not in [
        one.label for one in app.button
    ]
    fine(visit("pages/2_Train.py", run="r"))
    fine(visit("pages/6_Predict.py", run="r"))
