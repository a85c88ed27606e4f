"""Errors in a real browser: a click on a cell, its texts, and the way to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from helpers.browser.browser import ServedApp, browser, listen, settled, window
from stc_core.runs.run import Run

SQUARE = """
([label, predicted]) => {
  const plot = document.querySelector('.js-plotly-plot');
  plot.scrollIntoView({block: 'center'});
  const box = plot.getBoundingClientRect();
  const {xaxis, yaxis} = plot._fullLayout;
  for (const trace of plot._fullData) {
    const place = (trace.customdata || []).findIndex(
      (data) => data[0] === label && data[1] === predicted);
    if (place >= 0) return {
      x: box.x + xaxis._offset + xaxis.l2p(trace.x[place]),
      y: box.y + yaxis._offset + yaxis.l2p(trace.y[place]),
    };
  }
}
"""


@pytest.fixture(scope="module")
def page(served_app: ServedApp) -> Iterator[Page]:
    with browser() as chromium:
        opened = window(chromium)
        heard = listen(opened)
        opened.goto(served_app.url("Errors"))
        yield settled(opened)
        assert heard == []


def click(page: Page, *cell: str | None) -> None:
    page.locator(".js-plotly-plot .scatterlayer .point").first.wait_for()
    place = page.evaluate(SQUARE, list(cell))
    page.mouse.move(place["x"], place["y"])
    page.mouse.click(place["x"], place["y"])


def a_cell_shows_its_texts_and_goes_along_to_examples(page: Page, run_folder: Path):
    predictions = Run.open(run_folder).predictions
    wrong = predictions.query("split == 'test' and not correct").iloc[0]
    label, predicted = str(wrong["label"]), str(wrong["predicted"])
    click(page, label, predicted)
    page.wait_for_url(f"**slice=label%3D{label}%3Bpredicted%3D{predicted}*")
    title = f"Texts: label is {label}, predicted is {predicted}"
    settled(page).get_by_role("heading", name=title).wait_for()
    click(page, label, None)
    title = f"Texts: label is {label}"
    settled(page).get_by_role("heading", name=title, exact=True).wait_for()
    page.get_by_role("link", name="See all of these in Examples").click()
    page.wait_for_url("**/Examples?*")
    settled(page).get_by_role("button", name=f"label is {label}").click()
    page.wait_for_function("!location.href.includes('slice=')")
    assert not settled(page).get_by_role("button", name=f"label is {label}").count()


def a_tab_is_kept_by_the_links_and_by_a_choice(page: Page):
    page.get_by_role("link", name="Errors").click()
    page.wait_for_url("**/Errors?*")
    settled(page).get_by_role("tab", name="Slices").click()
    page.wait_for_url("**errors=slices*")
    settled(page).get_by_text("validation", exact=True).click()
    page.wait_for_url("**split=validation*")
    tab = settled(page).get_by_role("tab", name="Slices")
    assert tab.get_attribute("aria-selected") == "true"
    page.get_by_role("link", name="Examples", exact=True).click()
    page.wait_for_url("**/Examples?*errors=slices*")
    settled(page).get_by_role("link", name="Errors").click()
    page.wait_for_url("**/Errors?*errors=slices*")
    tab = settled(page).get_by_role("tab", name="Slices")
    assert tab.get_attribute("aria-selected") == "true"


def test_errors_lead_to_their_texts(page: Page, run_folder: Path):
    a_cell_shows_its_texts_and_goes_along_to_examples(page, run_folder)
    a_tab_is_kept_by_the_links_and_by_a_choice(page)
