"""The parts of an HTML file: escaped, inlined, and what a reader's program finds."""

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go

from helpers.html_pages import EVIL, Found
from stc_core.report.html import (
    Section,
    _marked_up,
    bullets,
    facts_table,
    html_chart,
    html_table,
    page,
)


def test_a_page_holds_its_sections_and_fetches_nothing():
    found = Found(
        page(EVIL, facts_table([(EVIL, "1", "")]), [Section("One", _marked_up(EVIL))])
    )
    assert found.tags.count("section") == 1 and found.words.count(EVIL) == 4
    assert found.addresses == ["data:,", "#s0"]
    assert found.tags.count("script") == 2  # plotly.js and ours
    assert sum(len(one) for one in found.scripts) > 1_000_000


def test_a_section_without_a_body_is_left_out():
    found = Found(page("t", "", [Section("One", ""), Section("Two", "x")]))
    assert "Two" in found.words and "One" not in found.words


def test_a_chart_is_its_figure_with_words_that_cannot_end_it():
    figure = go.Figure(go.Scattergl(x=np.arange(3), y=[1, 2, 3], hovertext=[EVIL] * 3))
    found = Found(html_chart(figure, "name", alt=EVIL, note=EVIL))
    assert found.tags.count("script") == 1 and found.labels == [EVIL]
    (trace,) = json.loads("".join(found.scripts))["data"]
    assert trace["type"] == "scatter" and trace["hovertext"] == [EVIL] * 3
    drawn: Any = figure.data[0]
    assert drawn.type == "scattergl"


def test_a_table_has_its_cells_as_text_and_numbers_apart():
    text = html_table("t", ["a", EVIL], [("71.3 %", EVIL), ("63.5 to 79.1 %", "x\ny")])
    found = Found(text)
    assert text.count('class="number"') == 2 and "x\ny" in found.words
    assert found.words.count(EVIL) == 2 and found.tags.count("td") == 4


def test_words_may_be_strong_or_code():
    assert _marked_up("**a<b** `c`") == "<strong>a&lt;b</strong> <code>c</code>"
    assert bullets([]) == "" and bullets(["x"]) == "<ul><li>x</li></ul>"
