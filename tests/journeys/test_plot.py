"""A chart stays on the page: what changes is its figure, its colours and its width."""

from collections.abc import Iterator
from pathlib import Path

import plotly
import pytest
import streamlit as st
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from helpers.browser.browser import ServedApp, browser, insist, listen, settled, window
from ui.charts import plot

INK = """() => getComputedStyle(
  document.querySelector('.stc-plot .ytick text')).fill"""
MARK = """document.querySelectorAll('.stc-plot, .stc-plot .main-svg').forEach(
  (one) => { one.marked = true; })"""
KEPT = """[...document.querySelectorAll('.stc-plot, .stc-plot .main-svg')].every(
  (one) => one.marked === true)"""
WIDTHS = """() => [...document.querySelectorAll('.stc-plot')].map(
  (one) => [one.clientWidth, one._fullLayout.width])"""
FIRST = """() => {
  const plot = document.querySelector('.stc-plot'), box = plot.getBoundingClientRect();
  const {xaxis, yaxis} = plot._fullLayout, trace = plot._fullData[0];
  return {
    x: box.x + xaxis._offset + xaxis.l2p(trace.x[0]),
    y: box.y + yaxis._offset + yaxis.l2p(trace.y[0]),
  };
}"""


@pytest.fixture(scope="module")
def page(served_app: ServedApp) -> Iterator[Page]:
    with browser() as chromium:
        opened = window(chromium, 1600, color_scheme="light")
        heard = listen(opened)
        opened.goto(served_app.url("Layers"))
        yield settled(opened)
        assert heard == []


def a_click_changes_the_figure_and_keeps_the_plot(page: Page):
    chart = page.locator(".stc-plot").first
    name = "Validation score of the probes by layer, with baselines as lines"
    expect(chart).to_have_attribute("aria-label", name)
    page.evaluate(MARK)
    assert "validation accuracy" in chart.inner_text()
    page.get_by_text("Macro-F1", exact=True).click()
    expect(chart.locator(".ytitle")).to_have_text("validation macro-F1")
    assert settled(page).evaluate(KEPT) is True
    # Plotly's own state is that of the new figure.
    assert chart.evaluate("one => one.layout.yaxis.title.text") == "validation macro-F1"


def the_same_point_can_be_clicked_again(page: Page):
    def twice(patience: int) -> None:
        led = []
        for _ in range(2):
            place = page.evaluate(FIRST)
            page.mouse.move(place["x"], place["y"])
            page.mouse.click(place["x"], place["y"])
            page.wait_for_url("**layer=*", timeout=patience)
            led.append(page.url)
            settled(page).get_by_role("button", name="Clear").click()
            page.wait_for_function("!location.search.includes('layer=')")
            settled(page)
        assert led[0] == led[1] and "layer=" in led[0]

    # Both clicks anew: were the second one never heard, it would not be this time.
    insist(twice)


def it_is_as_wide_as_its_place(page: Page):
    for width in (1000, 1500, 1280):
        page.set_viewport_size({"width": width, "height": 1600})
        settled(page).wait_for_timeout(300)
        for place, drawn in page.evaluate(WIDTHS):
            assert place == drawn > 300


def what_was_moved_stays_moved_until_another_figure(page: Page):
    chart = page.locator(".stc-plot").first
    reach = "one => one._fullLayout.yaxis.range.map((end) => Math.round(end * 1e4))"
    before, box = chart.evaluate(reach), chart.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 3, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 40, steps=4)
    page.mouse.up()
    moved = chart.evaluate(reach)
    assert moved != before
    page.set_viewport_size({"width": 1200, "height": 1600})
    settled(page).wait_for_timeout(300)
    assert chart.evaluate(reach) == moved
    page.set_viewport_size({"width": 1280, "height": 1600})
    settled(page).get_by_text("Accuracy", exact=True).click()
    expect(chart.locator(".ytitle")).to_have_text("validation accuracy")
    settled(page).get_by_text("Macro-F1", exact=True).click()
    expect(chart.locator(".ytitle")).to_have_text("validation macro-F1")
    assert settled(page).locator(".stc-plot").first.evaluate(reach) == before


