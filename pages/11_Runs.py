"""Runs: what is at work and what waits, the ledger of all runs, and what to do."""

from ui import frame, guard
from ui.runs.view import show_page

frame("Runs", ":material/list_alt:", caption="All runs of everyone who works here.")
with guard():
    show_page()
