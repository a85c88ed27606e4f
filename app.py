"""Home: what this is, where to start, and the recent runs."""

from ui.home import show_page
from ui.shell.frame import frame
from ui.shell.messages import guard

frame("STC Studio", ":material/biotech:")
with guard():
    show_page()
