"""A run goes down and up again through a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from helpers.browser.app_steps import query
from helpers.browser.browser import ServedApp, browser, listen, server, settled, window
from helpers.runs.copies import copied
from stc_core.export.bundle import write_bundle
from stc_core.runs.run import Run


@pytest.fixture(scope="module")
def app(
    tmp_path_factory: pytest.TempPathFactory, run_folder: Path
) -> Iterator[ServedApp]:
    home = tmp_path_factory.mktemp("home")
    copied(run_folder, home / "runs" / "topic")
    with server(home) as address:
        yield ServedApp(address, home)


@pytest.fixture
def page() -> Iterator[Page]:
    with browser() as chromium:
        opened = window(chromium)
        heard = listen(opened)
        yield opened
        assert not heard, heard


def test_what_was_downloaded_can_be_uploaded(app: ServedApp, page: Page, tmp_path):
    page.goto(app.url("Runs", "topic"))
    settled(page).get_by_role("button", name="Download", exact=True).click()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download the bundle").click()
    bundle = tmp_path / started.value.suggested_filename
    started.value.save_as(bundle)
    assert bundle.name == "topic.zip"
    write_bundle(Run(app.home / "runs" / "topic"), tmp_path / "expected.zip")
    assert bundle.read_bytes() == (tmp_path / "expected.zip").read_bytes()
    page.goto(app.url("Runs", "topic"))
    settled(page).get_by_text("Upload a run").click()
    page.locator("input[type=file]").first.set_input_files(str(bundle))
    page.get_by_text("folder topic-2").wait_for()
    assert query(page, "run") == "topic-2"
    assert (app.home / "runs" / "topic-2" / "backbone" / "config.json").is_file()
