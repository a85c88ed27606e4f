"""Runs: what is at work and what waits, the ledger of all runs, and what to do."""

from functools import partial
from typing import get_args

import streamlit as st

from stc_core.display import count, size
from stc_core.runs import jobs, queue, trash
from stc_core.runs.annotations import read_about, rename, tag
from stc_core.runs.listing import (
    ListedRun,
    RunOrder,
    line,
    matching_runs,
    ordered,
    run_table,
)
from stc_core.runs.run import Run, list_runs
from stc_core.runs.status import BUSY
from ui.cache.run_files import stamp
from ui.runs.trash import delete_button, trash_can, undo
from ui.shell import run_badge
from ui.shell.frame import any_run, empty_state
from ui.shell.live_runs import at_work
from ui.shell.messages import escape
from ui.shell.page_list import ADAPT, DATA, HIERARCHY, LAYERS, TRAIN
from ui.shell.reuse_button import reuse
from ui.shell.run_badge import badge
from ui.state.clicks import click_place
from ui.state.navigation import clicked, context, go, remember

_ORDERS = {
    "newest": "Newest first",
    "name": "Name",
    "accuracy": "Accuracy",
    "time": "Time taken",
    "disk": "Disk used",
}
ROW_PX, MOST_ROWS = 35, 14
_PARTS = ("config.json", "status.json", "about.json", "metrics.json")
WAY = {"stc": LAYERS, "variability": ADAPT, "hierarchy": HIERARCHY}


@st.cache_data(max_entries=2000, show_spinner=False)
def _line(folder: str, state: str, written: tuple[int, ...]) -> ListedRun:
    return line(Run(folder))


def lines_of(runs: list[Run]) -> list[ListedRun]:
    """Their lines in the ledger; those of ended runs are read once."""
    found = []
    for run in runs:
        state = run_badge.state(run)
        written = tuple(stamp(run.folder / part) for part in _PARTS)
        ended = state not in BUSY
        found.append(_line(str(run.folder), state, written) if ended else line(run))
    return found


