"""Examples: texts and their predictions, and why one of them got its label."""

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.analysis.examples import (
    COLUMNS,
    UNCERTAIN,
    Show,
    place_in_words,
    select_examples,
)
from stc_core.display import count, percent
from stc_core.runs.annotations import read_about, star
from stc_core.runs.run import Run
from ui.cache.run_files import examples, in_slice, read
from ui.examples.pinned import pin_button
from ui.shell.messages import escape
from ui.shell.slice_picker import held_slice, slice_chips
from ui.shell.widgets import FIELD, PERCENT, PIN, in_percent, place_columns
from ui.state.clicks import click_example
from ui.state.navigation import clicked, context, pick, remember, type_in
from ui.state.stale_events import news, show
from ui.state.stepper import step_button
from ui.state.steps import steps
from ui.state.text_input import last_typed, say_if_long, submit_text, type_text

TABLE, OWN = "Texts of this run", "My own sentence"
SHOW: dict[Show, str] = {"all": "All", "wrong": "Wrong", "uncertain": "Uncertain"}
_SPLITS = ("test", "validation", "train")
_EVERY = "all"
STORED = (
    "Of the activations as they were kept, rounded; below, the text is read anew, so "
    "that the last digits may differ."
)
PICK = "Pick a row to see why."


def _filters(
    table: pd.DataFrame, part: pd.DataFrame, classes: list[str]
) -> pd.DataFrame:
    """Those of `part`, which is some of `table`, that pass what is chosen here."""
    row = st.container(horizontal=True, vertical_alignment="top", gap="medium")
    held = context().example
    first = table["split"].iloc[held] if held is not None and held < len(table) else ""
    known = set(table["split"].unique())
    here = [name for name in _SPLITS if name in known]
    split = pick(
        "split",
        "Split",
        [*here, _EVERY],
        widget=row.selectbox,
        default=first if first in here else None,
        width=130,
    )
    return select_examples(
        part,
        split=None if split == _EVERY else split,
        show=pick(
            "texts",
            "Show",
            list(SHOW),
            widget=row.segmented_control,
            required=True,
            format_func=lambda name: SHOW[name],
            key="show",
            help=f"Uncertain: the lead over the second class is below {UNCERTAIN}.",
        ),
        label=row.selectbox(
            "True or predicted class",
            classes,
            index=None,
            placeholder="any class",
            width=170,
            key="of_class",
        ),
        query=type_in(
            "search",
            "Search",
            row=row.container(height=FIELD, border=False),
            placeholder="words in the text",
            key="query",
        ),
    )


def browse(run: Run) -> tuple[str, str] | None:
    """The text and the label of the row that was picked from the table."""
    table = examples(run)
    starred_only(run)
    slice_chips()
    part = table.loc[in_slice(run, held_slice())]
    found = _filters(table, part, read(run, "metrics")["classes"])
    order, held = found["example"].tolist(), context().example
    if held is None and order:
        held = order[0]
    if order:
        _listing(run, found)
    else:
        nothing()
    if held is None:
        return None
    if held >= len(table):
        st.info(f"This run has no text {held}: it has {len(table):,}, numbered from 0.")
        return None
    row = table.iloc[held]
    colour, said = ("green", "right") if row["correct"] else ("red", "wrong")
    with st.container(horizontal=True, vertical_alignment="center"):
        name = place_in_words(int(row["row"]), row["file"]).capitalize()
        st.subheader(name, anchor=False, width="content")
        found_steps = steps(order, held)
        step_button("Previous", "example", found_steps)
        st.caption(found_steps.said, width="content")
        step_button("Next", "example", found_steps)
        pin_button(run, held)
        star_button(run, held)
    st.markdown(
        f"Label **{escape(row['label'])}**, predicted "
        f"**{escape(row['predicted'])}** :{colour}-badge[{said}] "
        f":gray-badge[{row['split']}]"
    )
    return str(row["text"]), str(row["label"])


