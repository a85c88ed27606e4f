"""The choice of a text on the page Examples: from the table of the run, or typed."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from stc_core.analysis.examples import (
    COLUMNS,
    FINAL,
    UNCERTAIN,
    Show,
    place_in_words,
    select_examples,
)
from stc_core.display import count, percent
from stc_core.runs.annotations import read_about, star
from stc_core.runs.run import Run
from ui.cache.run_files import examples, read, slice_mask
from ui.examples.pinned import pin_button
from ui.shell.messages import escape
from ui.shell.slice_picker import held_slice, slice_chips
from ui.shell.widgets import FIELD_LINE, PIN, in_percent, place_columns
from ui.state.clicks import click_example
from ui.state.navigation import clicked, context, pick, remember, type_in
from ui.state.stale_events import set_widget, unless_stale
from ui.state.stepper import step_button
from ui.state.steps import steps
from ui.state.text_input import last_text, say_if_long, submit_text, type_text

TABLE, OWN = "Texts of this run", "My own text"
SHOW: dict[Show, str] = {"all": "All", "wrong": "Wrong", "uncertain": "Uncertain"}
_SPLITS = ("test", "validation", "train")
_ALL_SPLITS = "all"
STORED = (
    "Computed from the rounded activations that the run keeps. The explanation below "
    "reads the text again, so the last digits may differ."
)
MARGIN = (
    "The lead of the predicted class over the second one. Below "
    f"{UNCERTAIN} a text counts as uncertain."
)
MOST_PX = 460
PICK = "Pick a row to see why."


def choose_texts(run: Run, row: DeltaGenerator) -> pd.DataFrame:
    """Draw the filters in `row`; return the rows of the table that pass them."""
    table, classes = examples(run), read(run, "metrics")["classes"]
    part = table.loc[slice_mask(run, held_slice())]
    split = _choose_split(table, row)
    return select_examples(
        part,
        split=None if split == _ALL_SPLITS else split,
        show=pick(
            "texts",
            "Show",
            list(SHOW),
            widget=row.segmented_control,
            required=True,
            format_func=lambda name: SHOW[name],
            key="show",
            label_visibility="collapsed",
        ),
        label=row.selectbox(
            "True or predicted class",
            classes,
            index=None,
            placeholder="any class",
            width=140,
            key="of_class",
            label_visibility="collapsed",
        ),
        query=type_in(
            "search",
            "Search",
            row=row.container(height=FIELD_LINE, width=150, border=False),
            placeholder="words in the text",
            key="query",
            label_visibility="collapsed",
        ),
    )


def _choose_split(table: pd.DataFrame, row: DeltaGenerator) -> str:
    """The split to show; at first the split of the example in the context."""
    example = context().example
    known = set(table["split"].unique())
    options = [name for name in _SPLITS if name in known]
    is_known = example is not None and example < len(table)
    first = table["split"].iloc[example] if is_known else ""
    return pick(
        "split",
        "Split",
        [*options, _ALL_SPLITS],
        widget=row.selectbox,
        default=first if first in options else None,
        format_func=lambda name: "all splits" if name == _ALL_SPLITS else name,
        width=115,
        label_visibility="collapsed",
    )


class PickedText(NamedTuple):
    """A text to explain, and its label.

    A text of the run has a split. `held`: its prediction in the table is that of a
    classifier made without it, whose head is that of `fold`; FINAL: the run has not
    kept that head.
    """

    text: str
    label: str | None
    split: str | None = None
    held: bool = False
    fold: int = FINAL


def show_listing(run: Run, passing: pd.DataFrame) -> None:
    """Draw the table of the texts that pass the filters, and the chips of the slice."""
    with st.container(horizontal=True, gap="small"):
        starred_only_button(run)
        slice_chips()
    if passing.empty:
        show_no_match()
    else:
        _listing(run, passing)


def picked_row(run: Run, order: list[int]) -> PickedText | None:
    """Draw the head of the picked text, which is the first of `order` if none is.

    None if there is no such text.
    """
    table, example = examples(run), context().example
    if example is None and order:
        example = order[0]
    if example is None:
        return None
    if example >= len(table):
        n = f"{len(table):,}"
        st.info(f"This run has no text {example}: it has {n}, numbered from 0.")
        return None
    row = table.iloc[example]
    colour, badge = ("green", "right") if row["correct"] else ("red", "wrong")
    around = steps(order, example)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        name = place_in_words(int(row["row"]), row["file"]).capitalize()
        st.subheader(name, anchor=False, width="content")
        step_button("Previous", "example", around)
        step_button("Next", "example", around)
        st.caption(around.position, width="content")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        pin_button(run, example)
        star_button(run, example)
    st.markdown(
        f"Label **{escape(row['label'])}**, predicted "
        f"**{escape(row['predicted'])}** :{colour}-badge[{badge}] "
        f":gray-badge[{row['split']}]"
    )
    return PickedText(
        str(row["text"]),
        str(row["label"]),
        str(row["split"]),
        bool(row["held"]),
        int(row["fold"]),
    )


def show_no_match() -> None:
    """Say that no text passes the filters, and draw a button that clears them all."""

    def clear() -> None:
        remember(slice=None, split=_ALL_SPLITS, texts=None, search=None)
        st.session_state["of_class"] = None

    st.info("No text passes these filters.", icon=":material/filter_alt_off:")
    st.button(
        "Clear the filters",
        icon=":material/filter_alt_off:",
        help="Clears the filters above and the slice, and shows all splits.",
        on_click=clear,
    )


def star_button(run: Run, example: int) -> None:
    """Draw a button that adds or removes the star of a text; the run keeps stars."""
    starred = example in read_about(run.folder).stars
    st.button(
        "Starred" if starred else "Star",
        key="star",
        icon=":material/star:" if starred else ":material/star_border:",
        type="tertiary",
        on_click=lambda: star(run.folder, example, on=not starred),
    )


def starred_only_button(run: Run) -> None:
    """Draw a button that shows only the starred texts, if there are any."""
    stars, current = read_about(run.folder).stars, held_slice()
    if stars and not current.value("star"):
        st.button(
            f"Only the {len(stars)} starred",
            key="starred",
            icon=":material/star:",
            type="tertiary",
            on_click=lambda: remember(slice=current.moved(star="1").text),
        )


_COLUMNS = {
    "example": None,
    "text": st.column_config.TextColumn("Text", width=190),
    "label": st.column_config.TextColumn("Label", width=110),
    "predicted": st.column_config.TextColumn("Predicted", width=115, **PIN),
    "probability": st.column_config.NumberColumn(
        "Sure", format="%.0f %%", width=52, help=STORED, **PIN
    ),
    "margin": st.column_config.NumberColumn(
        "Margin", format="%.2f", width=60, help=MARGIN
    ),
    "correct": st.column_config.TextColumn("Right", width=45, **PIN),
    "split": st.column_config.TextColumn("Split", width=75),
}


_ORDER = ["predicted", "correct", "probability", "text", "label", "margin", "split"]


def _listing(run: Run, passing: pd.DataFrame) -> None:
    """Draw the texts as a table; the example of the context is ticked.

    If the context has no example, the page shows the first text, but does not tick it:
    the browser would answer a tick with an event that changes the context, and a click
    elsewhere would be lost.
    """
    rows, example = passing["example"].tolist(), context().example
    ticked = [rows.index(example)] if example in rows else []
    where, one_split = place_columns(run), len(set(passing["split"])) == 1
    table = passing.loc[:, [*where, *COLUMNS] + ["split"] * (not one_split)]
    # Signs instead of checkboxes, because a checkbox looks as if it could be clicked.
    table = table.assign(correct=["✓" if right else "✗" for right in table["correct"]])
    set_widget("example_table", {"selection": {"rows": ticked}})
    st.dataframe(
        in_percent(table, "probability"),
        key="example_table",
        on_select=clicked(
            "example_table", lambda now, event: click_example(now, event, rows)
        ),
        selection_mode="single-row",
        hide_index=True,
        height=min(MOST_PX, 38 + 35 * len(passing)),
        column_order=[*where, *_ORDER],
        column_config=_COLUMNS | where,
        alt="Texts with their labels and predictions",
    )
    right = percent(float(np.mean(passing["correct"])))
    held = int(np.sum(passing["held"].to_numpy(bool)))
    seen = int(np.sum(passing["split"].to_numpy() != "test")) - held
    notes = [f"the classifier was fitted on {_of(seen, len(passing))}"] if seen else []
    if held:
        notes.append(
            f"{_of(held, len(passing))} judged by classifiers made without them"
        )
    said = f" ({'; '.join(notes)})" if notes else ""
    st.caption(f"{count(len(passing), 'text')}, {right} right{said}. {PICK}")


def _of(some: int, all_of_them: int) -> str:
    return "these" if some == all_of_them else f"{some:,} of these"


def type_own_text() -> PickedText | None:
    """Draw a field for a typed text; return it, None if it is empty."""
    with st.form("own", border=False):
        text = type_text("Type a text to see how much each word counts.")
        submit_text("Explain", icon=":material/psychology:", without="")
    say_if_long(text)
    return PickedText(text, None) if text else None


def choose_source(row: DeltaGenerator) -> str:
    """Draw the choice between texts of the run and a typed text; return it.

    The typed text is chosen if the context holds one.
    """

    def turn(way: str) -> None:
        remember(text=last_text() if way == OWN else None)

    set_widget("way", TABLE if context().text is None else OWN)
    row.segmented_control(
        "What to explain",
        (TABLE, OWN),
        required=True,
        key="way",
        label_visibility="collapsed",
        on_change=unless_stale("way", turn),
    )
    return st.session_state["way"]
