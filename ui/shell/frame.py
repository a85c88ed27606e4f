"""The frame of every page: sidebar, run picker, title, and the empty states."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from stc_core.display import distinct_titles
from stc_core.errors import StcError
from stc_core.memory import spare_objects
from stc_core.paths import runs_folder
from stc_core.runs.queue import advance
from stc_core.runs.run import Run, list_runs
from ui.shell.breadcrumbs import trail
from ui.shell.live_runs import follow
from ui.shell.messages import escape, show_error
from ui.shell.page_list import DATA, PAGES, TRAIN
from ui.shell.run_badge import headline, state
from ui.state.navigation import context, follow_url, hold, link, pick, remember
from ui.state.stale_events import begin

_GUESS = "_guessed_run"


def frame(title: str, icon: str, *, caption: str | None = None) -> None:
    """Open a page: its settings, the context from the URL, sidebar and title."""
    st.set_page_config(
        page_title=f"{title} · STC Studio",
        page_icon="🔬",
        layout="wide",
        initial_sidebar_state="expanded",
    )
    spare_objects()
    begin()
    try:
        advance()
    except StcError as error:
        show_error(error)
        st.stop()
    follow_url()
    with st.sidebar:
        st.markdown("### :material/biotech: STC Studio")
        runs = _known_runs()
        follow(list(runs.values()))
        for page, (label, page_icon) in PAGES.items():
            link(page, label, icon=page_icon)
        if runs:
            st.space("xsmall")
            titles = distinct_titles({name: _title(run) for name, run in runs.items()})
            pick("run", "Run", list(runs), format_func=lambda name: titles[name])
        st.caption(f"Runs are kept in `{runs_folder()}`")
    st.title(f"{icon} {title}")
    if caption:
        st.caption(caption)


def _known_runs() -> dict[str, Run]:
    """The runs by name, newest first; the context is given one where it has none."""
    runs = {run.folder.name: run for run in list_runs()}
    if context().run is None and runs:
        done = (name for name, run in runs.items() if state(run) == "done")
        guess = next(done, next(iter(runs)))
        st.session_state[_GUESS] = guess
        hold(context().moved(run=guess))
    return runs


def is_guessed() -> bool:
    """True if no link and no click named the run of the context."""
    return st.session_state.get(_GUESS) == context().run


def _title(run: Run) -> str:
    said = state(run)
    return f"{headline(run)[0] if said == 'done' else said} · {run.name}"


def empty_state(
    title: str,
    text: str,
    *,
    page: str,
    label: str,
    more: Callable[[], None] | None = None,
) -> None:
    """An empty state with the thing to do next, after `more`; the page stops here."""
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.subheader(title, anchor=False, text_alignment="center")
        st.markdown(text, text_alignment="center")
        if more:
            more()
        link(page, label, icon=PAGES[page][1])
        st.space("small")
    st.stop()


def any_run() -> Run:
    """The run that the context names, in any state; without one the page stops."""
    name = context().run
    if name is None:
        empty_state(
            "No run yet",
            "Train a classifier first; the sample takes less than a minute.",
            page=DATA,
            label="Choose data",
        )
    try:
        return Run.open(_folder_of(str(name)))
    except StcError as error:
        show_error(error)
        others = [
            run
            for run in list_runs()
            if state(run) == "done" and run.folder.name != name
        ]
        if others:
            newest = others[0]
            st.button(
                f"Open the newest: {escape(newest.name)}",
                icon=":material/history:",
                on_click=lambda: remember(run=newest.folder.name),
            )
        st.stop()
    raise AssertionError("st.stop ends the page")


def pick_run() -> Run:
    """The finished run that the context names, and where in it one is.

    Without one the page says so and stops. A run that is not finished shows its
    state and the way to watch it.
    """
    run = any_run()
    said = state(run)
    if said in ("queued", "running"):
        empty_state(
            "Still training",
            f"**{escape(run.name)}** is {said}. This page opens when it is done.",
            page=TRAIN,
            label="Watch the progress",
        )
    if said != "done":
        empty_state(
            f"This run {'was cancelled' if said == 'cancelled' else 'failed'}",
            "It has no results to look at. Choose another run on the left, or see why.",
            page=TRAIN,
            label="See what happened",
        )
    trail(run)
    return run


def _folder_of(name: str) -> Path:
    """The folder of the run called `name`; a name never leaves the runs folder."""
    plain = Path(name).name == name and not name.startswith(".")
    if not plain or not (runs_folder() / name).is_dir():
        raise StcError(
            f"There is no run {name!r} here",
            remedy="It may have been removed. Choose another one on the left.",
        )
    return runs_folder() / name
