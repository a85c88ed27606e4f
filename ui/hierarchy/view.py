"""Hierarchy: the tree of labels, the layer of each level, and the path of one text."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pandas as pd
import streamlit as st

from stc_core.analysis.label_tree_tables import (
    SEPARATOR,
    child_confusion,
    node_table,
    path_verdict,
    with_labels,
)
from stc_core.config import RunConfig, TrainConfig
from stc_core.display import BASELINES, OURS, interval, percent
from stc_core.figures.hierarchy import confusion_map, level_curves, tree_figure
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import (
    CoarseScores,
    HierarchyFacts,
    RunMetrics,
    hierarchy_facts,
    path_scores_of,
)
from stc_core.runs.processes import jobs
from stc_core.runs.run import Run
from ui.cache.run_files import read
from ui.charts.chart import chart
from ui.hierarchy.one_text import generation, one_text
from ui.shell.frame import empty_state, pick_run
from ui.shell.messages import escape
from ui.shell.page_list import DATA, TRAIN
from ui.shell.reuse_button import reuse_button
from ui.shell.verdict import mistakes_button
from ui.shell.widgets import PERCENT, in_percent
from ui.state.clicks import clicked_level
from ui.state.navigation import go
from ui.train.fields import number_field, toggle_field
from ui.train.settings import choose_seconds

_ON_ALL_LEVELS = ("flat", "separate", "inner_probe")
"""The baselines that predict every level, in the order of the table."""
_CURVES = (
    "How well each layer predicts each level before any tuning, on **{n:,} held-out "
    "texts**, with 95 % intervals. Class heads read all layers up to it. The ring "
    "marks the layer that is used. Click a point to choose another."
)
_ROWS = (
    "Finest labels alone: one classifier of the finest labels; the tree gives the "
    "coarser ones. Each level alone: a classifier for each level. Probes of the same "
    "layers: the heads of this classifier, each on its own."
)
_ALL = "all texts"
TREE = (
    "Number: texts of all splits. Percent and colour: the share of test texts whose "
    "labels are right down to this level. Click a label to zoom in, and its left edge "
    "to zoom out."
)


def show_level_scores(metrics: RunMetrics) -> None:
    """Show the accuracy of each level and of whole paths, and that of the baselines."""
    about, test = hierarchy_facts(metrics), metrics["test"]
    paths = path_scores_of(metrics)
    whole = max(metrics["cost"]["flops_per_token_total"], 1)
    row = st.container(horizontal=True, gap="small")
    alone = {scores["column"]: scores for scores in test.get("coarse", ())}
    costs = zip(test["levels"], about["layers"], about["flops_per_token"], strict=False)
    for level, layer, flops in costs:
        shown = alone.get(level["column"], level)
        row.metric(
            f"{escape(level['column'])} · layer {layer}",
            percent(shown["accuracy"]),
            f"macro-F1 {percent(shown['macro_f1'])} · "
            f"{100 * min(flops / whole, 1):.0f} % of the compute",
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=_alone(alone[level["column"]]) if level["column"] in alone else None,
        )
    row.metric(
        "Joint path accuracy",
        percent(paths["joint_accuracy"]),
        f"95 %: {interval(paths['joint_interval'])}",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="Joint path accuracy: the share of test texts with the right label at "
        "every level. Consistency: the share of test texts whose labels fit together, "
        "so that each label is a child of the label above it.",
    )
    table = in_percent(baseline_table(metrics), *PERCENTS)
    st.dataframe(table, hide_index=True, column_config=PERCENTS)
    st.caption(_ROWS)


def _alone(scores: CoarseScores) -> str:
    """What the accuracy of a coarse level is of."""
    return (
        f"If only this level is asked for, the model stops at layer {scores['layer']}. "
        "In a whole answer its probability is the sum over its finer labels, and "
        f"{percent(scores['summed_accuracy'])} are right."
    )


PERCENTS = {
    name: st.column_config.NumberColumn(name, format=PERCENT)
    for name in ("joint path", "finest label", "macro-F1", "consistency")
}


def baseline_table(metrics: RunMetrics) -> pd.DataFrame:
    """The scores of this classifier and of its baselines on the test texts."""
    rows = [(OURS, path_scores_of(metrics))]
    rows += [
        (BASELINES[name], path_scores_of(metrics, name))
        for name in _ON_ALL_LEVELS
        if name in metrics["baselines"]
    ]
    return pd.DataFrame(
        {
            "classifier": name,
            "joint path": scored["joint_accuracy"],
            "95 %": interval(scored["joint_interval"]),
            "finest label": scored["accuracy"],
            "macro-F1": scored["macro_f1"],
            "consistency": scored["consistency"],
        }
        for name, scored in rows
    )


def show_tree(frame: pd.DataFrame) -> None:
    """Draw the tree of labels, the main picture of the page."""
    alt = "Tree of the labels with texts and accuracy of each"
    chart(tree_figure(node_table(frame)), "tree", alt=alt)
    st.caption(TREE)


def show_nodes(frame: pd.DataFrame) -> None:
    """Draw the numbers of the tree, and the mistakes among the children of a label."""
    nodes = node_table(frame)
    with st.expander("The numbers", icon=":material/table:"):
        shown = in_percent(nodes, "accuracy").drop(columns=["id", "parent"])
        share = st.column_config.NumberColumn(format=PERCENT)
        st.dataframe(shown, hide_index=True, column_config={"accuracy": share})
    st.subheader("Mistakes among the labels of a parent", anchor=False)
    parents = nodes.loc[nodes["level"] < nodes["level"].max(), "id"].tolist()
    parent = st.selectbox("Parent", [_ALL, *parents], width=420, key="parent")
    path = () if parent == _ALL else tuple(parent.split(SEPARATOR))
    counts = child_confusion(frame, path)
    alt = f"True against predicted labels under {parent}"
    chart(confusion_map(counts), "children", alt=alt)
    st.caption(
        f"{int(counts.to_numpy().sum()):,} test texts. Shade: share of the row. "
        "*elsewhere*: a label of another parent was predicted."
    )


def _layers(run: Run, metrics: RunMetrics) -> None:
    """Draw how well each layer predicts each level, and the layer that decides it."""
    st.subheader("The layer of each level", anchor=False)
    scores = read(run, "levels")
    figure = level_curves(scores, layer_names=metrics["backbone"]["layer_names"])
    alt = "Validation accuracy of the probes of each level by layer"

    def take(event: Mapping[str, Any]) -> None:
        if found := clicked_level(event):
            level, layer = found
            st.session_state[layer_key(run, level)] = layer

    chart(figure, "levels", alt=alt, on_click=take)
    st.caption(_CURVES.format(n=int(scores["n"].iloc[0])))
    choose_layers(
        run, hierarchy_facts(metrics), sorted(scores["layer"].unique().tolist())
    )


def layer_key(run: Run, place: int) -> str:
    """The widget key of the layer for the level at `place`."""
    return f"layer_{run.folder.name}_{place}"


def choose_layers(run: Run, about: HierarchyFacts, layers: list[int]) -> None:
    """Draw the choice of a layer for each level, and the button that trains so."""
    chosen: list[int] = []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = (*about["columns"], *about.get("parts", ()))
        for place, name in enumerate(names):
            key = layer_key(run, place)
            st.session_state.setdefault(key, about["layers"][place])
            label = f"Layer of {escape(name)}"
            chosen.append(st.selectbox(label, layers, width=190, key=key))
        rising = all(low < high for low, high in pairwise(chosen))
        start = st.button(
            "Train with these layers",
            icon=":material/play_arrow:",
            disabled=not rising or chosen == about["layers"],
        )
    if not rising:
        st.caption(
            ":orange[:material/warning:] Each level needs a higher layer than the "
            "coarser level before it."
        )
    if start:
        train = run.config.train
        hierarchy = train.hierarchy.changed(layers=tuple(chosen))
        name = f"layers {', '.join(map(str, chosen))} · {run.base_name}"
        _begin(run, name, train.changed(hierarchy=hierarchy))


def _begin(run: Run, name: str, train: TrainConfig, **columns: Any) -> None:
    """Start a run on the same table and show its progress."""
    data = run.config.data.changed(**columns)
    folder = jobs.start(RunConfig(name=name, data=data, train=train))
    go(TRAIN, run=folder.name)


def offer_levels(run: Run) -> None:
    """Offer to train the levels of the table of `run`, which learned only one level.

    If the table has one column of labels, say how to choose more, and stop the page.
    """
    labels = read(run, "report").columns.labels if run.has(RunFile.REPORT) else ()
    if len(labels) < 2:
        empty_state(
            "No levels in this run",
            "This run has one level of labels. Choose two to four columns of labels, "
            "from coarse to fine, and train on them first.",
            page=DATA,
            label="Choose data",
            more=lambda: reuse_button(
                run,
                "Choose columns of its table",
                icon=":material/table_view:",
                page=DATA,
            ),
        )
    path = " › ".join(escape(label) for label in labels)
    st.markdown(
        f"This run learned only the finest level of **{path}**. Learn all of them, and "
        "compare the result with a classifier of the finest labels."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        tuned = toggle_field("hierarchy.tuned")
        epochs = number_field("tune.epochs", width=150)
        seconds = choose_seconds()
        start = st.button(
            "Train the levels", type="primary", icon=":material/play_arrow:"
        )
    if start:
        tune = run.config.train.tune.changed(epochs=epochs, seconds=seconds)
        hierarchy = run.config.train.hierarchy.changed(tuned=tuned)
        train = run.config.train.changed(
            recipe="hierarchy", tune=tune, hierarchy=hierarchy
        )
        _begin(run, f"levels · {run.base_name}", train, labels=tuple(labels))


def show_page() -> None:
    """Draw the page below its title."""
    run = pick_run()
    metrics = read(run, "metrics")
    if "hierarchy" not in metrics:
        offer_levels(run)
        st.stop()
    if said := path_verdict(metrics):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            st.markdown(f":small[{said}]", width="stretch")
            mistakes_button()
    frame = None
    if run.has(RunFile.CORPUS):
        frame = with_labels(read(run, "predictions"), read(run, "corpus"))
    left, right = (st.container(), st.container())
    if frame is not None:
        left, right = st.columns([5, 4], gap="medium")
        with left:
            show_tree(frame)
    with right:
        show_level_scores(metrics)
    one_text(run, metrics)
    if "generation" in metrics["test"]:
        generation(run, metrics["test"]["generation"])
    _layers(run, metrics)
    if frame is not None:
        show_nodes(frame)
