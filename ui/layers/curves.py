"""The curves of the page Layers: the scores of the probes by layer, nu, attention."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.analysis.best_probe import ComparedProbes, band
from stc_core.analysis.layer_scores import (
    OF_A_CLASS,
    SCORES,
    Score,
    mute_places,
    readings,
)
from stc_core.display import percent
from stc_core.figures.attention import layer_shares
from stc_core.figures.layers import layer_curves, reference_lines
from stc_core.metrics.scores import Metric
from stc_core.poolings import POOLING_RULES
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from stc_core.types import SITE_KINDS
from ui.cache.run_files import read
from ui.charts.chart import chart, variability_chart
from ui.shell.downloads import csv_button
from ui.shell.messages import escape
from ui.shell.page_list import ADAPT
from ui.shell.widgets import FIELD_LINE
from ui.state.clicks import click_layer
from ui.state.navigation import context, link, pick

_COLUMNS = ["site", "pooling", "C", "accuracy", "accuracy_low", "accuracy_high"]
_COLUMNS += ["macro_f1", "n", "nonzeros", "gap"]
NOTE = (
    "Points: the best sparse probe of each site and pooling on **{n:,} validation "
    "texts**{bars}."
)
_INTERVALS = {
    True: ", with 95 % intervals that hold for all points together",
    False: ", each with its own 95 % interval",
}
TEST_NOTE = (
    "Lines: results on the **{n:,} test texts**, which were not used in training or "
    "selection. The highest of many points is partly lucky; the findings beside the "
    "curves are corrected for that. "
)
ALONE = (
    "Each row is one probe, scored on the validation texts. These texts also chose "
    "the best probe, so the highest score is a little too high."
)
CLICK = "Click a point, or choose its layer, to see which neurons were kept there."
_MUTE = "Left out, because its probes learned nothing there: {places}."
_ALL = "all classes"
_CONTROL = (
    "The control is the same kind of probe, trained on shuffled labels. It shows "
    "which score luck alone reaches. Selectivity is the score minus the control."
)
NO_CONTROL = (
    "The control exists only for all classes together. Runs of older versions have "
    "none."
)
_Shown = Literal["scores", "with control", "selectivity"]
_SHOWN: tuple[_Shown, ...] = get_args(_Shown)
_NU = (
    "ν (nu) is the spread of the texts inside a class, divided by the distance "
    "between the classes, on the training texts. Lower is better; ★ marks the lowest."
)
_ATTENTION = (
    "How much of what the classifier **reads** comes from each layer. All hidden "
    "states are scaled alike. A large share is no proof that the layer holds the "
    "labels."
)
_TUNED = (
    "The classifier of this run reads layer {layer} of a tuned model. Probes, curves "
    "and ν describe the model before the tuning."
)
ATTENTIVE = (
    "The classifier of this run reads by attention. Everything else on this page "
    "describes the probes and the sparse classifier that were trained before it."
)


ANSWERS_BY_OWN_HEAD = (
    "The classifier of this run is the model's own head. The curves describe sparse "
    "probes of its layers, trained on the labels of the table."
)


class Wish(NamedTuple):
    """The settings of the curves: what the user wants to see."""

    score: Score
    shown: _Shown
    label: str | None
    kinds: list[str]
    poolings: list[str]
    lines: bool


def held_metric(run: Run) -> Metric:
    """The score that the page shows outside the curves: accuracy or macro-F1.

    The curves can show the AUC as well.
    """
    shown = context().score
    return shown if shown in ("accuracy", "macro_f1") else _first_shown(run)


def _first_shown(run: Run) -> Metric:
    """The score that is shown until one is chosen: the one that training went by."""
    return "accuracy" if run.goal.criterion == "accuracy" else "macro_f1"


def choose_score(run: Run, names: Sequence[Score], row: Any = st) -> Score:
    """Draw the choice of a score; return it.

    A choice in the other tab holds here, too, if `names` contains it.
    """
    return pick(
        "score",
        "Score",
        names,
        default=_first_shown(run),
        widget=row.segmented_control,
        required=True,
        format_func=lambda name: SCORES[name][0].upper() + SCORES[name][1:],
        key="metric",
        label_visibility="collapsed",
    )


def controls(run: Run, probes: pd.DataFrame) -> Wish:
    """Draw the controls of the curves in one line; return what to draw.

    No choice of sites or poolings means all of them.
    """
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    by_class = run.has(RunFile.CLASSES)
    classes = read(run, "metrics")["classes"] if by_class else []
    names: list[Score] = [name for name in SCORES if by_class or name != "auc"]
    score = choose_score(run, names, row)
    with row.container(width=190, height=FIELD_LINE, border=False):
        label = pick(
            "label",
            "Class",
            [None, *classes],
            format_func=lambda name: name or _ALL,
            placeholder=_ALL,
            label_visibility="collapsed",
        )
    more = row.popover("Curves", icon=":material/tune:")
    of_all = label is None and score != "auc" and run.has(RunFile.CONTROL)
    shown: Any = pick(
        "shown",
        "Show",
        _SHOWN,
        widget=more.segmented_control,
        required=True,
        disabled=not of_all,
        key="shown",
        help=_CONTROL if of_all else f"{_CONTROL} {NO_CONTROL}",
    )
    kinds, poolings = _choose_sites(probes, more)
    lines = more.toggle("Baselines", value=True, key="baselines", persist_state="page")
    shown = shown if of_all else _SHOWN[0]
    lines = lines and label is None and shown != "selectivity"
    return Wish(score, shown, label, kinds, poolings, lines)


def _choose_sites(probes: pd.DataFrame, row: Any) -> tuple[list[str], list[str]]:
    """The kinds of site and the poolings to draw; all if none is chosen."""
    names = [name for name in POOLING_RULES if name in set(probes["pooling"])]
    names += sorted(set(probes["pooling"]) - set(POOLING_RULES))
    known_kinds = [kind for kind in SITE_KINDS if kind in set(probes["kind"])]
    kinds = row.pills(
        "Read from",
        known_kinds,
        selection_mode="multi",
        format_func=lambda name: SITE_KINDS[name],
        key="layer_kinds",
        persist_state="page",
    )
    poolings = row.pills(
        "Pooled by",
        names,
        selection_mode="multi",
        key="layer_poolings",
        persist_state="page",
    )
    return kinds or known_kinds, poolings or names


def show_curves(
    run: Run, probes: pd.DataFrame, wish: Wish, compared: ComparedProbes | None
) -> None:
    """Draw the curves that `wish` asks for, with the band of all probes if known."""
    metrics = read(run, "metrics")
    if compared is not None and compared.metric != wish.score:
        compared = None
    points = readings(
        probes.loc[
            probes["kind"].isin(wish.kinds) & probes["pooling"].isin(wish.poolings)
        ],
        wish.score,
        by_class=read(run, "by_class") if run.has(RunFile.CLASSES) else None,
        label=wish.label,
        control=read(run, "control") if run.has(RunFile.CONTROL) else None,
        selectivity=wish.shown == "selectivity",
        band=None if compared is None else band(compared),
    )
    if points.empty:
        st.info("No validation text has this class, so there is nothing to score.")
        return
    title = SCORES[wish.score] if wish.label is None else OF_A_CLASS[wish.score]
    lines = reference_lines(metrics, wish.score) if wish.lines else []
    figure = layer_curves(
        points,
        lines,
        named=f"{title} minus control" if wish.shown == "selectivity" else title,
        layer_names=metrics["backbone"]["layer_names"],
        picked=context().layer,
        control=wish.shown == "with control",
    )
    alt = "Validation score of the probes by layer, with baselines as lines"
    chart(figure, "layer_chart", alt=alt, turn=click_layer)
    is_banded = compared is not None and wish.label is None
    bars = (
        _INTERVALS[is_banded]
        if np.isfinite(points["low"].to_numpy(float)).any()
        else ""
    )
    mute = ", ".join(mute_places(probes))
    left_out = f" {_MUTE.format(places=mute)}" if mute else ""
    points_note = NOTE.format(n=int(points["n"].iloc[0]), bars=bars)
    lines_note = TEST_NOTE.format(n=metrics["test"]["n"]) if lines else ""
    st.caption(f"{points_note} {lines_note}{CLICK}{left_out}")


def show_spread(run: Run) -> None:
    """Draw the variability of the hidden states, which needs no probe."""
    if not run.has(RunFile.VARIABILITY):
        return
    st.subheader("How well each layer separates the classes", anchor=False)
    variability_chart(run)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_NU, width="stretch")
        link(ADAPT, "Tune up to a layer", icon=":material/tune:")


def other_note(metrics: RunMetrics) -> None:
    """Say which parts of the page do not describe the classifier of the run, if any."""
    if "tuning" in metrics:
        layer = metrics["tuning"]["layer"]
        st.caption(f":material/tune: {_TUNED.format(layer=layer)}")
    if "attention" in metrics:
        st.caption(f":material/visibility: {ATTENTIVE}")
    if "own_head" in metrics:
        st.caption(f":material/visibility: {ANSWERS_BY_OWN_HEAD}")


def show_attention(metrics: RunMetrics) -> None:
    """Draw how much attention reads of each layer, if the run reads by attention."""
    if "attention" not in metrics:
        return
    attention = metrics["attention"]
    st.subheader("What attention reads", anchor=False)
    figure = layer_shares(
        attention["layers"],
        attention["layer_shares"],
        layer_names=metrics["backbone"]["layer_names"],
    )
    alt = "Share of each layer that the classifier reads"
    chart(figure, "attention_chart", alt=alt, turn=click_layer)
    st.caption(_ATTENTION)


def parent_note(metrics: RunMetrics) -> None:
    """Name the run from which this run was made, if there is one."""
    if parent := metrics.get("parent"):
        st.caption(
            f":material/content_cut: Made from *{escape(parent['name'])}*: "
            f"{percent(parent['accuracy'])} on test with {parent['neurons']:,} neurons "
            f"up to layer {parent['layers']}."
        )


def readable_probes(probes: pd.DataFrame) -> pd.DataFrame:
    """The columns of the probes that people read, the most accurate probe first.

    A probe without weights has a dash for C, because every penalty gives the same.
    """
    shown = probes.loc[:, _COLUMNS].sort_values(
        "accuracy", ascending=False, kind="stable"
    )
    pairs = zip(shown["C"], shown["nonzeros"], strict=True)
    return shown.assign(C=[f"{c:.3g}" if kept else "–" for c, kept in pairs])


def show_numbers(
    shown: pd.DataFrame, name: str, table: pd.DataFrame, *, note: str = ""
) -> None:
    """Show the table `shown`, and a button that downloads the full `table`."""
    with st.expander("The numbers", icon=":material/table:"):
        if note:
            st.caption(note)
        st.dataframe(shown, hide_index=True, height=320)
        csv_button(table, f"{name}.csv", key=name)
