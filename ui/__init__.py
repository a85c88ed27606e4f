"""What the pages share. With app.py and pages/ the only code that knows Streamlit."""

from stc_core.display import duration, interval, percent, size
from ui.cache.comparison import both, cards, class_gaps, widths
from ui.cache.plans import check_backbone, devices, is_here
from ui.cache.run_files import (
    SHOWN_ROWS,
    classifier,
    examples,
    explain,
    facets,
    gradients,
    in_slice,
    mislabelled,
    predictions_in,
    read,
    slice_table,
    stamp,
    token_values,
)
from ui.cache.tables import HEAD_ROWS, choice, corpus_of, head, report_of
from ui.charts.chart import chart, variability_chart
from ui.runs.trash import delete_button, trash_can, undo
from ui.shell.encoding_field import encoding_box, title_with_encoding
from ui.shell.frame import any_run, empty, frame, is_guessed, pick_run
from ui.shell.live_runs import at_work
from ui.shell.messages import escape, escape_piece, guard, show_error
from ui.shell.page_list import (
    ADAPT,
    COMPARE,
    CURVES,
    DATA,
    ERRORS,
    EXAMPLES,
    HIERARCHY,
    HOME,
    LAYERS,
    NEURONS,
    PAGES,
    PREDICT,
    RUNS,
    TRAIN,
)
from ui.shell.report_button import report_button
from ui.shell.reuse_button import reuse
from ui.shell.run_badge import badge, doing, headline, state
from ui.shell.slice_picker import held_slice, pick_part, slice_chips, type_words
from ui.shell.upload import pick_upload, uploader
from ui.state.navigation import clicked, context, go, link, pick, remember, tabs
from ui.state.stale_events import show

__all__ = [
    "ADAPT",
    "COMPARE",
    "CURVES",
    "DATA",
    "ERRORS",
    "EXAMPLES",
    "HEAD_ROWS",
    "HIERARCHY",
    "HOME",
    "LAYERS",
    "NEURONS",
    "PAGES",
    "PREDICT",
    "RUNS",
    "SHOWN_ROWS",
    "TRAIN",
    "any_run",
    "at_work",
    "badge",
    "both",
    "cards",
    "chart",
    "check_backbone",
    "choice",
    "class_gaps",
    "classifier",
    "clicked",
    "context",
    "corpus_of",
    "delete_button",
    "devices",
    "doing",
    "duration",
    "empty",
    "encoding_box",
    "escape",
    "escape_piece",
    "examples",
    "explain",
    "facets",
    "frame",
    "go",
    "gradients",
    "guard",
    "head",
    "headline",
    "held_slice",
    "in_slice",
    "interval",
    "is_guessed",
    "is_here",
    "link",
    "mislabelled",
    "percent",
    "pick",
    "pick_part",
    "pick_run",
    "pick_upload",
    "predictions_in",
    "read",
    "remember",
    "report_button",
    "report_of",
    "reuse",
    "show",
    "show_error",
    "size",
    "slice_chips",
    "slice_table",
    "stamp",
    "state",
    "tabs",
    "title_with_encoding",
    "token_values",
    "trash_can",
    "type_words",
    "undo",
    "uploader",
    "variability_chart",
    "widths",
]
