"""Home: the start buttons and the recent runs."""

import pytest

from helpers.app import fine, said, visit, written_run
from stc_core.data.uploads import SAMPLE, read_choice, write_choice
from stc_core.display import percent
from stc_core.export import example_run
from stc_core.export.example_run import example_metrics, find_example, open_example
from stc_core.paths import runs_folder
from ui.home import LOOKS
from ui.shell.page_list import PAGES

SHOWN = [page for page, _, _ in LOOKS]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    return tmp_path


def test_empty_home_says_where_to_start():
    assert "No run yet" in said(fine(visit()))


def test_recent_runs_show_their_headline():
    written_run(runs_folder() / "one", "First *try*")
    written_run(runs_folder() / "two", "Second", state="running")
    words = said(fine(visit()))
    assert "87.4 %" in words and "412 of 32,256" in words and "4 of 6" in words
    assert "running" in words


def test_a_start_with_the_sample_opens_on_its_topic_whatever_was_chosen_before():
    write_choice(SAMPLE, read_choice(SAMPLE).changed(labels=("channel",)))
    app = fine(visit())
    next(one for one in app.button if one.label == "Try the sample").click().run()
    assert fine(app).multiselect[0].value == ["topic"]
    assert read_choice(SAMPLE).labels == ("topic",)


@pytest.mark.parametrize(("page", "title"), [(page, PAGES[page][0]) for page in SHOWN])
def test_the_example_opens_at_once_on_each_page_that_home_names(page, title):
    app = fine(visit())
    assert find_example() is None
    app.button(key=f"example_{page}").click().run()
    assert title in fine(app).title[0].value
    assert app.query_params["run"] == "example"
    assert "Example: " in app.selectbox(key="pick_run").options[0]


def test_home_says_of_the_example_what_its_metrics_say():
    metrics = example_metrics()
    words = said(fine(visit())).replace("\N{NO-BREAK SPACE}", " ")
    assert percent(metrics["test"]["accuracy"]) in words
    assert f"{metrics['neurons']['selected']:,} of the model's" in words


def test_a_run_of_the_user_comes_before_the_example():
    open_example()
    assert visit().query_params["run"] == "example"
    written_run(runs_folder() / "mine", "Mine", state="failed")
    assert visit().query_params["run"] == "mine"


@pytest.mark.parametrize(
    ("button", "data"), [("Try the sample", "sample"), ("Use my data", None)]
)
def test_start_buttons_lead_to_data(button, data):
    app = fine(visit())
    next(one for one in app.button if one.label == button).click().run()
    fine(app)
    assert "Data" in app.title[0].value
    assert (app.query_params["data"] if data else None) == data


@pytest.mark.parametrize("size", [64, 300_000])
def test_home_goes_on_without_a_whole_archive_of_the_example(size, home, monkeypatch):
    damaged = home / "damaged.zip"
    damaged.write_bytes(example_run.EXAMPLE_PATH.read_bytes()[:size])
    monkeypatch.setattr(example_run, "EXAMPLE_PATH", damaged)
    app = fine(visit())
    assert "samples/" in app.error[0].value
    assert "No run yet" in said(app)