def its_ink_is_the_page_s(page: Page):
    light = page.evaluate(INK)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"({INK})() !== '{light}'")
    dark = settled(page).evaluate(INK)
    assert brightness(dark) > 150 > 120 > brightness(light)
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"({INK})() === '{light}'")


def brightness(colour: str) -> float:
    return sum(map(int, colour.removeprefix("rgb(").rstrip(")").split(","))) / 3


def it_fills_the_screen_and_comes_back(page: Page):
    chart = page.locator(".stc-plot").first
    before = page.evaluate(WIDTHS)
    for full in ("!==", "==="):
        chart.hover()
        chart.locator(".modebar-btn[data-title=Fullscreen]").click()
        page.wait_for_function(f"document.fullscreenElement {full} null")
        settled(page).wait_for_timeout(500)
        wide, drawn = page.evaluate(WIDTHS)[0]
        assert wide == drawn == (1280 if full == "!==" else before[0][0])
    assert page.evaluate(WIDTHS) == before


def test_a_chart_lives_as_long_as_its_page(page: Page):
    a_click_changes_the_figure_and_keeps_the_plot(page)
    the_same_point_can_be_clicked_again(page)
    it_is_as_wide_as_its_place(page)
    what_was_moved_stays_moved_until_another_figure(page)
    its_ink_is_the_page_s(page)
    it_fills_the_screen_and_comes_back(page)


def test_without_plotly_it_says_so(served_app: ServedApp, page: Page):
    assert page.context.browser
    other = window(page.context.browser)
    other.route("**/app/static/plotly*", lambda route: route.abort())
    other.goto(served_app.url("Layers"))
    told = settled(other).locator(".stc-plot").first
    assert "This chart cannot be drawn" in told.inner_text()
    assert "Reload the page" in told.inner_text()
    other.unroute("**/app/static/plotly*")
    other.get_by_text("Macro-F1", exact=True).click()  # the next figure tries anew
    settled(other).locator(".stc-plot .ytitle").first.wait_for()
    assert "cannot be drawn" not in told.inner_text()
    other.context.close()


@pytest.fixture
def anew(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """A folder for what is served that has nothing in it yet."""
    monkeypatch.setattr(plot, "STATIC", tmp_path / "static")
    yield tmp_path / "static"


def test_plotly_is_served_whole_and_by_its_version(anew: Path, monkeypatch):
    name = plot.library()
    assert name is not None and name == f"plotly-{plotly.__version__}.min.js"
    assert [one.name for one in anew.iterdir()] == [name]
    script = (anew / name).read_text("utf-8")
    assert len(script) > 1e6
    monkeypatch.setattr(plot.shutil, "copyfile", None)  # it is there
    assert plot.library() == name


ONE = """
import plotly.graph_objects as go
from stc_core.figures.style import settle
from ui.charts.plot import plot

figure = settle(go.Figure(go.Scatter(x=[1], y=[2])), height=200)
plot(figure, "c", alt="A point", on_click=print)
"""


@pytest.mark.parametrize("why", ["no folder", "not served"])
def test_where_plotly_cannot_be_served_streamlit_draws(
    anew: Path, why: str, monkeypatch
):
    if why == "no folder":
        anew.write_text("a file is in the way")
    else:
        monkeypatch.setattr(st, "get_option", lambda name: False)
    app = AppTest.from_string(ONE).run()
    assert not app.exception
    assert len(app.get("plotly_chart")) == 1 and not app.get("bidi_component")
    assert app.get("plotly_chart")[0].proto.alt == "A point"


def test_the_page_s_colours_are_left_to_the_page(anew: Path):
    app = AppTest.from_string(ONE).run()
    assert not app.exception
    (drawn,) = app.get("bidi_component")
    assert "template" not in drawn.proto.json and '"height": 200' in drawn.proto.json
