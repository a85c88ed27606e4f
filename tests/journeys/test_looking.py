"""Clicks on neurons and texts that only a real browser makes: rows, pins, links."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from playwright.sync_api import Page

from helpers.browser.browser import ServedApp, browser, listen, settled, window
from stc_core.interpret.neuron_table import (
    neuron_address,
    neuron_names,
    number_at,
    one_of,
)
from stc_core.interpret.related_neurons import correlated, correlations
from stc_core.runs.run import Run

ROW, SIDE = 35, 20  # pixels: of a table's row, and to the middle of its check box


@pytest.fixture(scope="module")
def first() -> Iterator[Page]:
    """A page whose window has the others, too: Streamlit's code is read once."""
    with browser() as chromium:
        yield window(chromium, 1800)


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return Run.open(run_folder)


@pytest.fixture
def page(first: Page) -> Iterator[Page]:
    """A fresh page, in which nothing may go wrong."""
    opened = first.context.new_page()
    heard = listen(opened)
    yield opened
    opened.close()
    assert not heard, heard


def pick_row(page: Page, table: int, row: int) -> None:
    """Tick the check box of a row of a table; those in closed parts do not count."""
    tables = settled(page).get_by_test_id("stDataFrame").filter(visible=True)
    grid = tables.nth(table)
    grid.scroll_into_view_if_needed()
    grid.click(position={"x": SIDE, "y": ROW * (1 + row) + ROW // 2})


def query(page: Page, name: str) -> str | None:
    return parse_qs(urlparse(page.url).query).get(name, [None])[0]


def test_a_row_leads_to_a_correlated_neuron(
    served_app: ServedApp, run: Run, page: Page
):
    page.goto(served_app.url("Neurons", neuron=3))
    settled(page).get_by_text("Correlated", exact=True).click()
    neurons, activations = run.neurons, np.array(run.activations)
    there = int(correlated(neurons, correlations(activations, 3), 3)["neuron"].iloc[1])
    pick_row(page, 0, 1)
    address = neuron_address(one_of(neurons, there))
    page.wait_for_url(f"**neuron={address}*")
    settled(page).get_by_role("heading", name=neuron_names(neurons)[there]).wait_for()
    assert query(page, "neuron") == address


def test_a_neuron_is_found_by_a_word(served_app: ServedApp, run: Run, page: Page):
    page.goto(served_app.url("Neurons", neuron=3))
    settled(page).get_by_text("Find neurons that fire on a text").click()
    box = page.get_by_label("Text", exact=True)
    box.fill("parcel")
    box.press("Enter")
    settled(page).get_by_text("usual value on a token").wait_for()
    pick_row(page, 0, 0)
    page.wait_for_url(re.compile(r"neuron=(?!3(&|$))"))
    found = number_at(run.neurons, query(page, "neuron") or "")
    assert found is not None
    name = neuron_names(run.neurons)[found]
    settled(page).get_by_role("heading", name=name).wait_for()
    assert found != 3


def test_an_edit_is_compared_and_removed(served_app: ServedApp, page: Page):
    page.goto(served_app.url("Examples"))
    box = settled(page).get_by_label("Change it and compare")
    box.fill("<b>my card was charged twice</b>")
    page.get_by_role("button", name="Compare", exact=True).click()
    settled(page).locator("ins").first.wait_for()
    assert not page.locator("ins b, del b").count()
    page.get_by_role("button", name="Remove").click()
    settled(page).get_by_text("Each edit stays here").wait_for()
    assert not page.locator("ins").count()


@pytest.mark.parametrize(
    ("first_click", "second"),
    [("neuron", "Nearest training texts"), ("Nearest training texts", "neuron")],
)
def test_of_two_quick_clicks_on_examples_none_is_lost(
    served_app: ServedApp, page: Page, first_click: str, second: str
):
    page.goto(served_app.url("Examples", example=7))
    main = settled(page).get_by_test_id("stMain")
    for name in (first_click, second):
        main.get_by_text(name, exact=True).click()
    page.get_by_text("Near texts have similar values").wait_for()
    settled(page)
    for name in (first_click, second):
        chosen = main.get_by_role("radio", name=name, exact=True)
        assert chosen.get_attribute("aria-checked") == "true"


def test_a_pinned_text_comes_with_its_link(served_app: ServedApp, page: Page):
    page.goto(served_app.url("Examples", example=7))
    settled(page).get_by_role("button", name="Pin to compare").click()
    page.wait_for_url("**pinned=7*")
    settled(page).get_by_text("Now pick another text").wait_for()
    page.goto(page.url.replace("example=7", "example=12"))
    settled(page).get_by_text("Pinned: row 8").wait_for()
    page.get_by_role("button", name="Unpin row 8").click()
    page.wait_for_url(lambda address: "pinned" not in address)
    settled(page)
    assert not page.get_by_text("Pinned: row 8").count()


def test_one_click_copies_the_address_of_the_view(served_app: ServedApp, page: Page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(served_app.url("Examples", example=7))
    settled(page).get_by_role("button", name="Copy link").click()
    page.get_by_role("button", name="Copied").wait_for()
    there = page.evaluate("navigator.clipboard.readText()")
    assert there == page.url and query(page, "example") == "7"
    page.get_by_role("button", name="Copy link").wait_for()


def test_where_nothing_may_be_copied_the_address_is_there_to_copy(
    served_app: ServedApp, page: Page
):
    page.add_init_script("delete Navigator.prototype.clipboard")
    page.goto(served_app.url("Neurons", neuron=1))
    settled(page).get_by_role("button", name="Copy link").click()
    field = page.get_by_label("Link to this view")
    field.wait_for()
    assert field.input_value() == page.url
    assert page.evaluate("getSelection().toString()") == page.url
    page.get_by_role("button", name="Next").click()
    settled(page)
    assert query(page, "neuron") != "1" and not field.is_visible()