def nothing() -> None:
    """What to do where no text is left: drop what was chosen here and elsewhere."""

    def clear() -> None:
        remember(slice=None, split=_EVERY, texts=None, search=None)
        st.session_state["of_class"] = None

    st.info("No text passes these filters.", icon=":material/filter_alt_off:")
    st.button(
        "Clear the filters",
        icon=":material/filter_alt_off:",
        help="Those above and the slice, in all splits.",
        on_click=clear,
    )


def star_button(run: Run, example: int) -> None:
    """Mark the text to come back to it; the mark is kept with the run."""
    on = example in read_about(run.folder).stars
    st.button(
        "Starred" if on else "Star",
        key="star",
        icon=":material/star:" if on else ":material/star_border:",
        type="tertiary",
        on_click=lambda: star(run.folder, example, on=not on),
    )


def starred_only(run: Run) -> None:
    """The way to the texts that are marked, where there are any."""
    stars, held = read_about(run.folder).stars, held_slice()
    if stars and not held.value("star"):
        st.button(
            f"Only the {len(stars)} starred",
            key="starred",
            icon=":material/star:",
            type="tertiary",
            on_click=lambda: remember(slice=held.moved(star="1").text),
        )


def _listing(run: Run, found: pd.DataFrame) -> None:
    """The texts, of which the one that was chosen is ticked.

    Not the first one, which is shown where none was: the browser would answer with
    its tick, that would move the context, and a click elsewhere would be lost by it.
    """
    rows, held = found["example"].tolist(), context().example
    ticked = [rows.index(held)] if held in rows else []
    where, one_split = place_columns(run), len(set(found["split"])) == 1
    shown = found.loc[:, [*where, *COLUMNS] + ["split"] * (not one_split)]
    # A box to tick would look as if it could be.
    shown = shown.assign(correct=["✓" if right else "✗" for right in shown["correct"]])
    show("example_table", {"selection": {"rows": ticked}})
    st.dataframe(
        in_percent(shown, "probability"),
        key="example_table",
        on_select=clicked(
            "example_table", lambda now, event: click_example(now, event, rows)
        ),
        selection_mode="single-row",
        hide_index=True,
        height=min(318, 38 + 35 * len(found)),
        column_config={
            "example": None,
            "text": st.column_config.TextColumn("Text", width=300),
            "label": st.column_config.TextColumn("Label", width=120, **PIN),
            "predicted": st.column_config.TextColumn("Predicted", width=120, **PIN),
            "probability": st.column_config.ProgressColumn(
                "Probability",
                format=PERCENT,
                max_value=100.0,
                width=110,
                help=STORED,
                **PIN,
            ),
            "margin": st.column_config.NumberColumn(
                "Margin", format="%.2f", width=60, **PIN
            ),
            "correct": st.column_config.TextColumn("Right", width=45, **PIN),
            "split": st.column_config.TextColumn("Split", width=75, **PIN),
            **where,
        },
        alt="Texts with their labels and predictions",
    )
    right = percent(float(np.mean(found["correct"])))
    seen = int(np.sum(found["split"].to_numpy() != "test"))
    these = "these" if seen == len(found) else f"{seen:,} of these"
    said = f" (the classifier was fitted on {these})" if seen else ""
    st.caption(f"{count(len(found), 'text')}, {right} right{said}. {PICK}")


def own() -> tuple[str, None] | None:
    with st.form("own", border=False):
        text = type_text("Type a sentence, then see how each word counts.")
        submit_text("Explain", icon=":material/psychology:", without="")
    say_if_long(text)
    return (text, None) if text else None


def which() -> str:
    """A text of the run, or one that is typed: where the context holds one."""

    def turn(way: str) -> None:
        remember(text=last_typed() if way == OWN else None)

    show("way", TABLE if context().text is None else OWN)
    st.segmented_control(
        "What to explain",
        (TABLE, OWN),
        required=True,
        key="way",
        label_visibility="collapsed",
        on_change=news("way", turn),
    )
    return st.session_state["way"]
