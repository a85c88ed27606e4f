"""Data: load a table, name its columns, and list its problems by row."""

from ui import frame, guard
from ui.data.view import show_page

frame(
    "Data",
    ":material/table_view:",
    caption="A table with a text and a label in each row: CSV, TSV, JSON or Parquet.",
)
with guard():
    show_page()
