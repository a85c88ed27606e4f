"""The progress of a training, the reason of a failure, and the result."""

import streamlit as st

from stc_core.analysis.layer_scores import readings
from stc_core.analysis.summary import more_rows
from stc_core.display import MAY_BE_MISSING, interval, percent
from stc_core.figures.data import result_dots, result_table
from stc_core.figures.layers import layer_curves
from stc_core.figures.trade import rows_curve
from stc_core.recipe_table import RECIPES
from stc_core.runs.layout import RunFile
from stc_core.runs.processes import jobs
from stc_core.runs.run import Run
from stc_core.runs.run_summary import result_facts, result_of
from stc_core.runs.status import PHASE_NAMES, PHASES, RUN_STEPS, Status
from ui.cache.run_files import read
from ui.charts.chart import chart
from ui.shell.job_progress import show_run
from ui.shell.messages import escape
from ui.shell.page_list import EXAMPLES, LAYERS, NEURONS, PAGES, PREDICT, result_page
from ui.shell.verdict import show_verdict
from ui.state.navigation import go

MORE_ROWS = (
    "Points: simple models of all neurons on some of the rows, judged by texts that "
    "they have not seen, shifted to the level of this classifier. The curve is a power "
    "law. More rows of another kind may help more or less."
)


def show_active(run: Run, status: Status) -> None:
    """Show the bar of an active run, below it its phases, its curves and its log."""
    show_run(run, status)
    steps, current = st.columns([1, 3], gap="large")
    with steps:
        phases(run, status)
    with current:
        early_curves(run)
        log(run)


def early_curves(run: Run) -> None:
    """Draw the scores of the probes that are done so far; nothing before the first."""
    if not run.has(RunFile.PROBES):
        return
    st.markdown("**How well each layer knows the labels, so far**")
    points = readings(read(run, "probes"))
    alt = "Accuracy of the probes by layer, on validation texts"
    chart(layer_curves(points), "early_curves", alt=alt)


def phases(run: Run, status: Status) -> None:
    """Show the phases in order: finished, current, to come.

    The last phase exists only for recipes that tune the model. A phase that comes
    again, such as the report after the tuning, leaves those finished that were.
    """
    tunes = RECIPES[run.config.train.recipe].tunes_model
    waits = status["state"] == "queued"
    present = None if waits else status["phase"]
    reached = -1 if waits else RUN_STEPS.index(status.get("step", status["phase"]))
    failed = status["state"] in ("failed", "cancelled")
    icon = ":red[:material/close:]" if failed else ":blue[:material/play_arrow:]"
    with st.container(gap="xxsmall"):
        for place, phase in enumerate(PHASES if tunes else PHASES[:-1]):
            if phase == present:
                st.markdown(f"{icon} **{PHASE_NAMES[phase]}**")
            elif place <= reached:
                st.markdown(f":green[:material/check:] {PHASE_NAMES[phase]}")
            else:
                st.markdown(f":gray[:material/circle: {PHASE_NAMES[phase]}]")


def log(run: Run) -> None:
    """Show the end of the log of `run`."""
    with st.expander("Log", icon=":material/notes:"):
        st.code(run.log_tail() or "(empty)", language=None)


def show_failure(run: Run) -> None:
    """Show where and why a run ended early, and the button that resumes it."""
    status = run.status
    steps, why = st.columns([1, 2], gap="large")
    with steps:
        phases(run, status)
    with why:
        if status["state"] == "cancelled":
            st.warning("This run was cancelled.", icon=":material/cancel:")
        elif status["error"]:
            st.error(escape(status["error"]["message"]), icon=":material/error:")
            if status["error"]["traceback"]:
                with st.expander("Traceback", icon=":material/bug_report:"):
                    st.code(status["error"]["traceback"], language=None)
        if st.button(
            "Resume",
            icon=":material/resume:",
            help="Continues the run; activations that were already read are reused.",
        ):
            jobs.resume(run.folder)
            st.rerun()
        log(run)


_SHOWN = ("accuracy", "macro_f1", "neurons", "layers", "compute", "seconds")
"""The facts about a result that the page shows."""


def result(run: Run) -> None:
    """Show the result of a finished run, beside its baselines."""
    metrics = read(run, "metrics")
    show_verdict(run)
    found = result_of(metrics)
    facts = result_facts(found)
    shown = [name for name in _SHOWN if name != "compute" or found.compute_share < 1]
    boxes = [*st.columns(3), *st.columns(len(shown) - 3)]  # all in one would not fit
    for column, name in zip(boxes, shown, strict=False):
        with column.container(border=True, height="stretch", gap=None):
            st.metric(facts[name].label, facts[name].value)
            st.caption(facts[name].note)
    with st.container(horizontal=True):
        own = result_page(run.config.train.recipe)
        for page in dict.fromkeys((own, LAYERS, NEURONS, EXAMPLES, PREDICT)):
            label, icon = PAGES[page]
            if st.button(label, icon=icon, key=f"look_{label}"):
                go(page)
    st.subheader("Compared with its baselines", anchor=False)
    table = result_table(metrics)
    alt = "Accuracy of the classifier and of its baselines, with intervals"
    chart(result_dots(table), "baselines", alt=alt)
    bounds = zip(table["low"], table["high"], strict=True)
    columns = {
        "Classifier": table["name"],
        "Accuracy": table["accuracy"].map(percent),
        "95 % interval": [interval(pair) for pair in bounds],
        "Macro-F1": table["macro_f1"].map(percent),
        "What it is": table["detail"],
    }
    st.dataframe(columns, hide_index=True)
    show_more_rows(run)
    for name, reason in metrics.get("missing", {}).items():
        message = f"{MAY_BE_MISSING.get(name, name)} is missing: {reason}"
        st.caption(f":material/info: {escape(message)}")
    log(run)


def show_more_rows(run: Run) -> None:
    """Show the accuracy by number of rows and its forecast, if the run has them."""
    if not run.has(RunFile.LEARNING):
        return
    learning = read(run, "learning")
    st.subheader("Would more rows help?", anchor=False)
    st.markdown(" ".join(more_rows(learning)))
    chart(
        rows_curve(learning), "more_rows", alt="Accuracy by number of rows, continued"
    )
    st.caption(MORE_ROWS)
