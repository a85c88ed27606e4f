"""Nothing jumps: layout shifts of the main pages, as a real browser measures them."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from browser import WAIT_MS, browser, listen, server, settled
from playwright.sync_api import Page
from test_page_compare import copied

FIRST, CLICK = 0.15, 0.05
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
def address(
    tmp_path_factory: pytest.TempPathFactory, run_folder: Path
) -> Iterator[str]:
    home = tmp_path_factory.mktemp("layout")
    (home / "runs").mkdir()
    copied(run_folder, home / "runs" / "r")
    copied(run_folder, home / "runs" / "w", wrong=4)
    with server(home) as there:
        yield there


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    """A window that has the code of the widgets: it has been to two of the pages."""
    with browser() as chromium:
        opened = chromium.new_page(viewport={"width": 1280, "height": 900})
        opened.set_default_timeout(WAIT_MS)
        opened.add_init_script(WATCH)
        heard = listen(opened)
        for name in ("Errors", "Neurons"):
            opened.goto(f"{address}/{name}?run=r")
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
    address: str, page: Page, name: str, more: dict[str, str], button: str
):
    page.goto(f"{address}/{name}?{urlencode({'run': 'r'} | more)}")
    assert shifted(page) <= FIRST, f"first paint of {name}"
    page.get_by_test_id("stMain").get_by_text(button, exact=True).first.click()
    assert shifted(page) <= CLICK, f"a click on {button} of {name}"


@pytest.mark.parametrize("name", ["Layers", "Neurons", "Examples", "Errors"])
def test_a_chart_has_its_room_from_the_start(address: str, page: Page, name: str):
    page.goto(f"{address}/{name}?run=r")
    settled(page).wait_for_timeout(500)
    assert page.locator(".js-plotly-plot").count()
    assert page.evaluate(SHORT) == []  # else Plotly draws it twice
