"""The confusions of the page Errors: choice of texts, scores, matrix, list of texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.analysis.calibration import (
    answer_above,
)
from stc_core.analysis.confusion import (
    class_scores,
    confused_pairs,
    confusion,
    most_confused,
)
from stc_core.analysis.slices import Slice
from stc_core.display import count, interval, percent
from stc_core.figures.errors import (
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
from ui.shell.widgets import FIELD_LINE, PERCENT, in_percent, place_columns
from ui.state.clicks import click_cell, click_example, click_place
from ui.state.navigation import clicked, link, pick

_SPLITS = ("test", "validation", "train")
_SEEN = {
    "test": "The classifier was neither fitted nor chosen on these texts. Expect the "
    "same scores on new texts of the same kind.",
    "validation": "The classifier was not fitted on these texts, but they chose its "
    "size and temperature. So the scores are a little too high.",
    "train": "The classifier was fitted on these texts, so the scores are too high and "
    "errors are few.",
}
_MACRO_F1 = (
    "Macro-F1: the mean over the classes of F1, which is high only if few texts of a "
    "class are missed and few others are taken for it. Rare classes count as much as "
    "common ones."
)
CROSS_FITTED = (
    "Each of these texts was judged by a classifier made without it. But all of them "
    "chose the number of neurons, so the scores may be a little too high."
)
TRAINED_ON_UNKNOWN = (
    "It is not known whether the model was trained on these texts. If it was, the "
    "scores are too high."
)
BY_ANSWER = (
    "These texts were picked by their predictions, so their number says nothing about "
    "new texts."
)
NOTHING = "No text of {split} is in this slice. Remove a condition."
_SHOWN = 1000
NARROW = 10
"""The most classes of a narrow matrix."""
MATRIX = (
    "Click a square to see its texts, or a square under *all* for a whole row or "
    "column. Stronger colour: a larger share of the row."
)
CUT = " Shown: the {most} of {of} classes with most errors; *all* counts all classes."
_SHARE = {"format": PERCENT, "width": 68}
WHOLE_SHARE = {"format": "%.0f %%", "width": 50}


_CLASS_FIELDS = {"label": "Label", "predicted": "Predicted class"}


def choose_rows(table: pd.DataFrame, classes: list[str], fields: Sequence[str]) -> str:
    """Draw the choice of texts in one line; return the split.

    `fields` are the conditions of the slice that apply below: label, predicted, words.
    """
    known = set(table["split"].unique())
    splits = [name for name in _SPLITS if name in known]
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    # As high as the fields beside it, also before these are drawn.
    splits_line = row.container(
        height=FIELD_LINE, width="content", border=False, vertical_alignment="center"
    )
    split = pick(
        "split",
        "Split",
        splits,
        widget=splits_line.segmented_control,
        required=True,
        label_visibility="collapsed",
    )
    for name, label in _CLASS_FIELDS.items():
        if name in fields:
            pick_part(
                name,
                label,
                classes,
                widget=row.selectbox,
                placeholder=f"any {label.lower()}",
                width=180,
                label_visibility="collapsed",
            )
    if "words" in fields:
        words = row.container(height=FIELD_LINE, width=180, border=False)
        type_words(
            "Words",
            widget=words.text_input,
            placeholder="words in the text",
            label_visibility="collapsed",
        )
    return str(split)


def show_scores(
    run: Run, part: pd.DataFrame, shares: np.ndarray, split: str, current: Slice
) -> None:
    """Say how many of the texts in the slice are right, in one line, and its worth.

    Of texts that were chosen by their prediction no accuracy is told: it would only
    repeat the choice. Scores over all classes are told of all texts alone.
    """
    classes = read(run, "metrics")["classes"]
    correct, codes = part["correct"].to_numpy(bool), codes_of(part, classes)
    if part.empty:
        st.markdown(f"**No text**: {escape(current.sentence)}")
        st.caption(f":material/info: {NOTHING.format(split=split)}")
        return
    if is_by_answer(current):
        st.markdown(f"**{count(len(part), 'text')}**: {escape(current.sentence)}")
        st.caption(f":material/info: {BY_ANSWER}")
        return
    kept = answer_above(part["probability"].to_numpy(float), correct, 0.0)
    bounds = (kept.low, kept.high)
    if split == "test" and not current.parts:
        bounds = read(run, "metrics")["test"]["accuracy_interval"]
    facts = [
        f"**{percent(kept.accuracy)}** of **{count(kept.n, 'text')}** right "
        f"(95 %: {interval(bounds)}), {int((~correct).sum()):,} wrong"
    ]
    if current.value("label") is None:
        labels, guesses = part["label"].to_numpy(str), part["predicted"].to_numpy(str)
        error = expected_calibration_error(codes, shares)
        facts += [
            f"macro-F1 **{percent(macro_f1(labels, guesses))}**",
            f"ECE **{percent(error)}**",
        ]
    st.markdown(" · ".join(facts), help=f"{_MACRO_F1} {ECE}")
    is_own = "own_head" in read(run, "metrics")
    st.caption(
        f":material/info: {TRAINED_ON_UNKNOWN if is_own else _worth(part, split)}"
    )


def _worth(part: pd.DataFrame, split: str) -> str:
    """What scores on the texts of a split promise for new texts."""
    held = part["held"].to_numpy(bool)
    return CROSS_FITTED if held.any() and split != "test" else _SEEN[split]


def show_confusions(
    run: Run, base: pd.DataFrame, full: pd.DataFrame, split: str, classes: list[str]
) -> None:
    """Show which classes are confused, and beside it the classes or the texts picked.

    `base` are the rows of the matrix, `full` those of them that are in the slice.
    """
    counts = confusion(base["label"].to_numpy(), base["predicted"].to_numpy(), classes)
    shown, current = most_confused(counts, MOST_CONFUSED), held_slice()
    # So wide that the squares have room beside each other on a page of 1,024 pixels.
    widths = [3, 2] if len(shown) <= NARROW else [2, 1]
    left, right = st.columns(widths, gap="medium")
    with left:
        picked = (current.value("label"), current.value("predicted"))
        figure = confusion_matrix(counts, shown, picked=picked)
        chart(figure, "confusion", alt="Confusion matrix", turn=click_cell)
        cut = CUT.format(most=MOST_CONFUSED, of=len(classes))
        st.caption(MATRIX + (cut if len(shown) < len(classes) else ""))
    tables = ["Texts", "Classes", "Pairs"]
    key = f"of_classes_{bool(current.parts)}"  # a new slice shows its texts
    with right:
        line = st.container(height=FIELD_LINE, border=False)
        way = line.segmented_control(
            "Table",
            tables,
            default=tables[0] if current.parts else tables[1],
            required=True,
            key=key,
            persist_state="page",
            label_visibility="collapsed",
        )
        if way == "Texts":
            show_texts(run, full, split)
        elif way == "Classes":
            by_class(class_scores(counts))
        else:
            by_pair(confused_pairs(counts))


def by_class(scores: pd.DataFrame) -> None:
    """Show the scores of each class; a click on a class shows its texts."""
    for name in ("precision", "recall", "f1"):
        scores[f"{name}_95"] = interval_texts(scores, f"{name}_low", f"{name}_high")
    # At 1280 pixels the columns up to recall fit beside a narrow matrix.
    columns: dict[str, Any] = {
        "class": st.column_config.TextColumn("Class", width=96),
        "n": st.column_config.NumberColumn("Texts", width=44),
        "f1": st.column_config.NumberColumn("F1", **WHOLE_SHARE),
        "f1_95": st.column_config.TextColumn("95 %", width=58),
        "precision": st.column_config.NumberColumn(
            "Prec.",
            help="Precision: how many texts predicted as this class are right.",
            **WHOLE_SHARE,
        ),
        "recall": st.column_config.NumberColumn(
            "Recall",
            help="How many texts of this class are predicted as this class.",
            **WHOLE_SHARE,
        ),
        "precision_95": st.column_config.TextColumn("Prec. 95 %", width=84),
        "recall_95": st.column_config.TextColumn("Recall 95 %", width=88),
    }
    scores = scores.sort_values("f1", kind="stable", ignore_index=True)
    places = [{"slice": slice_with(label=name)} for name in scores["class"]]
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
    st.caption("Worst F1 first. Click a row to see its texts.")


def by_pair(pairs: pd.DataFrame) -> None:
    """Show the confused pairs of classes; a click on a pair shows its texts."""
    if pairs.empty:
        st.info("No classes are confused in these texts.", icon=":material/check:")
        return
    rows = zip(pairs["label"], pairs["predicted"], strict=True)
    places = [{"slice": slice_with(label=a, predicted=b)} for a, b in rows]
    st.dataframe(
        in_percent(pairs, "share"),
        key="pair_table",
        on_select=clicked("pair_table", lambda c, e: click_place(c, e, places)),
        selection_mode="single-row",
        hide_index=True,
        height=min(430, 38 + 35 * len(pairs)),
        column_config={
            "label": st.column_config.TextColumn("Label"),
            "predicted": st.column_config.TextColumn("Predicted as"),
            "n": st.column_config.NumberColumn("Texts", width=60),
            "share": st.column_config.NumberColumn("Of the label", **_SHARE),
        },
        alt="Pairs of classes by how often one is predicted as the other",
    )
    st.caption("Most frequent first. Click a row to see its texts.")


def slice_with(**parts: str) -> str | None:
    """The slice of the context with other classes.

    Its earlier conditions on predictions are dropped.
    """
    return held_slice().of_texts.moved(**parts).text


def interval_texts(scores: pd.DataFrame, low: str, high: str) -> list[str]:
    """The interval of each row in percent, as '71–83'; a dash if there is none."""
    pairs = zip(scores[low], scores[high], strict=True)
    return ["–" if a != a else f"{100 * a:.0f}–{100 * b:.0f}" for a, b in pairs]


_TEXT_COLUMNS = {
    "text": st.column_config.TextColumn("Text", width=260),
    "label": st.column_config.TextColumn("Label", width=100),
    "predicted": st.column_config.TextColumn("Predicted", width=100),
    "probability": st.column_config.NumberColumn(
        "Confidence", format=PERCENT, width=80
    ),
}


def show_texts(run: Run, part: pd.DataFrame, split: str) -> None:
    """Show the texts of the slice: wrong predictions first, then by confidence."""
    current = held_slice()
    title = f"Texts: {current.sentence}" if current.parts else "Texts"
    st.markdown(f"##### {escape(title)}")
    slice_chips()
    if part.empty:
        st.info(NOTHING.format(split=split), icon=":material/filter_alt_off:")
        return
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
        column_config=places | _TEXT_COLUMNS,
        alt="Texts of the slice, wrong predictions first",
    )
    with picked_text(run, rows):
        link(
            EXAMPLES,
            "See all of these in Examples",
            icon=":material/list:",
            split=split,
            text=None,
        )
    cut = f" The first {_SHOWN:,} of {n:,}." if n > _SHOWN else ""
    st.caption(
        "Wrong predictions first, the most confident on top. Pick a row to read it."
        f"{cut}"
    )


def is_by_answer(held: Slice) -> bool:
    """True if the slice chooses texts by what the classifier says of them."""
    return bool({"predicted", "wrong", "uncertain"} & {name for name, _ in held.parts})
