"""Runs: the active and waiting runs, the list of all runs, and actions on one."""

from ui import frame, guard
from ui.runs.view import show_page

frame("Runs", ":material/list_alt:", caption="All runs in the runs folder.")
with guard():
    show_page()
