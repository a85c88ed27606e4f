"""Errors: what is taken for what, in which slices, and how far to trust the answers."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.analysis.calibration import (
    answered,
)
from stc_core.analysis.confusion import (
    class_scores,
    confused_pairs,
    confusion,
    most_confused,
)
from stc_core.display import interval, percent
from stc_core.figures.errors import (
    BESIDE,
    MOST_CONFUSED,
    confusion_matrix,
)
from stc_core.metrics.scores import expected_calibration_error, macro_f1
from stc_core.runs.run import Run
from ui.cache.run_files import read
from ui.charts.chart import chart
from ui.errors.label_errors import picked_text
from ui.errors.trust import ECE, codes_of
from ui.shell.messages import escape
from ui.shell.page_list import EXAMPLES
from ui.shell.slice_picker import held_slice, pick_part, slice_chips, type_words
from ui.shell.widgets import FIELD, PERCENT, PIN, in_percent, place_columns
from ui.state.clicks import click_cell, click_example, click_place
from ui.state.navigation import clicked, link, pick

_SPLITS = ("test", "validation", "train")
_SEEN = {
    "test": "The classifier was neither fitted nor chosen on these texts: scores are "
    "what new texts of the same kind can expect.",
    "validation": "The size of the classifier and its temperature were chosen on these "
    "texts, so scores are a little flattered.",
    "train": "The classifier was fitted on these texts: scores are flattered, and "
    "errors are few.",
}
BY_ANSWER = (
    "Narrowed by what was answered: scores of such texts say nothing of new ones."
)
_SHOWN = 1000
MATRIX = (
    "Click a square for its texts, and one under *all* for a whole row or column. "
    "Stronger: a larger share of its row."
)
CUT = " The {most} of {of} classes with most errors; *all* counts the others, too."
_SHARE = {"format": PERCENT, "width": 68}
WHOLE_SHARE = {"format": "%.0f %%", "width": 50}


def choose_rows(table: pd.DataFrame, classes: list[str]) -> str:
    """The split, and the parts of the slice that have a field of their own."""
    known = set(table["split"].unique())
    here = [name for name in _SPLITS if name in known]
    row = st.container(horizontal=True, vertical_alignment="top", gap="medium")
    split = pick("split", "Split", here, widget=row.segmented_control, required=True)
    for name, label in (("label", "Label"), ("predicted", "Predicted")):
        pick_part(
            name,
            label,
            classes,
            widget=row.selectbox,
            placeholder="any class",
            width=190,
        )
    words = row.container(height=FIELD, border=False)
    type_words("Words", widget=words.text_input, placeholder="in the text")
    slice_chips(without="nothing: all texts of the split")
    # A line for each of them: what is below stays where it is.
    by_answer = {"predicted", "wrong"} & {part for part, _ in held_slice().parts}
    st.caption(f":material/info: {BY_ANSWER if by_answer else _SEEN[split]}")
    return str(split)


def show_scores(run: Run, part: pd.DataFrame, shares: np.ndarray, split: str) -> None:
    """The scores of the texts in the slice, with their interval and number."""
    metrics, held = read(run, "metrics"), held_slice()
    correct, codes = part["correct"].to_numpy(bool), codes_of(part, metrics["classes"])
    kept = answered(part["probability"].to_numpy(float), correct, 0.0)
    bounds = (kept.low, kept.high)
    if split == "test" and not held.parts:
        bounds = metrics["test"]["accuracy_interval"]
    labels, guesses = part["label"].to_numpy(str), part["predicted"].to_numpy(str)
    columns = st.columns(4)
    columns[0].metric(
        "Accuracy", percent(kept.accuracy), help="Of the texts that are shown."
    )
    columns[0].caption(f"95 %: {interval(bounds)}")
    columns[1].metric("Texts", f"{kept.n:,}")
    columns[1].caption(f"{int((~correct).sum()):,} wrong")
    columns[2].metric("Macro-F1", percent(macro_f1(labels, guesses)))
    columns[2].caption("over the classes that occur")
    columns[3].metric(
        "ECE", percent(expected_calibration_error(codes, shares)), help=ECE
    )
    columns[3].caption("how far confidence is off")


def matrix(part: pd.DataFrame, classes: list[str]) -> None:
    """What is taken for what: the matrix, the scores of classes, the worst pairs."""
    labels, guesses = part["label"].to_numpy(), part["predicted"].to_numpy()
    found = confusion(labels, guesses, classes)
    shown = most_confused(found, MOST_CONFUSED)
    beside = len(shown) <= BESIDE
    left, right = st.columns([5, 4], gap="medium") if beside else [st.container()] * 2
    with left:
        st.markdown("**What is taken for what**")
        held = held_slice()
        picked = (held.value("label"), held.value("predicted"))
        figure = confusion_matrix(found, shown, picked=picked)
        chart(figure, "confusion", alt="Confusion matrix", turn=click_cell)
        cut = CUT.format(most=MOST_CONFUSED, of=len(classes))
        st.caption(MATRIX + (cut if len(shown) < len(classes) else ""))
    with right:
        way = st.segmented_control(
            "Table",
            ["Classes", "Confused pairs"],
            default="Classes",
            required=True,
            key="of_classes",
            persist_state="page",
            label_visibility="collapsed",
        )
        if way == "Classes":
            by_class(class_scores(found))
        else:
            by_pair(confused_pairs(found))


def by_class(scores: pd.DataFrame) -> None:
    for name in ("precision", "recall", "f1"):
        scores[f"{name}_95"] = between(scores, f"{name}_low", f"{name}_high")
    # At 1280 pixels the first five have room; other intervals are to be scrolled.
    columns: dict[str, Any] = {
        "class": st.column_config.TextColumn("Class", width=114),
        "n": st.column_config.NumberColumn("Texts", width=44),
        "f1": st.column_config.NumberColumn("F1", **WHOLE_SHARE),
        "f1_95": st.column_config.TextColumn("95 %", width=58),
        "precision": st.column_config.NumberColumn(
            "Prec.", help="Precision: of what is called so, how much is.", **WHOLE_SHARE
        ),
        "recall": st.column_config.NumberColumn(
            "Recall",
            help="Of the texts of the class, how many are found.",
            **WHOLE_SHARE,
        ),
        "precision_95": st.column_config.TextColumn("Prec. 95 %", width=84),
        "recall_95": st.column_config.TextColumn("Recall 95 %", width=88),
    }
    scores = scores.sort_values("f1", kind="stable", ignore_index=True)
    places = [{"slice": of(label=name)} for name in scores["class"]]
    st.dataframe(
        in_percent(scores, "precision", "recall", "f1"),
        key="class_table",
        on_select=clicked("class_table", lambda c, e: click_place(c, e, places)),
        selection_mode="single-row",
        hide_index=True,
        height=min(430, 38 + 35 * len(scores)),
        placeholder="–",
        column_order=list(columns),
        column_config=columns,
        alt="Scores of each class with 95 % intervals",
    )
    st.caption("Worst F1 first. Intervals are Wilson's. Click a row for its texts.")


def by_pair(pairs: pd.DataFrame) -> None:
    if pairs.empty:
        st.info("No text is taken for another class.", icon=":material/check:")
        return
    rows = zip(pairs["label"], pairs["predicted"], strict=True)
    places = [{"slice": of(label=a, predicted=b)} for a, b in rows]
    st.dataframe(
        in_percent(pairs, "share"),
        key="pair_table",
        on_select=clicked("pair_table", lambda c, e: click_place(c, e, places)),
        selection_mode="single-row",
        hide_index=True,
        height=min(430, 38 + 35 * len(pairs)),
        column_config={
            "label": st.column_config.TextColumn("Label"),
            "predicted": st.column_config.TextColumn("Taken for"),
            "n": st.column_config.NumberColumn("Texts", width=60),
            "share": st.column_config.NumberColumn("Of the label", **_SHARE),
        },
        alt="Pairs of classes by how often one is taken for the other",
    )
    st.caption("Most frequent first. Click a row for its texts.")


def of(**parts: str) -> str | None:
    """The slice of the context with other classes, and no other say on predictions."""
    return held_slice().of_texts.moved(**parts).text


def between(scores: pd.DataFrame, low: str, high: str) -> list[str]:
    """An interval for each row, in percent; a dash where there is none."""
    pairs = zip(scores[low], scores[high], strict=True)
    return ["–" if a != a else f"{100 * a:.0f}–{100 * b:.0f}" for a, b in pairs]


def listing(run: Run, part: pd.DataFrame, split: str) -> None:
    """The texts of the slice, wrong ones first, the surest of them on top."""
    held = held_slice()
    title = f"Texts: {held.sentence}" if held.parts else "Texts"
    st.markdown(f"#### {escape(title)}")
    n, order = len(part), ["correct", "probability"]
    part = part.sort_values(order, ascending=[True, False], kind="stable").head(_SHOWN)
    rows = part["example"].tolist()
    places = place_columns(run)
    st.dataframe(
        in_percent(part, "probability"),
        key="error_table",
        on_select=clicked("error_table", lambda c, e: click_example(c, e, rows)),
        selection_mode="single-row",
        hide_index=True,
        height=min(260, 40 + 35 * len(part)),
        column_order=[*places, "text", "label", "predicted", "probability"],
        column_config={
            **places,
            "text": st.column_config.TextColumn("Text", width=330),
            "label": st.column_config.TextColumn("Label", width=120, **PIN),
            "predicted": st.column_config.TextColumn("Predicted", width=120, **PIN),
            "probability": st.column_config.NumberColumn(
                "Confidence", format=PERCENT, width=88, **PIN
            ),
        },
        alt="Texts of the slice, wrong ones first",
    )
    with picked_text(run, rows):
        link(
            EXAMPLES,
            "All of these in Examples",
            icon=":material/list:",
            split=split,
            text=None,
        )
    cut = f" The first {_SHOWN:,} of {n:,}." if n > _SHOWN else ""
    st.caption(f"Wrong ones first, the surest on top. Pick a row, then open it.{cut}")
