"""Comparing two runs in a real browser: points, pictures, tables and the report."""

from collections.abc import Iterator

import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Page

from helpers.browser.browser import ServedApp, browser, listen, settled, window

POINT = """
(run) => {
  const plot = document.querySelector('.js-plotly-plot');
  const box = plot.getBoundingClientRect();
  const {xaxis, yaxis} = plot._fullLayout;
  for (const trace of plot._fullData) {
    const place = (trace.customdata || []).findIndex((custom) => custom[0] === run);
    if (place >= 0) return {
      x: box.x + xaxis._offset + xaxis.l2p(xaxis.d2l(trace.x[place])),
      y: box.y + yaxis._offset + yaxis.l2p(trace.y[place]),
    };
  }
}
"""


@pytest.fixture(scope="module")
def page(served_app: ServedApp) -> Iterator[Page]:
    """The page of the run `r`, which has a twin `w` with 40 neurons and 4 mistakes."""
    with browser() as chromium:
        opened = window(chromium)
        # It would ask for a place on disk, which nobody is there to choose.
        opened.add_init_script("window.showSaveFilePicker = undefined")
        heard = listen(opened)
        opened.goto(served_app.url("Compare"))
        yield settled(opened)
        assert heard == []


def a_click_on_a_point_compares_with_its_run(page: Page):
    page.locator(".js-plotly-plot .scatterlayer .point").first.wait_for()
    place = page.evaluate(POINT, "w")
    page.mouse.move(place["x"], place["y"])
    page.mouse.click(place["x"], place["y"])
    page.wait_for_url("**other=w*")
    settled(page).get_by_text("Texts where they differ").wait_for()
    assert "McNemar" in page.get_by_test_id("stMain").inner_text()
    assert page.locator(".js-plotly-plot").count() == 3


def every_chart_is_saved_as_a_picture_that_is_not_see_through(page: Page):
    charts = page.locator(".js-plotly-plot")
    for place in range(charts.count()):
        charts.nth(place).hover()
        buttons = charts.nth(place).locator(".modebar-btn")
        assert buttons.count() == 2  # the other fills the screen
        with page.expect_download() as coming:
            buttons.first.click()
        with Image.open(coming.value.path()) as picture:
            assert picture.convert("RGBA").getpixel((2, 2)) == (255, 255, 255, 255)
            width = charts.nth(place).evaluate("one => one.clientWidth")
            assert picture.width == pytest.approx(2 * width, abs=4)


def the_texts_are_saved_as_csv(page: Page):
    tables = page.get_by_test_id("stDataFrame")
    assert tables.count() == 4
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download CSV").last.click()
    assert len(pd.read_csv(coming.value.path())) == 4


def the_report_is_downloaded(page: Page):
    with page.expect_download() as coming:
        page.get_by_role("button", name="Report of the other").click()
    assert coming.value.suggested_filename == "w_report.html"
    text = coming.value.path().read_text("utf-8")
    assert text.startswith("<!doctype html>") and "<h1>w</h1>" in text


def test_two_runs_are_compared(page: Page):
    a_click_on_a_point_compares_with_its_run(page)
    every_chart_is_saved_as_a_picture_that_is_not_see_through(page)
    the_texts_are_saved_as_csv(page)
    the_report_is_downloaded(page)
