"""The parts that all pages share: sidebar, run picker, title, and empty states."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from time import monotonic, sleep

import streamlit as st
from streamlit.components.v2 import component

from stc_core.display import distinct_titles
from stc_core.errors import StcError
from stc_core.export.example_run import open_example
from stc_core.memory import spare_objects
from stc_core.paths import runs_folder
from stc_core.runs.layout import RunFile
from stc_core.runs.processes.queue import advance
from stc_core.runs.run import Run, list_runs
from stc_core.runs.run_summary import run_title
from ui.cache.ahead import import_ahead
from ui.cache.run_files import summary_of
from ui.shell.breadcrumbs import copy_link, is_inside, show_breadcrumbs
from ui.shell.live_runs import rerun_on_change
from ui.shell.login import draw_account, require_user
from ui.shell.messages import escape, show_error
from ui.shell.page_list import DATA, OF_A_RUN, PAGES, PREDICT, TRAIN
from ui.shell.run_badge import state
from ui.shell.sidebar import draw_sidebar
from ui.shell.terms import terms_of
from ui.state.navigation import context, follow_url, link, pick, remember, set_context
from ui.state.stale_events import begin_page

_HERE = Path(__file__).parent
_STYLED = "_styled"
_KEY = "page_style_of_window"
_LONGEST_S, _STEP_S = 2.0, 0.02
"""A browser that has not answered within this time gets the page all the same."""

_mount = component(
    "stc_page_style",
    html="<span></span>",
    js=(_HERE / "page_style.js").read_text("utf-8"),
    isolate_styles=False,
)
_GUESS = "_guessed_run"
_SIDEBAR_PX, _PICKER_PX = 220, 230
_PICKER_HEIGHT = 40
"""The height of the run picker: below nothing moves when it gets its options."""


def frame(title: str, icon: str, *, caption: str | None = None) -> None:
    """Start a page: set its options, read the URL, draw the sidebar and the bar."""
    st.set_page_config(
        page_title=f"{title} · STC Studio",
        page_icon="🔬",
        layout="wide",
        initial_sidebar_state=_SIDEBAR_PX,
    )
    _style_page()
    spare_objects()
    begin_page()
    try:
        who = require_user()
        advance()
    except StcError as error:
        show_error(error)
        st.stop()
    follow_url()
    runs = _known_runs()
    picked = runs.get(str(context().run))
    with st.sidebar:
        rerun_on_change(list(runs.values()))
        draw_sidebar(runs, picked)
        if who is not None:
            draw_account(who)
    _bar(title, icon, caption, runs, picked)
    import_ahead()


def _style_page() -> None:
    """Give the browser the style of the pages; once a session, wait until it has it.

    The browser would else draw a part of the page first, and then move it up by 51
    pixels. It answers by a rerun, which ends the wait. Meanwhile it loads the code of
    two kinds of element, which would else have another height until it has come.
    """
    asks = st.context.url is not None and _STYLED not in st.session_state
    data = {"style": _style(), "asks": asks}
    with st.container(key="page_style"):
        _mount(key=_KEY, data=data, on_styled_change=_note)
        if asks:
            _load_code()
            _await_answer()
    _note()


def _load_code() -> None:
    """Draw an element of each of these kinds where nobody sees it."""
    with st.container(height=1, border=False):
        st.html("<i></i>")
        st.segmented_control(
            "No choice", ("",), key=f"{_KEY}_choice", label_visibility="collapsed"
        )


def _note() -> None:
    st.session_state[_STYLED] = True


def _await_answer() -> None:
    """Wait for the rerun of the browser, which each `empty` lets through."""
    place, end = st.empty(), monotonic() + _LONGEST_S
    while monotonic() < end:
        sleep(_STEP_S)
        place.empty()


@cache
def _style() -> str:
    return (_HERE / "page.css").read_text("utf-8")


def _bar(
    title: str,
    icon: str,
    caption: str | None,
    runs: Mapping[str, Run],
    picked: Run | None,
) -> None:
    """Draw title, caption, run picker and the link of the view in one line.

    The caption makes room for the path to the place in the run, if there is one.
    """
    shows_run = title in {PAGES[page][0] for page in OF_A_RUN}
    bar = st.container(
        horizontal=True, vertical_alignment="center", wrap=False, key="page_bar"
    )
    with bar:
        words = terms_of(title)
        st.title(f"{icon} {title}", anchor=False, width="content", help=words)
        if shows_run and picked is not None and picked.done and is_inside():
            show_breadcrumbs(picked)
        else:
            st.caption(caption or "", width="stretch")
        if runs:
            titles = distinct_titles(
                {name: run_title(summary_of(run)) for name, run in runs.items()}
            )
            with st.container(width=_PICKER_PX, height=_PICKER_HEIGHT, border=False):
                pick(
                    "run",
                    "Run",
                    list(runs),
                    format_func=lambda name: titles[name],
                    label_visibility="collapsed",
                )
            if shows_run:
                copy_link()


def _known_runs() -> dict[str, Run]:
    """The runs by folder name, newest first.

    If the context names no run, it gets the newest finished one, else the newest one.
    The example is taken only if there is no other.
    """
    runs = {run.folder.name: run for run in list_runs()}
    if context().run is None and runs:
        own = [name for name, run in runs.items() if not run.is_example] or list(runs)
        guess = next((name for name in own if state(runs[name]) == "done"), own[0])
        st.session_state[_GUESS] = guess
        set_context(context().moved(run=guess))
    return runs


def is_guessed() -> bool:
    """True if the app chose the run of the context, and no link or click did."""
    return st.session_state.get(_GUESS) == context().run


def empty_state(
    title: str,
    text: str,
    *,
    page: str,
    label: str,
    more: Callable[[], None] | None = None,
) -> None:
    """Draw a message, `more`, and a link to the next step; then stop the page."""
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.subheader(title, anchor=False, text_alignment="center")
        st.markdown(text, text_alignment="center")
        if more:
            more()
        link(page, label, icon=PAGES[page][1])
        st.space("small")
    st.stop()


def example_button() -> None:
    """Draw the button that opens the example run on this page."""
    if st.button("Look at the example", icon=":material/science:"):
        remember(run=open_example().folder.name)
        st.rerun()


def any_run() -> Run:
    """The run that the context names, in any state.

    If there is no such run, the page says so and stops.
    """
    name = context().run
    if name is None:
        empty_state(
            "No run yet",
            "Train a classifier first: the sample takes less than a minute.",
            page=DATA,
            label="Choose data",
            more=example_button,
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
            newest = min(others, key=lambda run: run.is_example)  # the first of equals
            st.button(
                f"Open the newest run: {escape(newest.name)}",
                icon=":material/history:",
                on_click=lambda: remember(run=newest.folder.name),
            )
        st.stop()
    raise AssertionError("st.stop ends the page")


def pick_run(*, texts: bool = False) -> Run:
    """The finished run that the context names.

    If there is no such run, the page says so and stops. If the run is not finished,
    the page shows its state with a link to its progress, and stops. A page that shows
    `texts` of the run also stops if the run was uploaded without them.
    """
    run = any_run()
    status = state(run)
    if status in ("queued", "running"):
        empty_state(
            "Still training",
            f"**{escape(run.name)}** is {status}. This page opens when it is done.",
            page=TRAIN,
            label="Watch the progress",
        )
    if status != "done":
        empty_state(
            f"This run {'was cancelled' if status == 'cancelled' else 'failed'}",
            "It has no results. Choose another run above, or see what happened.",
            page=TRAIN,
            label="See what happened",
        )
    if texts and not run.has(RunFile.CORPUS):
        empty_state(
            "This run came without its texts",
            f"**{escape(run.name)}** was packed without the texts of its training, "
            "which this page shows. Whoever has the run can pack it with them.",
            page=PREDICT,
            label="Label other texts",
        )
    return run


def _folder_of(name: str) -> Path:
    """The folder of the run called `name`, always inside the runs folder."""
    plain = Path(name).name == name and not name.startswith(".")
    if not plain or not (runs_folder() / name).is_dir():
        raise StcError(
            f"There is no run {name!r} here",
            remedy="It may have been removed. Choose another run above.",
        )
    return runs_folder() / name
