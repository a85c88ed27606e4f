"""Adapt: find the layer that separates the classes best, and tune up to it."""

from functools import partial
from typing import Any

import streamlit as st

from stc_core.config import RunConfig
from stc_core.figures.tuning import (
    comparison_table,
    training_curves,
    tunings_table,
)
from stc_core.recipe_settings import TuneConfig
from stc_core.runs.layout import RunFile
from stc_core.runs.processes import jobs
from stc_core.runs.run import Run, list_runs
from stc_core.runs.status import Status
from ui.cache.run_files import read
from ui.charts.chart import chart, variability_chart
from ui.shell import run_badge
from ui.shell.frame import any_run
from ui.shell.job_progress import show_run, watch
from ui.shell.messages import escape
from ui.shell.verdict import verdict_line
from ui.state.navigation import pick, remember
from ui.train import settings as choices
from ui.train.estimate import refusal, show_estimate, show_refusal
from ui.train.fields import number_field, toggle_field
from ui.train.progress import early_curves, log, phases

_RECIPE = "variability"
"""The recipe whose page this is."""
_PAIRS = "contrastive"
"""The other recipe whose results it shows."""
_NU = (
    "ν (nu) is the spread of the texts inside a class, divided by the distance "
    "between the classes, on the training texts. Lower is better; ★ marks the best "
    "layer. Click a layer to tune there, or choose it below."
)
EMBEDDINGS = " Layer 0 is the embeddings: it has no block to tune, so 1 is proposed."
WHERE = {
    "variability": "blocks up to the layer",
    "top": "top blocks",
    "all": "all blocks",
}
COMPUTE = (
    "Compute: the cost of one prediction, where the whole model is 100 %. Time: for "
    "activations and head, or for the tuning; activations from the cache take no time. "
    "The test texts were not used in training or selection."
)


def layer_choice(best: int, n_layers: int) -> int | None:
    """Draw the choice of the layer to tune up to; return it, None for the proposed one.

    A click on the curve of nu makes the same choice.
    """
    proposed = f"{max(best, 1)} (proposed)"
    return pick(
        "layer",
        "Layer",
        [None, *range(1, n_layers + 1)],
        format_func=lambda layer: proposed if layer is None else str(layer),
        placeholder=proposed,
        width=130,
    )


