"""Train: the settings, the plan, the progress, and the result beside its baselines."""

from functools import partial
from itertools import chain
from itertools import count as count_from
from pathlib import Path

import streamlit as st

from stc_core.backbone.loading.hub import cached_names
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.data.columns import free_columns
from stc_core.engine.settings import EngineConfig
from stc_core.errors import StcError
from stc_core.recipe_table import RECIPES
from stc_core.runs.processes import jobs
from stc_core.runs.run import list_runs
from ui.cache.plans import check_backbone, is_local
from ui.cache.tables import choice, corpus_of, head, unfit_model
from ui.shell.frame import any_run, empty_state, is_guessed
from ui.shell.job_progress import watch
from ui.shell.messages import escape
from ui.shell.page_list import (
    DATA,
    PAGES,
)
from ui.shell.reuse_button import reuse_button
from ui.state.navigation import context, link, remember
from ui.train import settings
from ui.train.engine_fields import engine_fields
from ui.train.estimate import foretold_seconds, refusal, show_estimate, show_refusal
from ui.train.progress import result, show_active, show_failure
from ui.train.suggestions import suggestions

NEW, WATCH = "New run", "Progress and result"
TABLE = ":material/table_view:"


def backbone() -> tuple[str, StcError | None]:
    """Draw the choice of the language model; return its name and its error, if any."""
    name = st.selectbox(
        "Language model",
        cached_names(),
        accept_new_options=True,
        help="Choose a model on this machine, or type a Hugging Face id or the path of "
        "a folder.",
        key="backbone",
    )
    suggestions(str(name))
    try:
        check_backbone(name)
    except StcError as error:
        return name, error
    if not is_local(name):
        st.caption(":material/download: This model will be downloaded first.")
    return name, None


def new_run(data: DataConfig) -> None:
    """Draw the form of a new run on `data`, or the error of `data` that prevents it."""
    errors = corpus_of(data).report.errors
    if errors:
        st.error(escape(errors[0].message), icon=":material/error:")
        link(DATA, "Mend the data", icon=PAGES[DATA][1])
        return
    # The estimate comes later, so its box must stay in place while fields change.
    form, box = st.container(), st.container(border=True)
    engine = None
    try:
        with form:
            request, engine = fill_form(data)
    except StcError as error:
        request = settings.with_form_labels(error)
    with box:
        _begin(request, engine)


def fill_form(data: DataConfig) -> tuple[RunConfig, EngineConfig | None]:
    """Draw the form; return the run that it describes, and the engine, if any.

    Raises StcError after all fields are drawn, if the settings are not valid.
    """
    labels = " › ".join(corpus_of(data).columns.labels)
    st.markdown(
        f"{TABLE} **{escape(Path(data.path).name)}** · text "
        f"*{escape(str(data.text))}* · label *{escape(labels)}*"
    )
    free = free_columns(map(str, head(Path(data.path), data.encoding).columns), data)
    left, right = st.columns(2, gap="large")
    with left:
        name, fault = backbone()
        misfit = st.container()  # filled last: the first look at a language takes 2 s
        stem = Path(data.path).name.partition(".")[0]
        default = unused_name(
            f"{data.labels[-1]} · {stem}"
        )  # the sidebar cuts off the end
        typed = st.text_input("Name of the run", placeholder=default, key="name")
    with right:
        method = settings.method(corpus_of(data), more=bool(free))
    if method == "hierarchy" and fault is None:
        data = settings.choose_written(data, free, name)
    own = settings.method_fields(method, data)
    with st.expander("Settings", icon=":material/tune:"):
        chosen = settings.settings(method)
        engine = engine_fields()
    if unfit := unfit_model(data, name):
        misfit.warning(escape(unfit.message), icon=":material/translate:")
    if fault is not None:
        raise fault
    train = TrainConfig.model_validate({"backbone": name, **own, **chosen})
    config = RunConfig(name=typed.strip() or default, data=data, train=train)
    return config, engine


def unused_name(name: str) -> str:
    """`name`, with a number added if a run already has this name."""
    taken = {run.name for run in list_runs()}
    names = chain([name], (f"{name} {n}" for n in count_from(2)))
    return next(free for free in names if free not in taken)


def obstacle_of(config: RunConfig) -> str | None:
    """The reason why `config` cannot start, as Markdown; None if it can."""
    data = config.data
    recipe = config.train.recipe
    columns = corpus_of(data).columns
    n_parts = len(columns.labels) + len(columns.written)
    if RECIPES[recipe].levels and n_parts < 2:
        return (
            f"*{escape(data.labels[0])}* is only one level of labels. The method "
            f"{recipe} needs two to four levels, which you choose on *Data*, or a "
            "reply that a decoder writes after the label."
        )
    errors = corpus_of(data).report.errors
    return escape(errors[0].message) if errors else None


def _begin(request: RunConfig | StcError, engine: EngineConfig | None) -> None:
    """Show the estimate and the start button, or why the run cannot be started."""
    error = request if isinstance(request, StcError) else None
    reason = None if isinstance(request, StcError) else obstacle_of(request)
    if isinstance(request, RunConfig) and reason is None:
        error = refusal(request)
    # A reason may be long, so its container has no fixed height.
    facts = st.container(height="content" if error else 88, border=False)
    if st.button(
        "Start training",
        type="primary",
        icon=":material/play_arrow:",
        disabled=bool(reason or error),
        key="start",
    ) and isinstance(request, RunConfig):
        given = engine and engine.model_dump(exclude_defaults=True)
        folder = jobs.start(request, expected=foretold_seconds(request), engine=given)
        st.session_state["_train_view"] = WATCH
        remember(run=folder.name)
        st.rerun()
    with facts:  # drawn last, because it may take long
        if error is not None:
            show_refusal(error)
        elif reason is not None:
            st.info(reason, icon=":material/info:")
        elif isinstance(request, RunConfig):
            show_estimate(request)


def _one_run() -> None:
    run = any_run()
    st.subheader(escape(run.name), anchor=False)
    state = run.status["state"]
    if state in jobs.BUSY:
        watch(lambda: run.status, partial(show_active, run))
    elif state == "done":
        result(run)
    else:
        show_failure(run)


def _view() -> str:
    """Draw the choice between a new run and the run of the context; return it.

    At first, an unfinished run that a link or a click named is shown.
    """
    wanted = st.session_state.pop("_train_view", None)
    if wanted is None and "train_view" not in st.session_state:
        is_named = context().run is not None and not is_guessed()
        unfinished = is_named and not any_run().done
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
    """Say that no table is chosen, and offer the table of the current run."""

    def offer_table() -> None:
        for run in list_runs():
            if run.folder.name == context().run:
                label = f"Use the table of {escape(run.name)}"
                reuse_button(run, label, icon=TABLE)

    empty_state(
        "No data yet",
        "Choose the table to train on first.",
        page=DATA,
        label="Choose data",
        more=offer_table,
    )


def show_page() -> None:
    """Draw the page below its title."""
    if _view() == WATCH:
        _one_run()
    elif context().data is None:
        no_data()
    else:
        new_run(choice(str(context().data)))
