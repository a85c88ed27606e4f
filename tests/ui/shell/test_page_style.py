"""The wait for the style of the pages: who is waited for, and how long at most."""

import pytest

from helpers.app import fine, visit
from ui.shell import page_style


@pytest.fixture
def waits(tmp_path, monkeypatch) -> list[float]:
    """The waits so far; a wait moves a clock of its own."""
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    found: list[float] = []
    monkeypatch.setattr(page_style, "sleep", found.append)
    monkeypatch.setattr(page_style, "monotonic", lambda: sum(found))
    return found


def test_only_a_browser_and_only_once_is_waited_for(waits, monkeypatch):
    app = fine(visit())
    assert waits == []  # nobody looks
    monkeypatch.setattr(type(page_style.st.context), "url", "http://127.0.0.1:8501/")
    del app.session_state["_styled"]
    fine(app.run())
    once = sum(waits)
    fine(app.run())
    assert sum(waits) == once
    assert 0 <= once - page_style._LONGEST_S <= page_style._STEP_S