def _settings(best: int, n_layers: int) -> TuneConfig:
    """Draw the settings of the tuning; return them."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        where = st.selectbox(
            "Tune",
            list(WHERE),
            format_func=lambda name: WHERE[name],
            width=190,
            key="where",
        )
        layer = layer_choice(best, n_layers) if where == "variability" else None
        usual = choices.tuning(blocks=where != "all")
    return TuneConfig.model_validate(
        {
            "where": where,
            "layer": layer,
            **usual,
            **details(),
        }
    )


def details() -> dict[str, Any]:
    """Draw the settings that few users change; return them as fields of TuneConfig.

    None means the default of the method.
    """
    with st.expander("More settings", icon=":material/tune:"):
        left, middle, right = st.columns(3)
        with left:
            fields = {
                name: number_field(f"tune.{name}") for name in ("batch", "accumulate")
            }
        with middle:
            fields["learning_rate"] = number_field(
                "tune.learning_rate",
                min_value=1e-9,
                step=1e-4,
                format="%.0e",
                placeholder="chosen by method",
                key="rate",
            )
            fields["patience"] = number_field("tune.patience")
        with right:
            fields["width"] = number_field("tune.width", placeholder="8 or 64")
            fields["checkpointing"] = toggle_field("tune.checkpointing")
        return fields


def form(run: Run) -> RunConfig:
    """Draw the form that starts a tuning with the table and the model of this run.

    Returns the run that the button would start, with the proposed layer filled in.
    """
    if run.config.train.recipe != _RECIPE:
        st.subheader("Tune up to a layer", anchor=False)
    else:
        st.subheader("Tune again", anchor=False)
    variability = read(run, "variability")
    best = max(variability["best_layer"], 1)
    tune = _settings(best, len(variability["nu"]) - 1)
    layer = best if tune.where == "variability" and tune.layer is None else tune.layer
    proposed = tune.changed(layer=layer)
    config = new_config(run, "", recipe=_RECIPE, tune=proposed)
    if st.button(
        "Start tuning",
        type="primary",
        icon=":material/play_arrow:",
        disabled=refusal(config) is not None,
    ):
        _begin(new_config(run, f"tuned · {run.base_name}", recipe=_RECIPE, tune=tune))
    return config


def new_config(run: Run, name: str, **changes: Any) -> RunConfig:
    """The settings of a new run on the table of `run`, its training changed."""
    train = run.config.train.changed(**changes)
    data = run.config.data.labelled()  # these recipes do not write replies
    return RunConfig(name=name, data=data, train=train)


def _begin(config: RunConfig) -> None:
    """Start a run and show its progress."""
    folder = jobs.start(config)
    remember(run=folder.name)
    st.rerun()


def _show_active(run: Run, status: Status) -> None:
    """Show the bar of an active run, its phases, and the loss and the score so far."""
    show_run(run, status)
    steps, current = st.columns([1, 3], gap="large")
    with steps:
        phases(run, status)
    with current:
        if run.has(RunFile.TUNING):
            show_curves_of_tuning(run)
        else:
            early_curves(run)
        log(run)


def show_curves_of_tuning(run: Run) -> None:
    metric = "accuracy" if run.goal.criterion == "accuracy" else "macro_f1"
    tuning = read(run, "tuning")
    if "words" in tuning:
        figure = training_curves(tuning["words"], "accuracy")
        alt = "Loss and share of words guessed right by epoch"
        chart(figure, "words", alt=alt)
        st.caption(
            "Training on the texts alone, as a language model: the share of words "
            "guessed right."
        )
    figure = training_curves(tuning, metric)
    chart(figure, "training", alt="Loss and score by epoch")
    said = "Epoch 0 is the same classifier on the model before the tuning."
    if run.config.train.recipe == _PAIRS:
        said += (
            " The training loss is that of pairs of texts, the validation loss that of "
            "the answers."
        )
    st.caption(said)


def _unfinished(run: Run) -> None:
    """Show why the run ended, and the button that resumes it."""
    status = run.status
    if status["error"]:
        st.error(escape(status["error"]["message"]), icon=":material/error:")
    else:
        st.warning("This run was cancelled.", icon=":material/cancel:")
    if run.has(RunFile.TUNING):
        show_curves_of_tuning(run)
    if st.button("Resume", type="primary", icon=":material/resume:"):
        jobs.resume(run.folder)
        st.rerun()


def _result(run: Run) -> None:
    """Show what the tuning gained, and its curves."""
    metrics = read(run, "metrics")
    if "comparison" in metrics:  # a hierarchy is compared with its baselines alone
        st.subheader("What tuning gains", anchor=False)
        st.dataframe(comparison_table(metrics["comparison"]), hide_index=True)
        st.caption(COMPUTE)
    if metrics["recipe"] in (_RECIPE, _PAIRS) and st.button(
        "Continue with stc on the tuned model",
        icon=":material/model_training:",
        help="Fit probes and select neurons in the tuned model, as the papers do.",
    ):
        name = str((run.folder / "backbone").resolve())
        changes = {"recipe": "stc", "backbone": name, "max_layer": None}
        _begin(new_config(run, f"stc on {run.base_name}", **changes))
    show_curves_of_tuning(run)


def _beside(run: Run) -> None:
    """Show all tunings of the same table, if there are several."""
    data, others = run.config.data.labelled(), []
    for other in list_runs():
        if not other.done or other.config.data.labelled() != data:
            continue
        if other.config.train.recipe in (_RECIPE, _PAIRS):
            others.append((other.name, read(other, "metrics")))
    if len(others) > 1:
        st.subheader("Tunings of this table", anchor=False)
        st.dataframe(tunings_table(others), hide_index=True)


def show_page() -> None:
    """Draw the page below its title."""
    run = any_run()
    state = run_badge.state(run)
    if state == "done" and run.has(RunFile.TUNING):
        verdict_line(run, mistakes=True)
    if state not in jobs.BUSY and run.has(RunFile.VARIABILITY):
        found = read(run, "variability")
        best = found["best_layer"]
        st.markdown(
            f"**Layer {best}** separates the classes best, with the lowest ν: "
            f"**{found['nu'][best]:.2f}**."
        )
        variability_chart(run)
        st.caption(_NU + (EMBEDDINGS if best == 0 else ""))
    if state in jobs.BUSY:
        watch(lambda: run.status, partial(_show_active, run))
    elif state != "done":
        _unfinished(run)
    elif not run.has(RunFile.VARIABILITY):
        st.info(
            "This page needs hidden states that are pooled by their mean, which this "
            "run did not read. Train again with hidden states and the pooling mean."
        )
    else:
        if run.has(RunFile.TUNING):
            _result(run)
        config = form(run)
        reason = refusal(config)
        if reason is not None:
            show_refusal(reason)
            _beside(run)
            st.stop()
        facts = st.container(height=88, border=False)
        _beside(run)
        with facts:  # drawn last, because it may take long
            show_estimate(config)
