"""Home: what this is, where to start, and the recent runs."""

from ui import frame, guard
from ui.home import show_page

frame("STC Studio", ":material/biotech:")
with guard():
    show_page()
