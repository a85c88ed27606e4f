"""Layers: where the labels can be read, with how many neurons, at which depth."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import pandas as pd
import streamlit as st

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
from stc_core.runs.run import Run
from stc_core.types import SITE_KINDS
from ui.cache.run_files import read
from ui.charts.chart import chart, variability_chart
from ui.shell.messages import escape
from ui.shell.page_list import ADAPT
from ui.shell.widgets import FIELD
from ui.state.clicks import click_layer
from ui.state.navigation import context, link, pick

_COLUMNS = ["site", "pooling", "C", "accuracy", "accuracy_low", "accuracy_high"]
_COLUMNS += ["macro_f1", "n", "nonzeros", "gap"]
NOTE = (
    "Points: the best sparse probe of each site and pooling on **{n:,} validation "
    "texts**{bars}."
)
TEST_NOTE = (
    "Lines: results on the **{n:,} test texts**, which chose nothing; a "
    "point picked as the best of many is a little flattered. "
)
CLICK = "Click a point, or choose its layer, to see what was kept there."
_ALL = "all classes"
_CONTROL = (
    "The control is the same probe, chosen in the same way, on shuffled labels: what "
    "can be got out of nothing. Selectivity is what the score has over it."
)
NO_CONTROL = "It is of all classes, and runs of older versions have none."
_Shown = Literal["scores", "with control", "selectivity"]
_SHOWN: tuple[_Shown, ...] = get_args(_Shown)
_NU = (
    "ν = spread inside the classes over distance between them, by layer, on the "
    "training texts: lower is better, ★ is the least. No probe is fitted for it."
)
_ATTENTION = (
    "The share of each layer's hidden states, each brought to one scale, in what the "
    "head of this run **reads**. That is no proof that the labels are there."
)
ATTENTIVE = (
    "The classifier of this run reads by attention. All else on this page is of the "
    "probes and the sparse classifier that came before it."
)


class Wish(NamedTuple):
    """What the curves are to show."""

    score: Score
    shown: _Shown
    label: str | None
    kinds: list[str]
    poolings: list[str]
    lines: bool


def held_metric() -> Metric:
    """What all but the curves show, which have an AUC, too."""
    return "macro_f1" if context().score == "macro_f1" else "accuracy"


def choose_score(names: Sequence[Score], row: Any = st) -> Score:
    """One of these scores: the one that was chosen in the other tab, if it is one."""
    return pick(
        "score",
        "Score",
        names,
        widget=row.segmented_control,
        required=True,
        format_func=lambda name: SCORES[name][0].upper() + SCORES[name][1:],
        key="metric",
    )


def controls(run: Run, probes: pd.DataFrame) -> Wish:
    """Which curves to draw; no choice means all."""
    row = st.container(horizontal=True, vertical_alignment="top", gap="medium")
    by_class = run.has("classes.parquet")
    names = [name for name in POOLING_RULES if name in set(probes["pooling"])]
    names += sorted(set(probes["pooling"]) - set(POOLING_RULES))
    here = [kind for kind in SITE_KINDS if kind in set(probes["kind"])]
    classes = read(run, "metrics")["classes"] if by_class else []
    score = choose_score([name for name in SCORES if by_class or name != "auc"], row)
    with row.container(width=190, height=FIELD, border=False):
        label = pick(
            "label",
            "Of",
            [None, *classes],
            format_func=lambda name: name or _ALL,
            placeholder=_ALL,
        )
    of_all = label is None and score != "auc" and run.has("control.parquet")
    shown: Any = pick(
        "shown",
        "Show",
        _SHOWN,
        widget=row.segmented_control,
        required=True,
        disabled=not of_all,
        key="shown",
        help=_CONTROL if of_all else f"{_CONTROL} {NO_CONTROL}",
    )
    # A row of its own: one that breaks when its widgets come moves the chart below it.
    row = st.container(horizontal=True, vertical_alignment="top", gap="medium")
    kinds = row.pills(
        "Read from",
        here,
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
    last = row.container(height=FIELD, border=False, vertical_alignment="bottom")
    lines = last.toggle("Baselines", value=True, key="baselines", persist_state="page")
    shown = shown if of_all else _SHOWN[0]
    lines = lines and label is None and shown != "selectivity"
    return Wish(score, shown, label, kinds or here, poolings or names, lines)


def curves(run: Run, probes: pd.DataFrame, wish: Wish) -> None:
    metrics = read(run, "metrics")
    points = readings(
        probes.loc[
            probes["kind"].isin(wish.kinds) & probes["pooling"].isin(wish.poolings)
        ],
        wish.score,
        by_class=read(run, "by_class") if run.has("classes.parquet") else None,
        label=wish.label,
        control=read(run, "control") if run.has("control.parquet") else None,
        selectivity=wish.shown == "selectivity",
    )
    if points.empty:
        st.info("Validation has no text of this class: there is nothing to score.")
        return
    named = SCORES[wish.score] if wish.label is None else OF_A_CLASS[wish.score]
    lines = reference_lines(metrics, wish.score) if wish.lines else []
    figure = layer_curves(
        points,
        lines,
        named=f"{named}, less the control" if wish.shown == "selectivity" else named,
        layer_names=metrics["backbone"]["layer_names"],
        picked=context().layer,
        control=wish.shown == "with control",
    )
    alt = "Validation score of the probes by layer, with baselines as lines"
    chart(figure, "layer_chart", alt=alt, turn=click_layer)
    bars = ", with 95 % intervals" if wish.score == "accuracy" else ""
    mute = ", ".join(mute_places(probes))
    left_out = f" Not drawn, as nothing can be read there: {mute}." if mute else ""
    said = NOTE.format(n=int(points["n"].iloc[0]), bars=bars)
    told = TEST_NOTE.format(n=metrics["test"]["n"]) if lines else ""
    st.caption(f"{said} {told}{CLICK}{left_out}")


def show_spread(run: Run) -> None:
    """The variability of the hidden states, which needs no probe."""
    if not run.has("variability.json"):
        return
    st.subheader("How far the classes stand apart", anchor=False)
    variability_chart(run)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_NU, width="stretch")
        link(ADAPT, "Tune up to a layer", icon=":material/tune:")


def other_note(metrics: dict[str, Any]) -> None:
    """Of a run with another classifier: what of this page is not of that."""
    if "tuning" in metrics:
        st.info(
            f"The classifier of this run reads layer {metrics['tuning']['layer']} of a "
            "tuned model. Probes, curves and ν are of the model before it was tuned.",
            icon=":material/tune:",
        )
    if "attention" in metrics:
        st.info(ATTENTIVE, icon=":material/visibility:")


def attended(metrics: dict[str, Any]) -> None:
    """Of a run that reads by attention: how much of each layer."""
    if "attention" not in metrics:
        return
    told = metrics["attention"]
    st.subheader("What attention reads", anchor=False)
    figure = layer_shares(
        told["layers"],
        told["layer_shares"],
        layer_names=metrics["backbone"]["layer_names"],
    )
    alt = "Share of each layer that the classifier reads"
    chart(figure, "attention_chart", alt=alt, turn=click_layer)
    st.caption(_ATTENTION)


def parent_note(metrics: dict[str, Any]) -> None:
    """Of a run that was made from another: from which."""
    if parent := metrics.get("parent"):
        st.caption(
            f":material/content_cut: Made from *{escape(parent['name'])}*: "
            f"{percent(parent['accuracy'])} on test with {parent['neurons']:,} neurons "
            f"up to layer {parent['layers']}."
        )


def readable(probes: pd.DataFrame) -> pd.DataFrame:
    """The best first; where nothing can be read any penalty does: none is told."""
    shown = probes.loc[:, _COLUMNS].sort_values(
        "accuracy", ascending=False, kind="stable"
    )
    pairs = zip(shown["C"], shown["nonzeros"], strict=True)
    return shown.assign(C=[f"{c:.3g}" if kept else "–" for c, kept in pairs])


def numbers(shown: pd.DataFrame, name: str, table: pd.DataFrame) -> None:
    """A table as it is read, and all of it as a file."""
    with st.expander("The numbers", icon=":material/table:"):
        st.dataframe(shown, hide_index=True, height=320)
        st.download_button(
            "Download CSV",
            table.to_csv(index=False),
            file_name=f"{name}.csv",
            mime="text/csv",
            on_click="ignore",
            icon=":material/download:",
        )
