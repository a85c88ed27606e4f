"""The app. Only this package, app.py and pages/ import Streamlit."""

from ui.shell.frame import frame, pick_run
from ui.shell.messages import guard
from ui.state.navigation import go

__all__ = ["frame", "go", "guard", "pick_run"]
