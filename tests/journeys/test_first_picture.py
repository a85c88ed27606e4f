"""At 1280 x 800 each page shows its main picture whole, without scrolling."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from helpers.browser.browser import ServedApp, browser, listen, settled, window

HEIGHT = 800
CHART, TABLE = ".js-plotly-plot", "[data-testid=stDataFrame]"
WORDS = "[data-testid=stHtml]"
PICTURES = [
    ("Layers", {}, CHART),
    ("Layers", {"layer": "3"}, CHART),
    ("Layers", {"layers": "cheaper"}, CHART),
    ("Neurons", {}, CHART),
    ("Examples", {"example": "5"}, WORDS),
    ("Errors", {}, CHART),
    ("Errors", {"errors": "slices"}, TABLE),
    ("Errors", {"errors": "confidence"}, CHART),
    ("Compare", {"other": "w"}, CHART),
    ("Adapt", {}, CHART),
    ("Data", {"data": "sample"}, TABLE),
    ("Runs", {}, TABLE),
]
"""The page, what its address asks for, and the selector of its main picture."""


@pytest.fixture(scope="module")
def page(served_app: ServedApp) -> Iterator[Page]:
    with browser() as chromium:
        opened = window(chromium, height=HEIGHT)
        heard = listen(opened)
        yield opened
        assert not heard, heard


@pytest.mark.parametrize(("name", "more", "picture"), PICTURES)
def test_the_main_picture_ends_above_the_fold(
    served_app: ServedApp, page: Page, name: str, more: dict[str, str], picture: str
):
    page.goto(served_app.url(name, **more))
    main = settled(page).get_by_test_id("stMain")
    box = main.locator(picture).first.bounding_box()
    assert box is not None
    assert box["y"] > 0 and box["height"] > 20
    assert box["y"] + box["height"] < HEIGHT


@pytest.mark.parametrize(
    ("name", "more", "picked"),
    [
        ("Neurons", {}, "text=Weight for each class"),
        ("Examples", {"example": "5"}, WORDS),
        ("Errors", {"slice": "wrong=1"}, "text=Wrong predictions first"),
    ],
)
def test_what_was_picked_is_beside_the_picture(
    served_app: ServedApp, page: Page, name: str, more: dict[str, str], picked: str
):
    page.goto(served_app.url(name, **more))
    main = settled(page).get_by_test_id("stMain")
    picture = main.locator(f"{CHART}, {TABLE}").first.bounding_box()
    told = main.locator(picked).first.bounding_box()
    assert picture and told
    assert told["x"] >= picture["x"] + picture["width"] - 1
    assert told["y"] + told["height"] < HEIGHT
