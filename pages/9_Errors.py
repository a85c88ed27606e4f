"""Errors: what is taken for what, in which slices, and how far to trust the answers."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

import ui
from stc_core.analysis.calibration import (
    answered,
    calibration_bins,
    coverage_curve,
    temperature_of,
    untempered,
)
from stc_core.analysis.confusion import (
    class_scores,
    confused_pairs,
    confusion,
    most_confused,
)
from stc_core.figures.errors import (
    BESIDE,
    MOST,
    calibration_curve,
    confusion_matrix,
    coverage_figure,
)
from stc_core.metrics.scores import expected_calibration_error, macro_f1
from stc_core.runs.run import Run
from ui.errors.label_errors import mislabelled_rows, picked
from ui.shell.widgets import FIELD, PERCENT, PIN, in_percent, place_columns
from ui.state.clicks import click_cell, click_example, click_place

SPLITS = ("test", "validation", "train")
SEEN = {
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
SHOWN = 1000
SLICES = (
    "Click a row to look at its texts. Slices that are worse for sure come first: by "
    "the upper end of the interval (Wilson, 95 %). Of 20 slices that are no different "
    "one leaves the overall accuracy out of its interval by luck."
)
MATRIX = (
    "Click a square for its texts, and one under *all* for a whole row or column. "
    "Stronger: a larger share of its row."
)
CUT = " The {most} of {of} classes with most errors; *all* counts the others, too."
ECE = (
    "Expected calibration error: the mean distance between how sure an answer is and "
    "how often such answers are right, over 15 bins."
)
WHOLE = (
    ":material/info: Slices are of all texts of the split, whatever is chosen above."
)
ANY_ANSWER = (
    ":material/info: Of all labels and answers of these texts: to choose by either "
    "would say beforehand how right they are."
)
TABS = {
    "confusions": "Confusions",
    "slices": "Slices",
    "confidence": "Confidence",
    "labels": "Wrong labels",
}
SHARE = {"format": PERCENT, "width": 68}
WHOLE_SHARE = {"format": "%.0f %%", "width": 50}


def choose(table: pd.DataFrame, classes: list[str]) -> str:
    """The split, and the parts of the slice that have a field of their own."""
    known = set(table["split"].unique())
    here = [name for name in SPLITS if name in known]
    row = st.container(horizontal=True, vertical_alignment="top", gap="medium")
    split = ui.pick("split", "Split", here, widget=row.segmented_control, required=True)
    for name, label in (("label", "Label"), ("predicted", "Predicted")):
        ui.pick_part(
            name,
            label,
            classes,
            widget=row.selectbox,
            placeholder="any class",
            width=190,
        )
    words = row.container(height=FIELD, border=False)
    ui.type_words("Words", widget=words.text_input, placeholder="in the text")
    ui.slice_chips(without="nothing: all texts of the split")
    # A line for each of them: what is below stays where it is.
    by_answer = {"predicted", "wrong"} & {part for part, _ in ui.held_slice().parts}
    st.caption(f":material/info: {BY_ANSWER if by_answer else SEEN[split]}")
    return str(split)


def headline(run: Run, part: pd.DataFrame, shares: np.ndarray, split: str) -> None:
    """The scores of the texts in the slice, with their interval and number."""
    metrics, held = ui.read(run, "metrics"), ui.held_slice()
    correct, codes = part["correct"].to_numpy(bool), codes_of(part, metrics["classes"])
    kept = answered(part["probability"].to_numpy(float), correct, 0.0)
    bounds = (kept.low, kept.high)
    if split == "test" and not held.parts:
        bounds = metrics["test"]["accuracy_interval"]
    labels, guesses = part["label"].to_numpy(str), part["predicted"].to_numpy(str)
    columns = st.columns(4)
    columns[0].metric(
        "Accuracy", ui.percent(kept.accuracy), help="Of the texts that are shown."
    )
    columns[0].caption(f"95 %: {ui.interval(bounds)}")
    columns[1].metric("Texts", f"{kept.n:,}")
    columns[1].caption(f"{int((~correct).sum()):,} wrong")
    columns[2].metric("Macro-F1", ui.percent(macro_f1(labels, guesses)))
    columns[2].caption("over the classes that occur")
    columns[3].metric(
        "ECE", ui.percent(expected_calibration_error(codes, shares)), help=ECE
    )
    columns[3].caption("how far confidence is off")


def codes_of(part: pd.DataFrame, classes: list[str]) -> np.ndarray:
    return pd.Index(classes).get_indexer_for(part["label"].to_numpy()).astype(np.int64)


def matrix(part: pd.DataFrame, classes: list[str]) -> None:
    """What is taken for what: the matrix, the scores of classes, the worst pairs."""
    labels, guesses = part["label"].to_numpy(), part["predicted"].to_numpy()
    found = confusion(labels, guesses, classes)
    shown = most_confused(found, MOST)
    beside = len(shown) <= BESIDE
    left, right = st.columns([5, 4], gap="medium") if beside else [st.container()] * 2
    with left:
        st.markdown("**What is taken for what**")
        held = ui.held_slice()
        picked = (held.value("label"), held.value("predicted"))
        figure = confusion_matrix(found, shown, picked=picked)
        ui.chart(figure, "confusion", alt="Confusion matrix", turn=click_cell)
        cut = CUT.format(most=MOST, of=len(classes))
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
        on_select=ui.clicked("class_table", lambda c, e: click_place(c, e, places)),
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
        on_select=ui.clicked("pair_table", lambda c, e: click_place(c, e, places)),
        selection_mode="single-row",
        hide_index=True,
        height=min(430, 38 + 35 * len(pairs)),
        column_config={
            "label": st.column_config.TextColumn("Label"),
            "predicted": st.column_config.TextColumn("Taken for"),
            "n": st.column_config.NumberColumn("Texts", width=60),
            "share": st.column_config.NumberColumn("Of the label", **SHARE),
        },
        alt="Pairs of classes by how often one is taken for the other",
    )
    st.caption("Most frequent first. Click a row for its texts.")


def of(**parts: str) -> str | None:
    """The slice of the context with other classes, and no other say on predictions."""
    return ui.held_slice().of_texts.moved(**parts).text


def between(scores: pd.DataFrame, low: str, high: str) -> list[str]:
    """An interval for each row, in percent; a dash where there is none."""
    pairs = zip(scores[low], scores[high], strict=True)
    return ["–" if a != a else f"{100 * a:.0f}–{100 * b:.0f}" for a, b in pairs]


def listing(run: Run, part: pd.DataFrame, split: str) -> None:
    """The texts of the slice, wrong ones first, the surest of them on top."""
    held = ui.held_slice()
    title = f"Texts: {held.sentence}" if held.parts else "Texts"
    st.markdown(f"#### {ui.escape(title)}")
    n, order = len(part), ["correct", "probability"]
    part = part.sort_values(order, ascending=[True, False], kind="stable").head(SHOWN)
    rows = part["example"].tolist()
    places = place_columns(run)
    st.dataframe(
        in_percent(part, "probability"),
        key="error_table",
        on_select=ui.clicked("error_table", lambda c, e: click_example(c, e, rows)),
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
    with picked(run, rows):
        ui.link(
            ui.EXAMPLES,
            "All of these in Examples",
            icon=":material/list:",
            split=split,
            text=None,
        )
    cut = f" The first {SHOWN:,} of {n:,}." if n > SHOWN else ""
    st.caption(f"Wrong ones first, the surest on top. Pick a row, then open it.{cut}")


def slices(run: Run, split: str) -> None:
    scores = ui.slice_table(run, split)
    scores["interval"] = between(scores, "low", "high")
    places = [{"slice": text} for text in scores["slice"]]
    st.dataframe(
        in_percent(scores, "accuracy", "from_rest"),
        key="slice_table",
        on_select=ui.clicked("slice_table", lambda c, e: click_place(c, e, places)),
        selection_mode="single-row",
        hide_index=True,
        height=370,
        column_order=["by", "value", "n", "accuracy", "interval", "from_rest"],
        column_config={
            "by": st.column_config.TextColumn("By", width=110),
            "value": st.column_config.TextColumn("Value"),
            "n": st.column_config.NumberColumn("Texts", width=70),
            "accuracy": st.column_config.ProgressColumn(
                "Accuracy", format=PERCENT, max_value=100.0
            ),
            "interval": st.column_config.TextColumn("95 %", width=100),
            "from_rest": st.column_config.NumberColumn(
                "Against the rest",
                format="%+.1f",
                help="In points: minus the accuracy of all others.",
            ),
        },
        alt="Accuracy of each slice with its 95 % interval",
    )
    st.caption(f"{SLICES} Lengths are in words.")
    note = ui.facets(run).note
    if note:
        st.caption(f":material/info: {ui.escape(note)}")


def trust(run: Run, part: pd.DataFrame, shares: np.ndarray) -> None:
    """How sure it is against how right it is, and what abstaining brings."""
    metrics = ui.read(run, "metrics")
    codes = codes_of(part, metrics["classes"])
    temperature = temperature_of(metrics)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Is it as right as it is sure?**")
        after = expected_calibration_error(codes, shares)
        before, said = None, f"ECE {ui.percent(after)}. "
        if temperature is None:
            said += "This recipe keeps no temperature to compare with."
        elif temperature == 1:
            said += "The preset of this run has no temperature."
        else:
            raw = untempered(shares, temperature)
            before = calibration_bins(codes, raw)
            error = expected_calibration_error(codes, raw)
            said = (
                f"ECE {ui.percent(after)}, before the temperature {ui.percent(error)}. "
                f"Logits are divided by {temperature:.2f}, the best value on "
                "validation; undone here from the probabilities."
            )
            if after > error:
                said += " On these texts it made the answers less honest, not more."
        figure = calibration_curve(calibration_bins(codes, shares), before)
        ui.chart(figure, "calibration", alt="Accuracy by confidence")
        st.caption(f"{said} Bars: 95 %, by bin.")
    with right:
        abstain(part)


def abstain(part: pd.DataFrame) -> None:
    st.markdown("**What if it may abstain?**")
    sure, correct = part["probability"].to_numpy(float), part["correct"].to_numpy(bool)
    threshold = st.slider(
        "Answer only with a confidence of at least",
        0.0,
        1.0,
        0.5,
        0.01,
        key="sure",
        persist_state="page",
    )
    kept = answered(sure, correct, threshold)
    figure = coverage_figure(coverage_curve(sure, correct), kept)
    figure.layout.height = 280
    ui.chart(figure, "coverage", alt="Accuracy by share of texts answered")
    if not kept.n:
        st.caption("Nothing is that sure: every text would be left to people.")
        return
    st.caption(
        f"**{ui.percent(kept.coverage)}** answered ({kept.n:,} of {kept.of:,}), "
        f"**{ui.percent(kept.accuracy)}** of these right "
        f"({ui.interval((kept.low, kept.high))}); {kept.of - kept.n:,} left to people."
    )


ui.frame(
    "Errors",
    ui.PAGES[ui.ERRORS][1],
    caption="What is taken for what, in which slices, and how far to trust an answer.",
)
with ui.guard():
    run = ui.pick_run()
    table, classes = ui.examples(run), ui.read(run, "metrics")["classes"]
    split = choose(table, classes)
    held = ui.held_slice()
    of_split = (table["split"] == split).to_numpy()
    shares = ui.read(run, "predictions").filter(like="p:").to_numpy(float)
    base = of_split & ui.in_slice(run, held.of_texts)
    full = base & ui.in_slice(run, held)
    if full.any():
        headline(run, table.loc[full], shares[full], split)
    else:
        st.info(
            f"No text of {split} is in this slice. Take a condition away above.",
            icon=":material/filter_alt_off:",
        )
    tab, place = ui.tabs("errors", TABS)
    with place:
        if tab == "confusions" and base.any():
            matrix(table.loc[base], classes)
        if tab == "slices":
            slices(run, split)
            if held.parts:
                st.caption(WHOLE)
        if tab in ("confusions", "slices") and full.any():
            listing(run, table.loc[full], split)
        if tab == "confidence" and base.any():
            trust(run, table.loc[base], shares[base])
            if held != held.of_texts:
                st.caption(ANY_ANSWER)
        if tab == "labels":
            mislabelled_rows(run)
