"""The report of a real run: whole, alone, escaped, and drawn by a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest
from playwright.sync_api import Page
from typer.testing import CliRunner

from helpers.browser.browser import browser, listen
from helpers.frames import faithful_part
from helpers.html_pages import EVIL, Found
from stc_core.cli.app import app
from stc_core.display import interval, percent
from stc_core.errors import StcError
from stc_core.export.bundle import write_bundle
from stc_core.files import write_json
from stc_core.report import inside, sections
from stc_core.report.report import html_report, write_report
from stc_core.runs.run import Run

NOTE = "Texts of more than 8 tokens are read separately from shorter ones."
SECTIONS = 12
CHARTS = 11


@pytest.fixture(scope="module")
def evil(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run as if each of its texts were an attack."""
    folder = tmp_path_factory.mktemp("evil") / "run"
    shutil.copytree(run_folder, folder)
    corpus = pd.read_parquet(folder / "corpus.parquet")
    corpus["text"] = [f"{EVIL} {number}" for number in range(len(corpus))]
    corpus.to_parquet(folder / "corpus.parquet", index=False)
    metrics = Run.open(folder).metrics
    metrics["backbone"]["notes"] = [NOTE]
    write_json(folder / "metrics.json", metrics)
    return Run.open(folder)


@pytest.fixture(scope="module")
def report(evil: Run) -> str:
    return html_report(evil)


@pytest.fixture(scope="module")
def opened(report: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The report in a browser in which nothing may go wrong or be fetched."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report, encoding="utf-8")
    with browser() as chromium:
        page = chromium.new_page(color_scheme="dark")
        heard, asked = listen(page), []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: heard.append(dialog.message))
        page.goto(path.as_uri())
        page.locator(".js-plotly-plot").nth(CHARTS - 1).wait_for()
        yield page
        assert heard == [] and asked == [path.as_uri()]


def test_it_is_one_file_that_fetches_nothing(report: str):
    found = Found(report)
    assert all(one.startswith(("#", "data:")) for one in found.addresses)
    assert found.tags.count("section") == SECTIONS
    assert found.tags.count("figure") == CHARTS == len(found.labels) - 1
    assert all(found.labels) and len(report.encode()) < 6_000_000


def test_texts_of_users_stay_texts(report: str):
    assert EVIL in Found(report).words
    assert "<script>alert" not in report


def test_it_says_how_the_model_is_read(report: str):
    assert NOTE in Found(report).words


def test_the_numbers_are_those_of_the_run(report: str, evil: Run):
    words, metrics = Found(report).words, evil.metrics
    test = metrics["test"]
    for said in (
        percent(test["accuracy"]),
        interval(test["accuracy_interval"]),
        interval(metrics["baselines"]["tfidf"]["accuracy_interval"]),
        metrics["backbone"]["identity"],
        "messages.csv",
    ):
        assert said in words


def test_a_browser_draws_it(opened: Page):
    assert opened.locator(".js-plotly-plot .main-svg").count() >= CHARTS
    assert opened.locator(".js-plotly-plot").count() == CHARTS
    ink = opened.locator(".js-plotly-plot .xtitle").first.evaluate(
        "one => getComputedStyle(one).fill"
    )
    assert ink == "rgb(195, 204, 215)"


def test_a_table_is_saved_as_csv(opened: Page):
    with opened.expect_download() as coming:
        opened.get_by_role("button", name="Save as CSV").first.click()
    got = pd.read_csv(coming.value.path())
    assert coming.value.suggested_filename == "baselines.csv"
    assert "This classifier" in set(got["classifier"])


def test_the_command_writes_it_and_says_its_size(evil: Run, tmp_path: Path):
    path = tmp_path / "report.html"
    ended = CliRunner().invoke(app, ["report", str(evil.folder), "--html", str(path)])
    assert ended.exit_code == 0 and " MB" in ended.output
    assert path.read_text("utf-8").startswith("<!doctype html>")


def test_a_place_that_cannot_be_written_is_said(evil: Run, tmp_path: Path):
    with pytest.raises(StcError, match="cannot write"):
        write_report(evil, tmp_path / "gone" / "report.html")


