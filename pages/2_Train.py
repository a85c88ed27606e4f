"""Train: settings and their plan, a worker's progress, the result and its baselines."""

import time
from itertools import chain
from itertools import count as count_from
from pathlib import Path
from typing import Any

import streamlit as st

import ui
from stc_core import jobs
from stc_core.columns import free_columns
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.figures_data import BASELINES, result_dots, result_table
from stc_core.hub import cached_names
from stc_core.run import Run, list_runs
from stc_core.status import PHASE_NAMES, PHASES, Status
from stc_core.wording import count
from ui import choices
from ui.estimates import expected, refusal, show_refusal

NEW, WATCH = "New run", "Progress and result"
TABLE = ":material/table_view:"


def backbone() -> tuple[str, StcError | None]:
    """The name that is chosen, and what is wrong with it, if anything."""
    name = st.selectbox(
        "Language model",
        cached_names(),
        accept_new_options=True,
        help="One that is here, or type a Hugging Face id or the path of a folder.",
        key="backbone",
    )
    try:
        ui.check_backbone(name)
    except StcError as error:
        return name, error
    if not ui.is_here(name):
        st.caption(":material/download: Not on this machine: it is downloaded first.")
    return name, None


def new_run(data: DataConfig) -> None:
    errors = ui.corpus_of(data).report.errors
    if errors:
        st.error(ui.escape(errors[0].message), icon=":material/error:")
        ui.link(ui.DATA, "Mend the data", icon=ui.PAGES[ui.DATA][1])
        return
    # The plan is polled for: its place must not move while fields come and go.
    form, box = st.container(), st.container(border=True)
    try:
        with form:
            asked = filled(data)
    except StcError as error:
        asked = choices.in_words(error)
    with box:
        begin(asked)


def filled(data: DataConfig) -> RunConfig:
    """The run that the fields ask for; StcError, once all are drawn, if none is."""
    labels = " › ".join(data.labels)
    st.markdown(
        f"{TABLE} **{ui.escape(Path(data.path).name)}** · text "
        f"*{ui.escape(str(data.text))}* · label *{ui.escape(labels)}*"
    )
    free = free_columns(map(str, ui.head(Path(data.path), data.encoding).columns), data)
    left, right = st.columns(2, gap="large")
    with left:
        name, fault = backbone()
        stem = Path(data.path).name.partition(".")[0]
        default = unused(f"{data.labels[-1]} · {stem}")  # the sidebar cuts the end off
        given = st.text_input("Name of the run", placeholder=default, key="name")
    with right:
        method = choices.method(len(data.labels), more=bool(free))
    if method == "hierarchy" and fault is None:
        data = choices.written(data, free, name)
    own = choices.of_method(method, data)
    with st.expander("Settings", icon=":material/tune:"):
        chosen = choices.settings(method)
    if fault is not None:
        raise fault
    train = TrainConfig.model_validate({"backbone": name, **own, **chosen})
    return RunConfig(name=given.strip() or default, data=data, train=train)


def unused(name: str) -> str:
    """The name, with a number where a run has it."""
    taken = {run.name for run in list_runs()}
    names = chain([name], (f"{name} {n}" for n in count_from(2)))
    return next(one for one in names if one not in taken)


def wanting(config: RunConfig) -> str | None:
    """What is in the way of the start, if anything."""
    data = config.data
    if config.train.recipe == "hierarchy" and len(data.parts) < 2:
        return (
            f"*{ui.escape(data.labels[0])}* is one level of labels. A hierarchy needs "
            "two to four, chosen on *Data*, or a reply that a decoder writes after it."
        )
    errors = ui.corpus_of(data).report.errors
    return ui.escape(errors[0].message) if errors else None


def begin(asked: RunConfig | StcError) -> None:
    """What the run will take, and its start; or why it cannot be started."""
    refused = asked if isinstance(asked, StcError) else None
    why = None if isinstance(asked, StcError) else wanting(asked)
    if isinstance(asked, RunConfig) and why is None:
        refused = refusal(asked)
    # A reason is seen whole.
    facts = st.container(height="content" if refused else 88, border=False)
    if st.button(
        "Start training",
        type="primary",
        icon=":material/play_arrow:",
        disabled=bool(why or refused),
        key="start",
    ) and isinstance(asked, RunConfig):
        folder = jobs.start(asked)
        st.session_state["_train_view"] = WATCH
        ui.remember(run=folder.name)
        st.rerun()
    with facts:  # last, so that nobody has to wait for it
        if refused is not None:
            show_refusal(refused)
        elif why is not None:
            st.info(why, icon=":material/info:")
        elif isinstance(asked, RunConfig):
            expected(asked)


@st.fragment(run_every=1.0)
def watch(run: Run) -> None:
    """The progress of a run; polls while it works, then hands over to the result."""
    status = run.status
    if status["state"] not in jobs.BUSY:
        st.rerun()
    steps, now = st.columns([1, 2], gap="large")
    with steps:
        phases(run, status)
    with now:
        total = status["total"]
        with st.container(border=True):
            st.progress(status["done"] / total if total else 0.0, text=ui.doing(run))
            if status["state"] == "running":
                passed = ui.duration(max(time.time() - status["started"], 0))
                said = [f"Running for {passed}", ui.escape(status["message"])]
                st.caption(" · ".join(filter(None, said)))
            if st.button("Cancel", icon=":material/stop_circle:", key="cancel"):
                jobs.cancel(run.folder)
                st.rerun()
        log(run)
        st.caption("You can close this tab: the work goes on in its own process.")


