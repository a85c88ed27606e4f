"""What a person does on a page of the app."""

from pathlib import Path
from urllib.parse import parse_qs, urlparse

from playwright.sync_api import Page

from helpers.browser.browser import settled


def upload(page: Page, path: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(str(path))
    page.get_by_text(path.name).first.wait_for()
    settled(page)


def choose(page: Page, label: str, option: str) -> None:
    """Pick an option of a select box as a person does."""
    box = page.get_by_role("combobox", name=label, exact=True)
    box.evaluate("one => one.scrollIntoView({block: 'center'})")
    page.wait_for_timeout(300)  # scrolling closes the list
    box.click()
    if box.get_attribute("aria-expanded") != "true":
        box.press("ArrowDown")
    page.get_by_role("option", name=option, exact=True).click()
    settled(page)


def query(page: Page, name: str) -> str:
    return parse_qs(urlparse(page.url).query)[name][0]