def test_what_a_run_does_not_have_is_left_out(evil: Run, tmp_path: Path):
    shutil.copytree(evil.folder, tmp_path / "run")
    for name in ("neurons.parquet", "frontier.parquet", "learning_curve.json"):
        (tmp_path / "run" / name).unlink()
    found = Found(html_report(Run.open(tmp_path / "run")))
    assert "The neurons" not in found.words
    assert "Would more rows help?" not in found.words
    assert found.tags.count("figure") == CHARTS - 3


def test_a_run_without_its_texts_has_a_report(evil: Run, tmp_path: Path):
    """As one that came as a bundle: its classes are those that were counted."""
    write_bundle(evil, tmp_path / "run.zip")
    bare = Run.open(tmp_path / "run.zip")
    words = Found(html_report(bare)).words
    assert "It quotes texts" not in words and EVIL not in words
    assert "It quotes texts" in Found(html_report(evil)).words
    for run in (bare, evil):
        words = Found(sections.data(run, run.metrics)).words
        n_train = int((evil.corpus["split"] == "train").to_numpy().sum())
        assert f"train texts{n_train}validation" in words


@pytest.mark.parametrize("recipe", ["variability", "hierarchy", "attention"])
def test_of_another_recipe_it_says_what_is_of_the_sparse_half(
    evil: Run, tmp_path: Path, recipe: str
):
    train = evil.config.train.model_copy(update={"recipe": recipe})
    words = told(evil, tmp_path / "run", {"train": train}, {"recipe": recipe})
    assert "that this run began with, not the final classifier" in words
    assert "The classifier reads" not in words
    assert "tune: epochs" in words
    assert ("attention: per_class" in words) == (recipe == "attention")


@pytest.mark.parametrize("test_path", [None, "/data/others.csv"])
def test_where_test_texts_come_from_is_said(
    evil: Run, tmp_path: Path, test_path: str | None
):
    data = evil.config.data.model_copy(update={"test_path": test_path})
    words = told(evil, tmp_path / "run", {"data": data}, {})
    assert ("others.csv" in words) == (test_path is not None)
    assert ("from the same table" in words) == (test_path is None)


def told(
    run: Run, to: Path, settings: dict[str, object], metrics: dict[str, object]
) -> str:
    """The words of the report of `run` with other settings and metrics."""
    shutil.copytree(run.folder, to)
    write_json(to / "config.json", run.config.model_copy(update=settings))
    write_json(to / "metrics.json", run.metrics | metrics)
    return Found(html_report(Run.open(to))).words


def test_a_measured_faithfulness_is_a_part_with_two_tables(monkeypatch):
    part = faithful_part(best=0.5, ahead=(0.1, 0.05, 0.15))
    run: Any = Mock(spec=Run, faithfulness={"words": part, "neurons": part})
    metrics: Any = {}
    monkeypatch.setattr(inside, "is_current", lambda run, record: True)
    found = Found(inside.faithfulness_section(run, metrics))
    assert found.tags.count("table") == 2
    assert "Ours is not the best here" in found.words
    assert "0.45 to 0.55" in found.words


def test_a_measured_use_is_a_part_as_long_as_the_head_is_the_same(monkeypatch):
    neurons = [
        {"site": "mlp.3", "index": n, "readout": n / 10, "effect": n / 5}
        for n in range(20)
    ]
    frame = pd.DataFrame(neurons).assign(neuron=range(20), pooling="mean")
    record = {
        "rank_correlation": 0.5,
        "same_sign": 0.9,
        "exact_rank_correlation": None,
        "texts": 7,
        "neurons": neurons,
    }
    usage = frame.assign(effect_last_layer=0.25)
    run: Any = Mock(spec=Run, usage=record, neuron_usage=usage)
    metrics: Any = {}
    monkeypatch.setattr(inside, "is_current", lambda run, record: True)
    found = Found(inside.use_section(run, metrics))
    assert "what is used: 0.50, over 20 neurons and 7 texts" in found.words
    assert "mlp.3.191.90003.80000.2500" in found.words
    assert "mlp.3.7" not in found.words  # the most used ones alone
    monkeypatch.setattr(inside, "is_current", lambda run, record: False)
    assert inside.use_section(run, metrics) == ""
    assert inside.faithfulness_section(Mock(spec=Run, faithfulness={}), metrics) == ""
