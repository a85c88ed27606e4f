"""Home: the start buttons and the recent runs."""

import pytest

from helpers.app import fine, said, visit, written_run
from stc_core.paths import runs_folder


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


@pytest.mark.parametrize(
    ("button", "data"), [("Try the sample", "sample"), ("Use my data", None)]
)
def test_start_buttons_lead_to_data(button, data):
    app = fine(visit())
    next(one for one in app.button if one.label == button).click().run()
    fine(app)
    assert "Data" in app.title[0].value
    assert (app.query_params["data"] if data else None) == data
