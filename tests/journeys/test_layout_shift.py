"""Nothing jumps: layout shifts of the main pages, as a real browser measures them."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from helpers.browser.browser import ServedApp, browser, listen, settled, window

FIRST, CLICK = 0.1, 0.08
"""The sum of the shifts of the first paint and of a click, with Streamlit's code in the
browser's cache: until it has come each widget is drawn without its label, once."""
WATCH = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) {
    const from = one.sources.map(({node, previousRect, currentRect}) => {
      const element = node?.nodeType === 1 ? node : node?.parentElement;
      // The sidebar comes in beside a page that is empty: that is Streamlit's own.
      const part = element?.parentElement?.closest(
        '[data-testid=stMainBlockContainer]');
      const said = (node?.textContent || '').slice(0, 40);
      return part && `${said}: ${previousRect.y} to ${currentRect.y}`;
    }).filter(Boolean);
    if (from.length) window.shifts.push({value: one.value, from});
  }
}).observe({type: 'layout-shift', buffered: true});
"""


SHORT = """
[...document.querySelectorAll('.js-plotly-plot')].flatMap((plot) =>
  ['l', 'r', 't', 'b'].flatMap((side) => {
    const needed = plot._fullLayout._size[side], given = plot.layout.margin[side];
    return needed > given + 1 ? [`${side}: ${needed} of ${given} pixels`] : [];
  }))
"""


@pytest.fixture(scope="module")
def page(served_app: ServedApp) -> Iterator[Page]:
    """A window that has the code of the widgets: it has been to two of the pages."""
    with browser() as chromium:
        opened = window(chromium)
        opened.add_init_script(WATCH)
        heard = listen(opened)
        for name in ("Errors", "Neurons"):
            opened.goto(served_app.url(name))
            settled(opened)
        yield opened
        assert not heard, heard


def shifted(page: Page) -> float:
    """The sum of the shifts since the last look; what moved is printed."""
    settled(page).wait_for_timeout(500)
    found = page.evaluate("window.shifts.splice(0)")
    for one in sorted(found, key=lambda one: -one["value"])[:5]:
        print(f"{one['value']:.4f}", *one["from"], sep="\n    ")  # noqa: T201
    return sum(one["value"] for one in found)


@pytest.mark.parametrize(
    ("name", "more", "button"),
    [
        ("Examples", {}, "Next"),
        ("Neurons", {}, "Next"),
        ("Errors", {"slice": "length=0-19"}, "0 to 19 words"),
        ("Errors", {"errors": "slices"}, "validation"),
        ("Layers", {"layer": "3"}, "Clear"),
        ("Layers", {"layers": "cheaper"}, "Macro-F1"),
        ("Compare", {"other": "w"}, "Both wrong, differently"),
    ],
)
def test_neither_the_first_paint_nor_a_click_moves_what_is_read(
    served_app: ServedApp, page: Page, name: str, more: dict[str, str], button: str
):
    page.goto(served_app.url(name, **more))
    assert shifted(page) <= FIRST, f"first paint of {name}"
    page.get_by_test_id("stMain").get_by_text(button, exact=True).first.click()
    assert shifted(page) <= CLICK, f"a click on {button} of {name}"


@pytest.mark.parametrize("name", ["Layers", "Neurons", "Examples", "Errors"])
def test_a_chart_has_its_room_from_the_start(
    served_app: ServedApp, page: Page, name: str
):
    page.goto(served_app.url(name))
    settled(page).wait_for_timeout(500)
    assert page.locator(".js-plotly-plot").count()
    assert page.evaluate(SHORT) == []  # else Plotly draws it twice
