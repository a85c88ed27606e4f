"""Data: a table in, its columns named, and what is wrong with it, by row."""

from ui import frame, guard
from ui.data import show_page

frame(
    "Data",
    ":material/table_view:",
    caption="A table with a text and a label in each row: CSV, TSV, JSON or Parquet.",
)
with guard():
    show_page()
