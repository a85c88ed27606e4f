"""Hierarchy: the tree of labels, the layer of each level, and a text's way down."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pandas as pd
import streamlit as st

from stc_core.analysis.label_tree_tables import (
    SEPARATOR,
    child_confusion,
    node_table,
    with_labels,
)
from stc_core.config import RunConfig, TrainConfig, TuneConfig
from stc_core.display import interval, percent
from stc_core.figures.hierarchy import confusion_map, rung_curves, tree_figure
from stc_core.runs import jobs
from stc_core.runs.run import Run
from ui.cache.run_files import read
from ui.charts.chart import chart
from ui.hierarchy.one_text import generation, one_text
from ui.shell.frame import empty_state, pick_run
from ui.shell.messages import escape
from ui.shell.page_list import DATA, TRAIN
from ui.shell.reuse_button import reuse
from ui.shell.widgets import PERCENT, in_percent
from ui.state.clicks import clicked_level
from ui.state.navigation import go
from ui.train import settings

RIVALS = {
    "flat": "Finest labels alone, tuned the same way",
    "separate": "A model of its own for each level, tuned the same way",
    "inner_probe": "Linear probes of the same layers, not tuned",
}
_CURVES = (
    "A probe of each level on every layer of the model before it was tuned, on **{n:,} "
    "validation texts**, with 95 % intervals. The ring marks the layer that answers. "
    "Click a point to choose another one."
)
_ALL = "all texts"
TREE = (
    "Number and size: texts of all splits. Percent and colour: share of the test texts "
    "whose path down to there is right. Click a label to zoom in, its left edge to "
    "come back."
)


def scores(metrics: dict[str, Any]) -> None:
    """Accuracy of each level, of whole paths, and the same of the baselines."""
    about, test = metrics["hierarchy"], metrics["test"]
    whole = max(metrics["cost"]["flops_per_token_total"], 1)
    row = st.container(horizontal=True, gap="medium")
    told = zip(test["levels"], about["layers"], about["flops_per_token"], strict=False)
    for level, layer, flops in told:
        row.metric(
            f"{escape(level['column'])} · layer {layer}",
            percent(level["accuracy"]),
            f"macro-F1 {percent(level['macro_f1'])} · {min(flops / whole, 1):.0%} of "
            "the compute",
            delta_color="off",
            delta_arrow="off",
            border=True,
        )
    row.metric(
        "Joint path accuracy",
        percent(test["joint_accuracy"]),
        f"95 %: {interval(test['joint_interval'])}",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="Joint path accuracy: the share of test texts of which every level is "
        "right. Consistency: the share whose labels fit together, as a level is chosen "
        "among the children of the one above.",
    )
    table = in_percent(rival_table(metrics), *PERCENTS)
    st.dataframe(table, hide_index=True, column_config=PERCENTS)


PERCENTS = {
    name: st.column_config.NumberColumn(name, format=PERCENT)
    for name in ("joint path", "finest label", "macro-F1", "consistency")
}


def rival_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """This classifier and what it is held against, on the test texts."""
    known = {name: metrics["baselines"].get(name) for name in RIVALS}
    rows = [("**This classifier**", metrics["test"])]
    rows += [(RIVALS[name], found) for name, found in known.items() if found]
    return pd.DataFrame(
        {
            "classifier": name.strip("*"),
            "joint path": found["joint_accuracy"],
            "95 %": interval(found["joint_interval"]),
            "finest label": found["accuracy"],
            "macro-F1": found["macro_f1"],
            "consistency": found["consistency"],
        }
        for name, found in rows
    )


def tree(frame: pd.DataFrame) -> None:
    """The tree, and what is mistaken for what inside a parent."""
    nodes = node_table(frame)
    st.subheader("The labels", anchor=False)
    alt = "Tree of the labels with texts and accuracy of each"
    chart(tree_figure(nodes), "tree", alt=alt)
    st.caption(TREE)
    with st.expander("The numbers", icon=":material/table:"):
        shown = in_percent(nodes, "accuracy").drop(columns=["id", "parent"])
        share = st.column_config.NumberColumn(format=PERCENT)
        st.dataframe(shown, hide_index=True, column_config={"accuracy": share})
    st.subheader("Mistakes inside a parent", anchor=False)
    parents = nodes.loc[nodes["level"] < nodes["level"].max(), "id"].tolist()
    parent = st.selectbox("Parent", [_ALL, *parents], width=420, key="parent")
    path = () if parent == _ALL else tuple(parent.split(SEPARATOR))
    counts = child_confusion(frame, path)
    alt = f"True against predicted labels under {parent}"
    chart(confusion_map(counts), "children", alt=alt)
    st.caption(
        f"{int(counts.to_numpy().sum()):,} test texts; shade: share of the line. "
        "*elsewhere*: predicted under another parent."
    )


def _layers(run: Run, metrics: dict[str, Any]) -> None:
    """Where each level can be read, and where it is."""
    st.subheader("The layer of each level", anchor=False)
    rungs = read(run, "levels")
    figure = rung_curves(rungs, layer_names=metrics["backbone"]["layer_names"])
    alt = "Validation accuracy of the probes of each level by layer"

    def take(event: Mapping[str, Any]) -> None:
        if found := clicked_level(event):
            level, layer = found
            st.session_state[layer_key(run, level)] = layer

    chart(figure, "levels", alt=alt, on_click=take)
    st.caption(_CURVES.format(n=int(rungs["n"].iloc[0])))
    other_layers(run, metrics["hierarchy"], sorted(rungs["layer"].unique().tolist()))


def layer_key(run: Run, place: int) -> str:
    return f"layer_{run.folder.name}_{place}"


def other_layers(run: Run, about: dict[str, Any], stack: list[int]) -> None:
    """The layers as chosen by hand, and a run that answers there."""
    chosen: list[int] = []
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = (*about["columns"], *about.get("parts", ()))
        for place, name in enumerate(names):
            key = layer_key(run, place)
            st.session_state.setdefault(key, about["layers"][place])
            label = f"Layer of {escape(name)}"
            chosen.append(st.selectbox(label, stack, width=190, key=key))
        rising = all(low < high for low, high in pairwise(chosen))
        start = st.button(
            "Train with these layers",
            icon=":material/play_arrow:",
            disabled=not rising or chosen == about["layers"],
        )
    if not rising:
        st.caption(
            ":orange[:material/warning:] A finer level needs a higher layer than the "
            "coarser one before it."
        )
    if start:
        train = run.config.train
        wish = train.hierarchy.changed(layers=tuple(chosen))
        name = f"layers {', '.join(map(str, chosen))} · {run.name}"
        _begin(run, name, train.changed(hierarchy=wish))


def _begin(run: Run, name: str, train: TrainConfig, **columns: Any) -> None:
    """Start a run on the same table, and watch it."""
    data = run.config.data.changed(**columns)
    folder = jobs.start(RunConfig(name=name, data=data, train=train))
    go(TRAIN, run=folder.name)


def offer(run: Run) -> None:
    """A run without levels: train them if its table has some, else say so."""
    labels = read(run, "report").columns.labels if run.has("report.json") else ()
    if len(labels) < 2:
        empty_state(
            "No levels here",
            "This run has one level of labels. Choose two to four columns of labels, "
            "from coarse to fine, and train on them first.",
            page=DATA,
            label="Choose data",
            more=lambda: reuse(
                run,
                "Choose columns of its table",
                icon=":material/table_view:",
                page=DATA,
            ),
        )
    named = " › ".join(escape(label) for label in labels)
    st.markdown(
        f"This run learned the finest of **{named}** alone. Tune the model to decide "
        "the coarse labels at inner layers, and compare it with models that do not."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        epochs, seconds = settings.most(TuneConfig().epochs)
        start = st.button(
            "Train the levels", type="primary", icon=":material/play_arrow:"
        )
    if start:
        tune = run.config.train.tune.changed(epochs=epochs, seconds=seconds)
        train = run.config.train.changed(recipe="hierarchy", tune=tune)
        _begin(run, f"levels · {run.name}", train, labels=tuple(labels))


def show_page() -> None:
    """What stands below the title."""
    run = pick_run()
    metrics = read(run, "metrics")
    if "hierarchy" not in metrics:
        offer(run)
        st.stop()
    scores(metrics)
    one_text(run, metrics)
    if "generation" in metrics["test"]:
        generation(run, metrics["test"]["generation"])
    tree(with_labels(read(run, "predictions"), read(run, "corpus")))
    _layers(run, metrics)
