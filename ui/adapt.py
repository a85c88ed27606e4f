"""Adapt: where the classes stand apart, tuning up to there, and what it gains."""

import time
from typing import Any

import streamlit as st

from stc_core.config import RunConfig, TuneConfig
from stc_core.display import duration
from stc_core.figures.tuning import (
    comparison_table,
    training_curves,
    tunings_table,
)
from stc_core.metrics.scores import metric_name_of
from stc_core.runs import jobs
from stc_core.runs.run import Run, list_runs
from ui.cache.run_files import read
from ui.charts.chart import chart, variability_chart
from ui.shell import run_badge
from ui.shell.breadcrumbs import trail
from ui.shell.frame import any_run
from ui.shell.messages import escape
from ui.shell.run_badge import doing
from ui.state.navigation import pick, remember
from ui.train import settings as choices
from ui.train.estimate import expected, refusal, show_refusal

_NU = (
    "ν compares the spread inside the classes with the distance between them, on the "
    "training texts. Lower is better; ★ marks the best layer l*. Click a layer to "
    "tune there, or choose it below."
)
EMBEDDINGS = " At 0 there is no block to tune, so that 1 is proposed."
WHERE = {
    "variability": "blocks up to the layer",
    "top": "top blocks",
    "all": "all blocks",
}
COMPUTE = (
    "Compute is that of a prediction; the whole model is 100 %. Time: activations and "
    "head, or the tuning; activations that were kept from before took none. The test "
    "texts chose nothing."
)


def layer_choice(best: int, n_layers: int) -> int | None:
    """The layer to tune up to, as a click on the curve does; None: the proposed one."""
    proposed = f"{max(best, 1)} (proposed)"
    return pick(
        "layer",
        "Layer",
        [None, *range(1, n_layers + 1)],
        format_func=lambda one: proposed if one is None else str(one),
        placeholder=proposed,
        width=150,
    )


