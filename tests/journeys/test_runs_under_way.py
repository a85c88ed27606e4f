"""Runs that begin or end while one looks, in a real browser; one learns to reply."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from helpers.app import METRICS, written_run
from helpers.browser.app_steps import choose, query, upload
from helpers.browser.browser import (
    WAIT_MS,
    ServedApp,
    browser,
    listen,
    server,
    settled,
    window,
)
from helpers.models.saved import saved_lm
from helpers.runs.replies import table
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

TEXT = "good film very slow"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a tiny decoder that is there by name."""
    home = tmp_path_factory.mktemp("home")
    saved_lm(home / "cached_models" / "tiny", "llama")
    return home


@pytest.fixture(scope="module")
def app(home: Path) -> Iterator[ServedApp]:
    """An app of this file alone: no other page sees its runs begin and end."""
    with server(home) as address:
        yield ServedApp(address, home)


@pytest.fixture(scope="module")
def first() -> Iterator[Page]:
    """A page whose window has the others, too: Streamlit's code is read once."""
    with browser() as chromium:
        yield window(chromium)


@pytest.fixture(scope="module")
def page(app: ServedApp, first: Page) -> Iterator[Page]:
    opened = first.context.new_page()
    heard = listen(opened)
    opened.goto(f"{app.address}/Data")
    yield settled(opened)
    assert heard == []


@pytest.fixture(scope="module")
def trained(home: Path, page: Page) -> Run:
    """The run of a person who chose the column of replies."""
    upload(page, table(home))
    page.get_by_role("button", name="Continue to Train").click()
    page.get_by_text("Start training").wait_for()
    settled(page).get_by_test_id("stRadio").get_by_text(
        "All levels of labels together"
    ).first.click()
    settled(page).get_by_text("cannot write text").wait_for()
    choose(page, "Language model", "tiny")
    choose(page, "Reply: written after the labels", "answer")
    expect(page.get_by_text("No reply in 'answer' on row 7")).to_be_visible()
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("Compared with its baselines").wait_for(timeout=2 * WAIT_MS)
    settled(page)
    return Run.open(home / "runs" / query(page, "run"))


def the_columns_reach_the_run(trained: Run):
    assert trained.config.data.reply == "answer"
    assert trained.config.data.thought is None
    assert trained.metrics["hierarchy"]["parts"] == ["reply"]


def a_reply_is_written_after_its_label(
    trained: Run, page: Page, home: Path, monkeypatch
):
    page.get_by_test_id("stMain").get_by_role("button", name="Hierarchy").click()
    page.get_by_label("Your text").fill(TEXT)
    settled(page).get_by_role("button", name="Answer", exact=True).click()
    page.get_by_text("Reply · written at layer").wait_for()
    settled(page)
    monkeypatch.setenv("STC_HOME", str(home))  # where its backbone is
    reply = trained.classifier().write([TEXT]).parts["reply"][0]  # pyright: ignore
    words = page.get_by_test_id("stMain").inner_text()
    assert "decided at layer" in words and reply and reply in words


def the_scores_say_of_how_many_texts(trained: Run, page: Page):
    n = trained.metrics["test"]["generation"]["n"]
    words = page.get_by_test_id("stMain").inner_text()
    assert f"On {n} test texts" in words


def the_label_alone_leaves_the_reply_out(trained: Run, page: Page):
    page.get_by_text("Label only").click()
    page.get_by_role("button", name="Answer", exact=True).click()
    page.get_by_text("The blocks above this layer were not run.").wait_for()
    assert not settled(page).get_by_text("Reply · written at layer").count()


def test_a_decoder_learns_to_reply(trained: Run, page: Page, home: Path, monkeypatch):
    the_columns_reach_the_run(trained)
    a_reply_is_written_after_its_label(trained, page, home, monkeypatch)
    the_scores_say_of_how_many_texts(trained, page)
    the_label_alone_leaves_the_reply_out(trained, page)


@pytest.fixture
def folder(app: ServedApp) -> Iterator[Path]:
    """Where a run is, for as long as the test takes."""
    yield app.home / "runs" / "slow"
    shutil.rmtree(app.home / "runs" / "slow")


def test_the_end_of_a_run_is_seen_on_any_page(
    app: ServedApp, first: Page, folder: Path
):
    run = written_run(folder, "slow one", state="running")
    page = first.context.new_page()
    heard = listen(page)
    page.goto(app.url("Predict", run="slow"))
    side = settled(page).get_by_test_id("stSidebar")
    shown = page.get_by_role("combobox", name="Run", exact=True)
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
    page.close()
