"""What the tests of the page Train share: its data, its start and its fields."""

import io
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from helpers.app import PLAN, fine, small_csv, written_run
from stc_core.config import RunConfig
from stc_core.data.uploads import keep_upload
from stc_core.paths import runs_folder
from stc_core.runs.processes import jobs
from ui.cache import plans

PAGE = "pages/2_Train.py"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    monkeypatch.setattr(plans, "expected_plan", lambda config: PLAN)
    return tmp_path


@pytest.fixture
def started(monkeypatch) -> list[RunConfig]:
    """What the page would have started; a run that works for ever stands in."""
    asked: list[RunConfig] = []

    def start(config: RunConfig, **_: object) -> Path:
        asked.append(config)
        return written_run(runs_folder() / "new", "new", state="running").folder

    monkeypatch.setattr(jobs, "start", start)
    return asked


@pytest.fixture
def data() -> str:
    return keep_upload("mine.csv", io.BytesIO(small_csv())).key


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    return fine(app)


def can_start(app: AppTest) -> bool:
    return not next(one for one in app.button if one.key == "start").disabled


def plain(words: str) -> str:
    return words.replace("\\", "")


def field(app: AppTest, label: str):
    fields = [*app.selectbox, *app.number_input, *app.text_input, *app.radio]
    fields += [*app.toggle, *app.button_group]
    return next(one for one in fields if one.label.startswith(label))
