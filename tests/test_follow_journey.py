"""A page that is only read, in a real browser, while a run of it comes to its end."""

from pathlib import Path

from browser import WAIT_MS, browser, listen, server, settled
from playwright.sync_api import expect
from visit import METRICS, written_run

from stc_core.run import Run
from stc_core.writer import RunWriter


def test_the_end_of_a_run_is_seen_on_any_page(tmp_path: Path):
    folder = tmp_path / "runs" / "r"
    run = written_run(folder, "slow one", state="running")
    with server(tmp_path) as address, browser() as chromium:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(WAIT_MS)
        heard = listen(page)
        page.goto(f"{address}/Predict?run=r")
        side = settled(page).get_by_test_id("stSidebar")
        shown = side.get_by_role("combobox")
        expect(shown).to_have_value("running · slow one", timeout=10_000)
        page.get_by_text("Still training").wait_for()
        side.get_by_role("link", name="Data").click()
        settled(page).get_by_role("button", name="Use the sample").wait_for()
        writer = RunWriter(folder, run.config)
        writer.write_json("metrics.json", METRICS)
        writer.finish()
        expect(shown).to_have_value("87.4 % · slow one", timeout=WAIT_MS)
        assert Run(folder).done and "Use the sample" in page.inner_text("body")
        assert heard == []
