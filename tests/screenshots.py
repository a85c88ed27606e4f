"""Pictures of every page, to look at: `python tests/screenshots.py OUT`.

Takes the newest finished run under $STC_HOME. Not a test: nothing is compared.
"""

import sys
from pathlib import Path
from urllib.parse import urlencode

from browser import browser, listen, server, settled
from playwright.sync_api import Page

from stc_core.config import home
from stc_core.run import list_runs
from stc_core.uploads import SAMPLE

PAGES = ("", "Data", "Train", "Layers", "Neurons", "Examples", "Predict")
WIDTHS = (1280, 1920)
SCHEMES = ("light", "dark")
TALLEST = 4000
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


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    run = next(run for run in list_runs() if run.done)
    with server(home()) as address, browser() as opened:
        for scheme in SCHEMES:
            for width in WIDTHS:
                page = opened.new_page(
                    viewport={"width": width, "height": 900},
                    color_scheme=scheme,  # pyright: ignore[reportArgumentType]
                )
                heard = listen(page)
                for name in PAGES:
                    ask = {"run": run.folder.name}
                    ask |= {"data": SAMPLE} if name == "Data" else {}
                    page.goto(f"{address}/{name}?{urlencode(ask)}")
                    settled(page)
                    whole(page, out / f"{name or 'Home'}-{width}-{scheme}.png")
                page.goto(f"{address}/Train?{urlencode({'data': SAMPLE})}")
                settled(page)
                page.get_by_text("New run", exact=True).click()
                settled(page)
                page.get_by_text("Settings", exact=True).click()
                whole(page, out / f"TrainNew-{width}-{scheme}.png")
                page.goto(f"{address}/Examples?run={run.folder.name}")
                settled(page)
                page.get_by_text("My own sentence").click()
                settled(page)
                page.get_by_label("Your text").fill(SENTENCE)
                page.get_by_role("button", name="Explain").click()
                page.get_by_text("From the bias").wait_for()
                whole(page, out / f"ExamplesOwn-{width}-{scheme}.png")
                page.close()
                sys.stdout.write("".join(f"{one}\n" for one in heard))


if __name__ == "__main__":
    main()
