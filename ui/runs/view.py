"""Runs: the active and waiting runs, the list of all runs, and actions on one."""

from functools import partial
from typing import get_args

import streamlit as st

from stc_core.display import count, size
from stc_core.runs import trash
from stc_core.runs.annotations import read_about, rename, tag
from stc_core.runs.layout import RunFile
from stc_core.runs.listing import RunOrder, matching_runs, run_table, sort_runs
from stc_core.runs.processes import jobs, queue
from stc_core.runs.run import Run, list_runs
from stc_core.runs.run_summary import RunSummary, settings_line
from stc_core.runs.status import BUSY
from ui.cache.run_files import summary_of
from ui.runs.bundles import download_form, upload_form
from ui.runs.trash import delete_button, trash_can, undo_delete
from ui.shell.downloads import report_button
from ui.shell.frame import any_run, empty_state, example_button
from ui.shell.live_runs import show_active_runs
from ui.shell.messages import escape
from ui.shell.page_list import DATA, TRAIN, result_page
from ui.shell.reuse_button import reuse_button
from ui.shell.run_badge import badge
from ui.state.account import is_owner
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


def draw_runs(runs: list[Run]) -> None:
    """Draw the list of all runs with search and sorting; a click picks a run."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        words, by = _search_and_order()
        places_field()
    lines = [summary_of(run, measure=True) for run in runs]
    lines = sort_runs(matching_runs(lines, words), by)
    if not lines:
        st.info("No run contains all these words. Search for fewer words.")
        return
    names = [line.run for line in lines]
    picked = [names.index(run) for run in [context().run] if run in names]
    places = [{"run": name} for name in names]
    # The key depends on the rows, so that a picked row always means the same run.
    key = f"runs_{hash(tuple(names))}"
    st.dataframe(
        run_table(lines),
        hide_index=True,
        key=key,
        on_select=clicked(key, partial(click_place, places=places)),
        selection_mode="single-row",
        selection_default={"selection": {"rows": picked, "columns": []}},
        height=ROW_PX * (min(len(lines), MOST_ROWS) + 1) + 3,
        column_config=_COLUMNS,
        placeholder="–",
        alt="All runs with their results",
    )
    n_bytes = sum(line.n_bytes or 0 for line in lines)
    part = f"{len(lines)} of " if len(lines) < len(runs) else ""
    st.caption(
        f"{part}{count(len(runs), 'run')}, {size(n_bytes)} on disk. "
        "Click a row to pick a run."
    )


def _search_and_order() -> tuple[str, RunOrder]:
    """The words that are searched for, and the order of the list."""
    words = st.text_input(
        "Search",
        placeholder="words of a name, tag, method, model, file or state",
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
    return words, by or "newest"


_COLUMNS = {
    "Name": st.column_config.TextColumn(pinned=True, width=230),
    "State": st.column_config.TextColumn(width=75),
    "Accuracy": st.column_config.NumberColumn(format="%.1f %%", width=75),
    "Test texts": st.column_config.NumberColumn(format="localized"),
    "Neurons": st.column_config.NumberColumn(format="localized", width=68),
    "Layers": st.column_config.NumberColumn(format="%d", width=58),
    "Method": st.column_config.TextColumn(width=80),
    "Tags": st.column_config.ListColumn(width=110),
    "Seconds": st.column_config.NumberColumn(format="%.1f"),
    "Started": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", width=122),
    "Disk": st.column_config.NumberColumn(format="bytes"),
}


def places_field() -> None:
    """Draw the number of runs that may be active at a time on this machine."""

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
        disabled=queue.is_fixed() or not is_owner(),
        help="Other runs wait in a queue. If $STC_JOBS is set, it fixes this number. "
        "Where users log in, admins set it.",
    )


def _one_run(run: Run) -> None:
    """Show the picked run: its facts, its tags, and the actions on it."""
    summary = run.summary(measure=True)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(escape(run.name), anchor=False, width="content")
            badge(run)
        disk, folder = size(summary.n_bytes or 0), f"folder {summary.run}"
        facts = filter(None, (settings_line(summary), disk, folder))
        st.caption(escape(" · ".join(facts)))
        _why(run)
        if not summary.recipe:  # its settings are damaged: it can only be deleted
            delete_button(run)
            return
        with st.container(horizontal=True):
            actions(run, summary)
        tags(run)
        with st.expander("Settings and log", icon=":material/notes:"):
            settings, log = st.columns(2)
            changed = run.config.model_dump_json(indent=1, exclude_defaults=True)
            settings.code(changed, language="json", wrap_lines=True)
            log.code(run.log_tail() or "(no log yet)", language=None)


def _why(run: Run) -> None:
    """Show why a run failed, or that it was cancelled."""
    status = run.status
    if status["error"]:
        st.error(escape(status["error"]["message"]), icon=":material/error:")
    elif status["state"] == "cancelled":
        st.warning("This run was cancelled.", icon=":material/cancel:")


def actions(run: Run, summary: RunSummary) -> None:
    """Draw the buttons: open, watch or resume, rename, download, delete and so on."""
    if summary.state == "done":
        if st.button("Open", type="primary", icon=":material/open_in_new:"):
            go(result_page(summary.recipe))
    elif summary.state in BUSY:
        if st.button("Watch", type="primary", icon=":material/visibility:"):
            go(TRAIN)
    elif st.button(
        "Resume",
        type="primary",
        icon=":material/resume:",
        help="Continues the run; activations that were already read are reused.",
    ):
        jobs.resume(run.folder)
        st.rerun()
    with st.popover("Rename", icon=":material/edit:"):
        rename_form(run)
    with st.popover("Duplicate", icon=":material/content_copy:"):
        duplicate_form(run)
    if summary.result:
        report_button(run)
        with st.popover("Download", icon=":material/archive:"):
            download_form(run)
    log = run.folder / RunFile.LOG
    st.download_button(
        "Log",
        data=log.read_bytes if log.is_file() else b"",
        file_name=f"{run.folder.name}.log.txt",
        icon=":material/download:",
        disabled=not log.is_file(),
        on_click="ignore",
    )
    if summary.state in BUSY:
        if st.button("Cancel", icon=":material/stop_circle:", key="cancel"):
            jobs.cancel(run.folder)
            st.rerun()
    else:
        delete_button(run)


def rename_form(run: Run) -> None:
    """Draw the form that renames `run`."""
    with st.form("rename", border=False):
        name = st.text_input("Name", run.name, key=f"name_{run.folder.name}")
        if st.form_submit_button("Rename", type="primary"):
            if not name.strip():
                st.error("A name cannot be empty. This run keeps its name.")
                return
            rename(run.folder, name)
            st.rerun()


def duplicate_form(run: Run) -> None:
    """Draw the form that starts the same run again with another seed.

    A button opens the page Train for other changes.
    """
    config = run.config
    with st.form("duplicate", border=False):
        seed = st.number_input(
            "Seed", 0, value=config.train.seed + 1, key=f"seed_{run.folder.name}"
        )
        name = st.text_input(
            "Name", f"{run.base_name} again", key=f"again_{run.folder.name}"
        )
        if st.form_submit_button(
            "Start", type="primary", help="All other settings stay the same."
        ):
            train = config.train.changed(seed=seed)
            fresh = {"name": name.strip(), "created": "", "example": False}
            copy = config.changed(**fresh, train=train)
            folder = jobs.start(copy)
            remember(run=folder.name)
            st.rerun()
    reuse_button(run, "Choose other settings in Train", icon=":material/tune:")


def tags(run: Run) -> None:
    """Draw the field for the tags of `run`, and save each change."""
    known = {word for other in list_runs() for word in read_about(other.folder).tags}
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
    """Draw the page below its title."""
    trash.empty_trash(older_days=trash.KEPT_DAYS)
    runs = list_runs()
    show_active_runs(runs)
    if runs:
        draw_runs(runs)
    undo_delete()  # in the place of the button that deleted the run
    if runs:
        picked = [run for run in runs if run.folder.name == context().run]
        _one_run(picked[0] if picked else any_run())
    with st.expander("Upload a run", icon=":material/upload:"):
        upload_form()
    trash_can()
    if not runs:
        empty_state(
            "No run yet",
            "Train a classifier first: the sample takes less than a minute.",
            page=DATA,
            label="Choose data",
            more=example_button,
        )
