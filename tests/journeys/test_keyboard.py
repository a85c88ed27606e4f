"""The way from Home to why a text got its label, in a real browser, without a mouse."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlparse

import pandas as pd
import pytest
from playwright.sync_api import Page

from helpers.browser.browser import ServedApp, browser, listen, settled, window
from stc_core.data.uploads import SAMPLE, find_upload

MOST_TABS = 60
SAID = """
() => {
  const one = document.activeElement;
  if (['MAIN', 'BODY'].includes(one.tagName)) return [];
  return (one.getAttribute('aria-label') || one.innerText || '').trim().split('\\n');
}
"""
SEEN = """
async () => {
  const one = document.activeElement;
  const rest = () => new Promise((done) => setTimeout(done, 400));
  const look = () => [one, one.parentElement, one.parentElement.parentElement]
    .map(getComputedStyle)
    .map((s) => [s.outline, s.boxShadow, s.borderColor, s.backgroundColor].join())
    .join();
  await rest();
  const focused = look();
  one.blur();
  await rest();
  const plain = look();
  one.focus();
  return focused !== plain;
}
"""


@pytest.fixture(scope="module")
def page(served_app: ServedApp) -> Iterator[Page]:
    """Home, with the finished run `r`; nothing may go wrong to the end."""
    with browser() as chromium:
        opened = window(chromium)
        heard = listen(opened)
        opened.goto(served_app.url(""))
        yield settled(opened)
        assert not heard, heard


def tab_to(page: Page, said: str, *, back: bool = False) -> None:
    """Press Tab until what says so has the focus; it must be seen to have it."""
    passed: list[str] = []
    for _ in range(MOST_TABS):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        found = page.evaluate(SAID)
        passed += found[-1:]
        if said in found:
            assert page.evaluate(SEEN), f"{said} has the focus, and nothing shows it"
            return
    raise AssertionError(f"Tab does not reach {said!r}, but {passed}")


def example(page: Page) -> int:
    return int(parse_qs(urlparse(page.url).query)["example"][0])


def the_sample_is_opened(page: Page):
    tab_to(page, "Try the sample")
    page.keyboard.press("Enter")
    page.wait_for_url("**data=sample*")
    settled(page).get_by_text("Rows in the file").wait_for()
    rows = len(pd.read_csv(find_upload(SAMPLE).path))
    assert f"{rows:,}" in page.get_by_test_id("stMain").inner_text()


def a_link_of_the_sidebar_leads_to_the_texts(page: Page):
    tab_to(page, "Examples", back=True)
    page.keyboard.press("Enter")
    page.wait_for_url("**/Examples*")
    settled(page).get_by_text("sums to logit").wait_for()
    assert urlparse(page.url).path == "/Examples" and "run=r" in page.url


def keys_step_through_the_texts_and_say_where_one_is(page: Page):
    table = page.get_by_test_id("stMain")
    assert "1 of " in table.inner_text()
    page.keyboard.press("n")
    page.get_by_text("2 of ", exact=False).first.wait_for()
    first = example(settled(page))
    page.keyboard.press("n")
    page.wait_for_function("old => !location.search.includes(old)", arg=f"={first}")
    settled(page).keyboard.press("p")
    page.wait_for_url(f"**example={first}*")
    settled(page).get_by_role("heading", name=f"Row {first + 1}").wait_for()


def one_types_the_letters_of_the_keys(page: Page):
    before = example(page)
    tab_to(page, "Search")
    page.keyboard.type("npn")
    page.wait_for_timeout(500)
    assert example(settled(page)) == before
    for _ in "npn":
        page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    settled(page).get_by_role("heading", name=f"Row {before + 1}").wait_for()


def a_button_steps_as_its_key_does(page: Page):
    before = example(page)
    tab_to(page, "Next")
    page.keyboard.press("Enter")
    page.wait_for_function("old => !location.search.includes(old)", arg=f"={before}")
    settled(page).get_by_text("sums to logit").wait_for()
    assert example(page) != before


def test_the_way_needs_no_mouse(page: Page):
    the_sample_is_opened(page)
    a_link_of_the_sidebar_leads_to_the_texts(page)
    keys_step_through_the_texts_and_say_where_one_is(page)
    one_types_the_letters_of_the_keys(page)
    a_button_steps_as_its_key_does(page)