def phases(run: Run, status: Status) -> None:
    """The phases in order: those behind, the present one, those ahead.

    The last one is of recipes that tune the model.
    """
    tunes = run.config.train.recipe != "stc"
    present = PHASES.index(status["phase"])
    failed = status["state"] in ("failed", "cancelled")
    here = ":red[:material/close:]" if failed else ":blue[:material/play_arrow:]"
    with st.container(gap="xxsmall"):
        for place, phase in enumerate(PHASES if tunes else PHASES[:-1]):
            if place < present:
                st.markdown(f":green[:material/check:] {PHASE_NAMES[phase]}")
            elif place == present:
                st.markdown(f"{here} **{PHASE_NAMES[phase]}**")
            else:
                st.markdown(f":gray[:material/circle: {PHASE_NAMES[phase]}]")


def log(run: Run) -> None:
    with st.expander("Log", icon=":material/notes:"):
        st.code(run.log_tail() or "(empty)", language=None)


def failed(run: Run) -> None:
    status = run.status
    steps, why = st.columns([1, 2], gap="large")
    with steps:
        phases(run, status)
    with why:
        if status["state"] == "cancelled":
            st.warning("This run was cancelled.", icon=":material/cancel:")
        elif status["error"]:
            st.error(ui.escape(status["error"]["message"]), icon=":material/error:")
            if status["error"]["traceback"]:
                with st.expander("Traceback", icon=":material/bug_report:"):
                    st.code(status["error"]["traceback"], language=None)
        if st.button(
            "Resume",
            icon=":material/resume:",
            help="Go on with what is there: what was read already is not read again.",
        ):
            jobs.resume(run.folder)
            st.rerun()
        log(run)


def result(run: Run) -> None:
    metrics = ui.read(run, "metrics")
    columns = [*st.columns(3), *st.columns(3)]  # six in a row would be cut off
    for column, fact in zip(columns, headline(metrics), strict=True):
        label, value, note = fact
        with column.container(border=True, height="stretch", gap=None):
            st.metric(label, value)
            st.caption(note)
    with st.container(horizontal=True):
        levels = (ui.HIERARCHY,) if "hierarchy" in metrics else ()
        for page in (*levels, ui.LAYERS, ui.NEURONS, ui.EXAMPLES, ui.PREDICT):
            label, icon = ui.PAGES[page]
            if st.button(label, icon=icon, key=f"look_{label}"):
                ui.go(page)
    st.subheader("Beside its baselines", anchor=False)
    table = result_table(metrics)
    alt = "Accuracy of the classifier and of its baselines, with intervals"
    ui.chart(result_dots(table), "baselines", alt=alt)
    bounds = zip(table["low"], table["high"], strict=True)
    shown = {
        "Classifier": table["name"],
        "Accuracy": table["accuracy"].map(ui.percent),
        "95 % interval": [ui.interval(pair) for pair in bounds],
        "Macro-F1": table["macro_f1"].map(ui.percent),
        "What it is": table["detail"],
    }
    st.dataframe(shown, hide_index=True)
    for name, why in metrics.get("missing", {}).items():
        said = f"{BASELINES.get(name) or name} is missing: {why}"
        st.caption(f":material/info: {ui.escape(said)}")
    log(run)


def headline(metrics: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The result in six facts: name, value, and what it is held against."""
    test, neurons, layers = metrics["test"], metrics["neurons"], metrics["layers"]
    cost = metrics["cost"]
    saved = 1 - cost["flops_per_token"] / cost["flops_per_token_total"]
    return [
        (
            "Test accuracy",
            ui.percent(test["accuracy"]),
            f"{ui.interval(test['accuracy_interval'])}, {count(test['n'], 'text')}",
        ),
        (
            "Macro-F1",
            ui.percent(test["macro_f1"]),
            ui.interval(test["macro_f1_interval"]),
        ),
        ("Neurons kept", f"{neurons['selected']:,}", f"of {neurons['total']:,}"),
        ("Layers read", f"{layers['used']}", f"of {layers['total']}"),
        ("Compute saved", ui.percent(saved), "against the whole model"),
        ("Time", ui.duration(metrics["seconds"]["total"]), "from start to report"),
    ]


def one_run() -> None:
    run = ui.any_run()
    st.subheader(ui.escape(run.name), anchor=False)
    state = run.status["state"]
    if state in jobs.BUSY:
        watch(run)
    elif state == "done":
        result(run)
    else:
        failed(run)


def view() -> str:
    """New run or the one in the context: what the way here asks for."""
    wanted = st.session_state.pop("_train_view", None)
    if wanted is None and "train_view" not in st.session_state:
        asked = ui.context().run is not None and not ui.is_guessed()
        unfinished = asked and not ui.any_run().done
        wanted = WATCH if unfinished or ui.context().data is None else NEW
        wanted = NEW if ui.context().run is None else wanted
    if wanted:
        st.session_state["train_view"] = wanted
    st.segmented_control(
        "View",
        (NEW, WATCH),
        required=True,
        key="train_view",
        label_visibility="collapsed",
    )
    return st.session_state["train_view"]


def no_data() -> None:
    """No table is chosen: that of the run which is looked at is at hand."""

    def again() -> None:
        for run in list_runs():
            if run.folder.name == ui.context().run:
                label = f"Use the table of {ui.escape(run.name)}"
                ui.reuse(run, label, icon=TABLE)

    ui.empty(
        "No data yet",
        "Choose the table to learn from first.",
        page=ui.DATA,
        label="Choose data",
        more=again,
    )


ui.frame("Train", ":material/model_training:")
with ui.guard():
    if view() == WATCH:
        one_run()
    elif ui.context().data is None:
        no_data()
    else:
        new_run(ui.choice(str(ui.context().data)))