def _settings(best: int, n_layers: int) -> TuneConfig:
    """What to tune, and for how long."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        where = st.selectbox(
            "Tune",
            list(WHERE),
            format_func=lambda name: WHERE[name],
            width=210,
            key="where",
        )
        picked = layer_choice(best, n_layers) if where == "variability" else None
        found = choices.tuning(blocks=where != "all")
    more = details()
    return TuneConfig.model_validate(
        {
            "where": where,
            "layer": picked,
            **found,
            **more,
        }
    )


def details() -> dict[str, Any]:
    """What suits most and can be changed; None means: what suits the method."""
    with st.expander("More settings", icon=":material/tune:"):
        left, middle, right = st.columns(3)
        rate = middle.number_input(
            "Learning rate",
            1e-9,
            value=None,
            step=1e-4,
            format="%.0e",
            placeholder="suits method and width",
            key="rate",
        )
        return {
            "batch": left.number_input("Texts a step", 1, value=32, key="batch"),
            "accumulate": left.number_input(
                "Batches a step", 1, value=1, key="accumulate"
            ),
            "learning_rate": rate,
            "patience": middle.number_input(
                "Epochs without a gain", 1, value=2, key="patience"
            ),
            "width": right.number_input(
                "Rank or width of adapters",
                1,
                value=None,
                placeholder="8 or 64",
                key="width",
            ),
            "checkpointing": right.toggle(
                "Save memory: compute twice", key="checkpointing"
            ),
        }


def form(run: Run) -> RunConfig:
    """Start a tuning of the table and the model of this run.

    Returns the run that would be started, with the layer that is proposed.
    """
    if run.config.train.recipe != "variability":
        st.subheader("Tune up to a layer", anchor=False)
    else:
        st.subheader("Tune again", anchor=False)
    found = read(run, "variability")
    best = max(found["best_layer"], 1)
    tune = _settings(best, len(found["nu"]) - 1)
    place = best if tune.where == "variability" and tune.layer is None else tune.layer
    proposed = tune.changed(layer=place)
    config = asked(run, "", recipe="variability", tune=proposed)
    if st.button(
        "Start tuning",
        type="primary",
        icon=":material/play_arrow:",
        disabled=refusal(config) is not None,
    ):
        _begin(asked(run, f"tuned · {run.name}", recipe="variability", tune=tune))
    return config


def asked(run: Run, name: str, **changes: Any) -> RunConfig:
    """A run on the same table."""
    train = run.config.train.changed(**changes)
    data = run.config.data.labelled()  # these recipes write nothing
    return RunConfig(name=name, data=data, train=train)


def _begin(config: RunConfig) -> None:
    """Start a run, and watch it."""
    folder = jobs.start(config)
    remember(run=folder.name)
    st.rerun()


@st.fragment(run_every=1.0)
def _watch(run: Run) -> None:
    """The phase, and the loss and the score as they come; polls while it works."""
    status = run.status
    if status["state"] not in jobs.BUSY:
        st.rerun()
    total = status["total"]
    with st.container(border=True):
        share = min(status["done"] / total, 1.0) if total else 0.0
        st.progress(share, text=doing(run))
        if status["state"] == "running":
            passed = duration(max(time.time() - status["started"], 0))
            st.caption(f"Running for {passed} · {escape(status['message'])}")
        if st.button("Cancel", icon=":material/stop_circle:"):
            jobs.cancel(run.folder)
            st.rerun()
    if run.has("tuning.json"):
        live(run)
    st.caption("You can close this tab: the work goes on in its own process.")


def live(run: Run) -> None:
    metric = metric_name_of(run.config.train.class_weight)
    tuning = read(run, "tuning")
    if "words" in tuning:
        figure = training_curves(tuning["words"], "accuracy")
        alt = "Loss and share of words guessed right by epoch"
        chart(figure, "words", alt=alt)
        st.caption("On the texts alone, as a language model: words guessed right.")
    figure = training_curves(tuning, metric)
    chart(figure, "training", alt="Loss and score by epoch")
    st.caption("Epoch 0 is the same head on the model as it came.")


def _unfinished(run: Run) -> None:
    """Why it ended, and the way to go on."""
    status = run.status
    if status["error"]:
        st.error(escape(status["error"]["message"]), icon=":material/error:")
    else:
        st.warning("This run was cancelled.", icon=":material/cancel:")
    if run.has("tuning.json"):
        live(run)
    if st.button("Go on", type="primary", icon=":material/resume:"):
        jobs.resume(run.folder)
        st.rerun()


def _result(run: Run) -> None:
    """What tuning gained, and how it went."""
    metrics = read(run, "metrics")
    st.subheader("What it gains", anchor=False)
    st.dataframe(comparison_table(metrics["comparison"]), hide_index=True)
    st.caption(COMPUTE)
    if metrics["recipe"] == "variability" and st.button(
        "Continue with stc on the result",
        icon=":material/model_training:",
        help="Probe and select neurons in the tuned model, as the papers do.",
    ):
        name = str((run.folder / "backbone").resolve())
        changes = {"recipe": "stc", "backbone": name, "max_layer": None}
        _begin(asked(run, f"stc on {run.name}", **changes))
    live(run)


def _beside(run: Run) -> None:
    """Other tunings of the same table."""
    data, others = run.config.data.labelled(), []
    for other in list_runs():
        if not other.done or other.config.data.labelled() != data:
            continue
        if other.config.train.recipe == "variability":
            others.append((other.name, read(other, "metrics")))
    if len(others) > 1:
        st.subheader("Tunings of this table", anchor=False)
        st.dataframe(tunings_table(others), hide_index=True)


def show_page() -> None:
    """What stands below the title."""
    run = any_run()
    trail(run)
    state = run_badge.state(run)
    if state not in jobs.BUSY and run.has("variability.json"):
        variability_chart(run)
        best = read(run, "variability")["best_layer"]
        st.caption(_NU + (EMBEDDINGS if best == 0 else ""))
    if state in jobs.BUSY:
        _watch(run)
    elif state != "done":
        _unfinished(run)
    elif not run.has("variability.json"):
        st.info(
            "This run has no variability: it did not read the hidden states by their "
            "mean. Train again with hidden states and the pooling mean."
        )
    else:
        if run.has("tuning.json"):
            _result(run)
        config = form(run)
        refused = refusal(config)
        if refused is not None:
            show_refusal(refused)
            _beside(run)
            st.stop()
        facts = st.container(height=88, border=False)
        _beside(run)
        with facts:  # last, so that nobody has to wait for it
            expected(config)
