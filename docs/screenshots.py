"""Pictures of every page, to look at: `python docs/screenshots.py OUT [RUN]`.

With `--readme` in the place of OUT: the three pictures of README alone, into docs/.

Takes the named run, or the newest finished one under $STC_HOME, the example last. Not a
test: nothing is compared.
"""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page, ViewportSize

from stc_core.data.uploads import SAMPLE
from stc_core.paths import home
from stc_core.runs.run import Run, list_runs

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.browser.browser import browser, listen, server, settled

PAGES = (
    "",
    "Data",
    "Train",
    "Layers",
    "Neurons",
    "Examples",
    "Predict",
    "Adapt",
    "Hierarchy",
    "Compare",
    "Errors",
    "Runs",
)
WIDTHS = (1280, 1920)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
TALLEST = 4000
EDGE = 10
"""Pixels of the page that are left above and below a part of it."""
DOCS = Path(__file__).parent
SENTENCE = (
    "the courier left it in the rain and now the screen is dead, money back please"
)


def whole(page: Page, path: Path) -> None:
    """A picture of the page from top to end: Streamlit scrolls inside the window."""
    width = (page.viewport_size or {"width": WIDTHS[0]})["width"]
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(300)
    height = page.evaluate(
        "document.querySelector('[data-testid=stMain]').scrollHeight"
    )
    page.set_viewport_size({"width": width, "height": min(max(height, 700), TALLEST)})
    page.wait_for_timeout(700)
    settled(page)
    page.screenshot(path=str(path))
    page.set_viewport_size({"width": width, "height": 900})


def part(page: Page, path: Path, first: Locator, last: Locator) -> None:
    """A picture of the page from the top of `first` to the bottom of `last`."""
    page.set_viewport_size({"width": WIDTHS[0], "height": 2600})
    page.wait_for_timeout(700)
    top, end = first.bounding_box(), last.bounding_box()
    block = settled(page).get_by_test_id("stMainBlockContainer").bounding_box()
    assert top and end and block
    y = top["y"] - EDGE
    height = end["y"] + end["height"] + EDGE - y
    x, width = block["x"] + 16, block["width"] - 32
    page.screenshot(path=path, clip={"x": x, "y": y, "width": width, "height": height})


def for_readme(page: Page, address: str, run: str) -> None:
    """The three pictures of README, into docs/."""
    chart = page.locator(".stc-plot")
    page.goto(f"{address}/Layers?run={run}")
    first = settled(page).get_by_role("radio", name="Accuracy")
    part(page, DOCS / "layers.png", first, chart.first)
    page.goto(f"{address}/Neurons?run={run}")
    part(settled(page), DOCS / "neurons.png", chart.first, chart.nth(1))
    page.goto(f"{address}/Examples?run={run}")
    first = settled(page).get_by_text("Texts of this run")
    part(page, DOCS / "examples.png", first, page.get_by_text("sums to logit"))


def plain_pages(page: Page, address: str, run: str) -> Iterator[str]:
    """Opens each page as its link does; yields its name once it is drawn."""
    for name in PAGES:
        ask = {"run": run} | ({"data": SAMPLE} if name == "Data" else {})
        page.goto(f"{address}/{name}?{urlencode(ask)}")
        settled(page)
        yield name or "Home"


def used_pages(page: Page, address: str, run: str) -> Iterator[str]:
    """Pages after some use: settings open, a class chosen, texts typed."""
    page.goto(f"{address}/Train?{urlencode({'data': SAMPLE})}")
    settled(page).get_by_text("New run", exact=True).click()
    settled(page).get_by_text("Settings", exact=True).click()
    yield "Train-new"
    label = Run.open(home() / "runs" / run).metrics["classes"][0]
    page.goto(f"{address}/Neurons?{urlencode({'run': run, 'class': label})}")
    settled(page).get_by_text("Random", exact=True).click()
    settled(page)
    yield "Neurons-class"
    page.goto(f"{address}/Examples?{urlencode({'run': run, 'example': 3})}")
    settled(page).get_by_text("neuron", exact=True).click()
    settled(page)
    yield "Examples-neuron"
    page.get_by_text("My own text").click()
    settled(page).get_by_label("Your text").fill(SENTENCE)
    page.get_by_role("button", name="Explain").click()
    page.get_by_text("From the bias").wait_for()
    yield "Examples-own"
    page.goto(f"{address}/Predict?{urlencode({'run': run})}")
    settled(page).get_by_text("Pasted lines").click()
    settled(page).get_by_label("One text per line").fill(SENTENCE.replace(", ", "\n"))
    page.get_by_role("button", name="Predict", exact=True).click()
    page.get_by_text("Predicted labels").wait_for()
    yield "Predict-lines"
    tabs = {"Layers": ["cheaper"], "Errors": ["slices", "confidence", "labels"]}
    for name, open_ones in tabs.items():
        for tab in open_ones:
            ask = {"run": run, name.lower(): tab}
            page.goto(f"{address}/{name}?{urlencode(ask)}")
            settled(page)
            yield f"{name}-{tab}"


def main() -> None:
    out, asked = Path(sys.argv[1]), sys.argv[2:]
    runs = sorted(list_runs(), key=lambda run: run.is_example)
    names = [run.folder.name for run in runs if run.done]
    run = next(name for name in names if not asked or name in asked)
    with server(home()) as address, browser() as opened:
        if sys.argv[1] == "--readme":
            for_readme(opened.new_page(color_scheme="light"), address, run)
            return
        out.mkdir(parents=True, exist_ok=True)
        for width, scheme in product(WIDTHS, SCHEMES):
            size = ViewportSize(width=width, height=900)
            page = opened.new_page(viewport=size, color_scheme=scheme)
            heard = listen(page)
            for views in (plain_pages, used_pages):
                for name in views(page, address, run):
                    whole(page, out / f"{name}-{width}-{scheme}.png")
            page.close()
            sys.stdout.write("".join(f"{one}\n" for one in heard))


if __name__ == "__main__":
    main()
