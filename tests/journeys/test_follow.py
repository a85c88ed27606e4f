"""A page that is only read, in a real browser, while a run of it comes to its end."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from helpers.app import METRICS, written_run
from helpers.browser.browser import WAIT_MS, ServedApp, browser, listen, settled
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter


@pytest.fixture
def folder(served_app: ServedApp) -> Iterator[Path]:
    """Where a run is, for as long as the test takes."""
    yield served_app.home / "runs" / "slow"
    shutil.rmtree(served_app.home / "runs" / "slow")


def test_the_end_of_a_run_is_seen_on_any_page(served_app: ServedApp, folder: Path):
    run = written_run(folder, "slow one", state="running")
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(WAIT_MS)
        heard = listen(page)
        page.goto(served_app.url("Predict", run="slow"))
        side = settled(page).get_by_test_id("stSidebar")
        shown = side.get_by_role("combobox")
        expect(shown).to_have_value("running · slow one", timeout=10_000)
        page.get_by_text("Still training").wait_for()
        side.get_by_role("link", name="Data").click()
        settled(page).get_by_role("button", name="Use the sample").wait_for()
        writer = RunWriter(folder, run.config)
        writer.write_metrics(METRICS)
        writer.finish()
        expect(shown).to_have_value("87.4 % · slow one", timeout=WAIT_MS)
        assert Run(folder).done and "Use the sample" in page.inner_text("body")
        assert heard == []
