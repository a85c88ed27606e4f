"""The app. With app.py and pages/ the only code that knows Streamlit."""

from ui.shell.frame import frame, pick_run
from ui.shell.messages import guard
from ui.state.navigation import go

__all__ = ["frame", "go", "guard", "pick_run"]
