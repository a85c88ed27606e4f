"""The browser's way back undoes one click after the other, whatever it changed."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from helpers.browser.browser import ServedApp, browser, listen, settled, window


@pytest.fixture(scope="module")
def first() -> Iterator[Page]:
    """A page whose window has the others, too: Streamlit's code is read once."""
    with browser() as chromium:
        yield window(chromium, 1400)


@pytest.fixture
def page(first: Page) -> Iterator[Page]:
    opened = first.context.new_page()
    opened.set_default_timeout(20_000)
    yield opened
    opened.close()


def steps_back(page: Page) -> int:
    return page.evaluate("history.length")


def test_a_step_back_undoes_a_click(served_app: ServedApp, page: Page):
    heard = listen(page)
    page.goto(served_app.url("Layers", layers="cheaper"))
    settled(page)
    before, address_before = steps_back(page), page.url
    page.get_by_role("radio", name="by FLOPs", exact=True).click()
    page.wait_for_function("location.search.includes('cost=')")
    settled(page)
    macro = page.get_by_role("radio", name="Macro-F1", exact=True)
    macro.click()
    page.wait_for_function("location.search.includes('score=macro_f1')")
    settled(page)
    assert steps_back(page) == before + 2
    page.wait_for_timeout(600)  # what was just replaced is no news
    page.go_back()
    page.wait_for_function("!location.search.includes('score=')")
    expect(page.get_by_text("validation macro-F1").first).to_be_hidden()
    page.wait_for_timeout(600)
    page.go_back()
    page.wait_for_function("!location.search.includes('cost=')")
    assert settled(page).url == address_before

    page.goto(served_app.url("Errors"))
    before = steps_back(settled(page))
    words = page.get_by_role("textbox", name="Words")
    words.fill("parcel")
    words.press("Enter")
    page.wait_for_function("location.search.includes('slice=')")
    settled(page)
    assert steps_back(page) == before + 1
    page.wait_for_timeout(600)
    page.go_back()
    page.wait_for_function("!location.search.includes('slice=')")
    expect(words).to_have_value("")
    expect(page.get_by_text("Narrowed to")).to_be_hidden()
    assert heard == []


def test_a_copied_link_says_how_a_run_is_looked_at(served_app: ServedApp, page: Page):
    page.goto(served_app.url("Examples", split="all"))
    settled(page)
    page.get_by_role("radio", name="Wrong", exact=True).click()
    page.wait_for_function("location.search.includes('texts=wrong')")
    search = settled(page).get_by_role("textbox", name="Search")
    search.fill("the")
    search.press("Enter")
    page.wait_for_function("location.search.includes('search=the')")
    told = settled(page).get_by_text("% right").inner_text()
    link, elsewhere = page.url, page.context.browser
    assert elsewhere
    other = window(elsewhere, 1400)
    other.set_default_timeout(20_000)
    other.goto(link)
    settled(other).get_by_text(told).wait_for()
    expect(other.get_by_role("textbox", name="Search")).to_have_value("the")
    other.context.close()
