"""Train: settings and their plan, a worker's progress, the result and its baselines."""

from itertools import chain
from itertools import count as count_from
from pathlib import Path

import streamlit as st

from stc_core.backbone.loading.hub import cached_names
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.data.columns import free_columns
from stc_core.errors import StcError
from stc_core.runs import jobs
from stc_core.runs.run import list_runs
from ui.cache.plans import check_backbone, is_here
from ui.cache.tables import choice, corpus_of, head
from ui.shell.frame import any_run, empty_state, is_guessed
from ui.shell.messages import escape
from ui.shell.page_list import (
    DATA,
    PAGES,
)
from ui.shell.reuse_button import reuse
from ui.state.navigation import context, link, remember
from ui.train import settings
from ui.train.estimate import expected, refusal, show_refusal
from ui.train.progress import result, show_failure, watch

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
        check_backbone(name)
    except StcError as error:
        return name, error
    if not is_here(name):
        st.caption(":material/download: Not on this machine: it is downloaded first.")
    return name, None


def new_run(data: DataConfig) -> None:
    errors = corpus_of(data).report.errors
    if errors:
        st.error(escape(errors[0].message), icon=":material/error:")
        link(DATA, "Mend the data", icon=PAGES[DATA][1])
        return
    # The plan is polled for: its place must not move while fields come and go.
    form, box = st.container(), st.container(border=True)
    try:
        with form:
            asked = filled(data)
    except StcError as error:
        asked = settings.in_words(error)
    with box:
        _begin(asked)


def filled(data: DataConfig) -> RunConfig:
    """The run that the fields ask for; StcError, once all are drawn, if none is."""
    labels = " › ".join(data.labels)
    st.markdown(
        f"{TABLE} **{escape(Path(data.path).name)}** · text "
        f"*{escape(str(data.text))}* · label *{escape(labels)}*"
    )
    free = free_columns(map(str, head(Path(data.path), data.encoding).columns), data)
    left, right = st.columns(2, gap="large")
    with left:
        name, fault = backbone()
        stem = Path(data.path).name.partition(".")[0]
        default = unused(f"{data.labels[-1]} · {stem}")  # the sidebar cuts the end off
        given = st.text_input("Name of the run", placeholder=default, key="name")
    with right:
        method = settings.method(len(data.labels), more=bool(free))
    if method == "hierarchy" and fault is None:
        data = settings.written(data, free, name)
    own = settings.of_method(method, data)
    with st.expander("Settings", icon=":material/tune:"):
        chosen = settings.settings(method)
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
            f"*{escape(data.labels[0])}* is one level of labels. A hierarchy needs "
            "two to four, chosen on *Data*, or a reply that a decoder writes after it."
        )
    errors = corpus_of(data).report.errors
    return escape(errors[0].message) if errors else None


def _begin(asked: RunConfig | StcError) -> None:
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
        remember(run=folder.name)
        st.rerun()
    with facts:  # last, so that nobody has to wait for it
        if refused is not None:
            show_refusal(refused)
        elif why is not None:
            st.info(why, icon=":material/info:")
        elif isinstance(asked, RunConfig):
            expected(asked)


def _one_run() -> None:
    run = any_run()
    st.subheader(escape(run.name), anchor=False)
    state = run.status["state"]
    if state in jobs.BUSY:
        watch(run)
    elif state == "done":
        result(run)
    else:
        show_failure(run)


def _view() -> str:
    """New run or the one in the context: what the way here asks for."""
    wanted = st.session_state.pop("_train_view", None)
    if wanted is None and "train_view" not in st.session_state:
        asked = context().run is not None and not is_guessed()
        unfinished = asked and not any_run().done
        wanted = WATCH if unfinished or context().data is None else NEW
        wanted = NEW if context().run is None else wanted
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
            if run.folder.name == context().run:
                label = f"Use the table of {escape(run.name)}"
                reuse(run, label, icon=TABLE)

    empty_state(
        "No data yet",
        "Choose the table to learn from first.",
        page=DATA,
        label="Choose data",
        more=again,
    )


def show_page() -> None:
    """What stands below the title."""
    if _view() == WATCH:
        _one_run()
    elif context().data is None:
        no_data()
    else:
        new_run(choice(str(context().data)))
