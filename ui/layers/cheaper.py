"""The cost and accuracy of cheaper classifiers, and the button that makes one."""

from typing import Any

import pandas as pd
import streamlit as st

from stc_core import display
from stc_core.analysis.layer_scores import Score
from stc_core.display import count, interval
from stc_core.figures.frontier import (
    COST_NAMES,
    COSTS,
    FrontierPlace,
    frontier,
    undominated,
)
from stc_core.figures.trade import depth_curve, neuron_curve
from stc_core.frames import records
from stc_core.recipe_table import RECIPES
from stc_core.recipes.shrink_settings import shrink_config
from stc_core.runs.layout import RunFile
from stc_core.runs.processes import jobs
from stc_core.runs.run import Run
from ui.cache.run_files import read
from ui.charts.chart import chart
from ui.layers.curves import choose_score, held_metric
from ui.layers.picked import near_option_button, show_reasons
from ui.shell.page_list import TRAIN
from ui.shell.widgets import FIELD_LINE
from ui.state.clicks import click_option
from ui.state.navigation import context, go, pick

DIALS = (
    "Each point is a classifier that stops at a layer, with its own choice of "
    "neurons. Darker: more neurons. Scores are on **{n:,} held-out texts**, not on "
    "the {n_test:,} test texts.{line} Click a point, or move the sliders."
)
LINE = " A point is on the line if no cheaper point is better."
CHEAPER_BY: tuple[Score, ...] = ("accuracy", "macro_f1")


def show_trade(run: Run, metric: Any) -> None:
    """Draw the score by number of neurons, and by depth."""
    points = read(run, "curves")
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("How many neurons are enough", anchor=False)
        figure = neuron_curve(points, metric)
        chart(figure, "neuron_curve", alt="Validation score by number of neurons")
    with right:
        st.subheader("How many layers are enough", anchor=False)
        figure = depth_curve(points, metric)
        chart(figure, "depth_curve", alt="Validation score, compute saved by depth")


def show_cheaper(run: Run) -> None:
    """Draw accuracy against cost, and beside it sliders for depth and neurons.

    The score is chosen even if there is nothing to draw: the rest of the tab shows it.
    """
    row = st.container(
        horizontal=True,
        vertical_alignment="center",
        gap="small",
        height=FIELD_LINE,  # the chart does not move when the choices come
        border=False,
    )
    choose_score(run, CHEAPER_BY, row)
    metric = held_metric(run)
    if not run.has(RunFile.FRONTIER) or RECIPES[run.config.train.recipe].tunes:
        return
    cost: Any = pick(
        "cost",
        "Against",
        COSTS,
        widget=row.segmented_control,
        required=True,
        format_func=lambda name: f"by {COST_NAMES[name]}",
        key="cost",
        label_visibility="collapsed",
    )
    options = read(run, "frontier")
    left, right = st.columns([3, 2], gap="large")
    with right:
        place = dials(options)
        button = st.container()
    with left:
        figure = frontier(options, cost, metric=metric, picked=place)
        alt = "Validation score of cheaper classifiers against their cost"
        chart(figure, "frontier_chart", alt=alt, turn=click_option)
        n, n_test = options["n"].iloc[0], options["n_test"].iloc[0]
        line = LINE if len(undominated(options, cost, metric)) > 1 else ""
        st.caption(DIALS.format(n=n, n_test=n_test, line=line))
        near = show_reasons(run, options)
    with button:
        near_option_button(near, place, options, run.goal)
    is_place = options["layer"].eq(place.layer) & options["neurons"].eq(place.neurons)
    with right:
        slowest = float(options["ms_per_text"].max())
        _option(run, records(options.loc[is_place])[0], slowest)


def dials(options: pd.DataFrame) -> FrontierPlace:
    """Draw the two sliders; return the option that they show.

    It is the option of the context, or the run's own option if the context has none.
    """
    chosen = records(options.loc[options["chosen"].astype(bool)])[0]
    layer = pick_value("depth", "Highest layer", options["layer"], chosen["layer"])
    sizes = options.loc[options["layer"] == layer, "neurons"]
    wanted = context().size or chosen["neurons"]
    size = max((n for n in sizes if n <= wanted), default=min(sizes))
    return FrontierPlace(layer, pick_value("size", "Neurons", sizes, int(size)))


def pick_value(field: str, label: str, values: Any, default: int) -> int:
    """Draw a slider over `values`, a caption for a single value; return the value."""
    known = sorted({int(value) for value in values})
    if len(known) == 1:
        st.caption(f"{label}: {known[0]:,}")
        return known[0]
    return pick(field, label, known, widget=st.select_slider, default=default)


def _option(run: Run, row: dict[str, Any], slowest: float) -> None:
    """Show what one option gives and costs, and the button that makes it."""
    chose = f"a little too high, as these {count(row['n'], 'text')} chose it"
    facts = [
        ("Held out", display.percent(row["accuracy"]), chose),
        ("Test", display.percent(row["test_accuracy"]), bounds(row, "test_accuracy")),
        (
            "Test macro-F1",
            display.percent(row["test_macro_f1"]),
            count(row["n_test"], "text"),
        ),
        (
            "Time per text",
            f"{row['ms_per_text']:.1f} ms",
            f"{display.percent(row['ms_per_text'] / slowest)} of all layers",
        ),
        ("Compute saved", display.percent(1 - row["flops_share"]), "FLOPs per token"),
        (
            "Parameters",
            f"{row['parameters'] / 1e6:,.1f} M",
            f"{display.percent(row['parameters_share'])} of the model",
        ),
    ]
    with st.container(border=True):
        for line in (facts[:2], facts[2:4], facts[4:]):
            for column, fact in zip(st.columns(2), line, strict=True):
                with column.container(gap=None):
                    st.metric(fact[0], fact[1])
                    st.caption(fact[2])
        if row["chosen"]:
            st.caption(":material/check: This is the classifier of this run.")
        elif st.button(
            "Make this classifier",
            type="primary",
            icon=":material/content_cut:",
            key="make",
        ):
            option = int(row["layer"]), int(row["neurons"])
            folder = jobs.start(shrink_config(run, option=option))
            go(TRAIN, run=folder.name)


def bounds(row: dict[str, Any], name: str) -> str:
    return interval((row[f"{name}_low"], row[f"{name}_high"]))