def ledger(runs: list[Run]) -> None:
    """All runs: search, sort, and a click that picks one."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words = st.text_input(
            "Search",
            placeholder="words of a name, tag, recipe, model, file or state",
            icon=":material/search:",
            key="search",
        )
        by = st.selectbox(
            "Sort by",
            get_args(RunOrder),
            format_func=lambda order: _ORDERS[order],
            width=180,
            key="order",
        )
        runs_at_once()
    lines = ordered(matching_runs(lines_of(runs), words), by or "newest")
    if not lines:
        st.info("No run holds all these words. Search for fewer.")
        return
    names = [one.run for one in lines]
    here = [names.index(run) for run in [context().run] if run in names]
    places = [{"run": name} for name in names]
    key = f"runs_{hash(tuple(names))}"  # a row that was picked stays the same run
    st.dataframe(
        run_table(lines),
        hide_index=True,
        key=key,
        on_select=clicked(key, partial(click_place, places=places)),
        selection_mode="single-row",
        selection_default={"selection": {"rows": here, "columns": []}},
        height=ROW_PX * (min(len(lines), MOST_ROWS) + 1) + 3,
        column_config=_COLUMNS,
        placeholder="–",
        alt="All runs with their results",
    )
    n_bytes = sum(one.n_bytes for one in lines)
    some = f"{len(lines)} of " if len(lines) < len(runs) else ""
    st.caption(
        f"{some}{count(len(runs), 'run')}, {size(n_bytes)} on disk. "
        "Click a row to pick a run."
    )


_COLUMNS = {
    "Name": st.column_config.TextColumn(pinned=True, width=230),
    "State": st.column_config.TextColumn(width=75),
    "Accuracy": st.column_config.NumberColumn(format="%.1f %%", width=75),
    "Test texts": st.column_config.NumberColumn(format="localized"),
    "Neurons": st.column_config.NumberColumn(format="localized", width=68),
    "Layers": st.column_config.NumberColumn(format="%d", width=58),
    "Recipe": st.column_config.TextColumn(width=80),
    "Tags": st.column_config.ListColumn(width=110),
    "Seconds": st.column_config.NumberColumn(format="%.1f"),
    "Started": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", width=122),
    "Disk": st.column_config.NumberColumn(format="bytes"),
}


def runs_at_once() -> None:
    """How many may work at a time, for everyone on this machine."""

    def write() -> None:
        queue.set_places(st.session_state["places"])
        queue.advance()

    st.session_state["places"] = queue.places()
    st.number_input(
        "Runs at a time",
        1,
        64,
        key="places",
        width=140,
        on_change=write,
        disabled=queue.is_fixed(),
        help="The others wait in a queue. Set by $STC_JOBS where that is given.",
    )


def _one_run(run: Run) -> None:
    """The run picked: what it is, its tags, and what can be done with it."""
    found = line(run)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(escape(run.name), anchor=False, width="content")
            badge(run)
        facts = (found.recipe, found.backbone, found.data, found.labels)
        said = [*facts, size(found.n_bytes), f"folder {run.folder.name}"]
        st.caption(" · ".join(escape(one) for one in said if one))
        _why(run)
        if not found.recipe:  # its settings are damaged: it can only go
            delete_button(run)
            return
        with st.container(horizontal=True):
            actions(run, found)
        tags(run)
        with st.expander("Settings and log", icon=":material/notes:"):
            settings, log = st.columns(2)
            changed = run.config.model_dump_json(indent=1, exclude_defaults=True)
            settings.code(changed, language="json", wrap_lines=True)
            log.code(run.log_tail() or "(no log yet)", language=None)


def _why(run: Run) -> None:
    """Why a run ended before its end."""
    status = run.status
    if status["error"]:
        st.error(escape(status["error"]["message"]), icon=":material/error:")
    elif status["state"] == "cancelled":
        st.warning("This run was cancelled.", icon=":material/cancel:")


def actions(run: Run, found: ListedRun) -> None:
    if found.state == "done":
        if st.button("Open", type="primary", icon=":material/open_in_new:"):
            go(WAY.get(found.recipe, LAYERS))
    elif found.state in BUSY:
        if st.button("Watch", type="primary", icon=":material/visibility:"):
            go(TRAIN)
    elif st.button(
        "Resume",
        type="primary",
        icon=":material/resume:",
        help="Go on with what is there: what was read already is not read again.",
    ):
        jobs.resume(run.folder)
        st.rerun()
    with st.popover("Rename", icon=":material/edit:"):
        renaming(run)
    with st.popover("Duplicate", icon=":material/content_copy:"):
        duplicating(run)
    log = run.folder / "log.txt"
    st.download_button(
        "Log",
        data=log.read_bytes if log.is_file() else b"",
        file_name=f"{run.folder.name}.log.txt",
        icon=":material/download:",
        disabled=not log.is_file(),
        on_click="ignore",
    )
    if found.state in BUSY:
        if st.button("Cancel", icon=":material/stop_circle:", key="cancel"):
            jobs.cancel(run.folder)
            st.rerun()
    else:
        delete_button(run)


def renaming(run: Run) -> None:
    with st.form("rename", border=False):
        name = st.text_input("Name", run.name, key=f"name_{run.folder.name}")
        if st.form_submit_button("Rename", type="primary"):
            if not name.strip():
                st.error("A name cannot be empty; this run keeps its own.")
                return
            rename(run.folder, name)
            st.rerun()


def duplicating(run: Run) -> None:
    """The same data and settings again: as they are but the seed, or in the form."""
    config = run.config
    with st.form("duplicate", border=False):
        seed = st.number_input(
            "Seed", 0, value=config.train.seed + 1, key=f"seed_{run.folder.name}"
        )
        name = st.text_input(
            "Name", f"{run.name} again", key=f"again_{run.folder.name}"
        )
        if st.form_submit_button(
            "Start", type="primary", help="With every other setting as it was."
        ):
            train = config.train.changed(seed=seed)
            again = config.changed(name=name.strip(), created="", train=train)
            folder = jobs.start(again)
            remember(run=folder.name)
            st.rerun()
    reuse(run, "Choose other settings in Train", icon=":material/tune:")


def tags(run: Run) -> None:
    known = {word for one in list_runs() for word in read_about(one.folder).tags}
    key = f"tags_{run.folder.name}"
    shown = list(read_about(run.folder).tags)
    st.session_state[key] = shown

    def write() -> None:
        tag(run.folder, st.session_state[key], instead=shown)

    st.multiselect(
        "Tags",
        sorted(known),
        key=key,
        accept_new_options=True,
        placeholder="Choose tags, or type a new one",
        on_change=write,
    )


def show_page() -> None:
    """What stands below the title."""
    trash.empty_trash(older_days=trash.KEPT_DAYS)
    runs = list_runs()
    at_work(runs)
    if runs:
        ledger(runs)
    undo()  # where the button was that deleted it
    if runs:
        picked = [run for run in runs if run.folder.name == context().run]
        _one_run(picked[0] if picked else any_run())
    trash_can()
    if not runs:
        empty_state(
            "No run yet",
            "Train a classifier first; the sample takes less than a minute.",
            page=DATA,
            label="Choose data",
        )
