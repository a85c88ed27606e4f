"""The sweeps of the home and their tables, cached until one of their runs changes."""

import pandas as pd
import streamlit as st

from stc_core.paths import runs_folder
from stc_core.runs.layout import RunFile
from stc_core.sweeps.folder import list_sweeps
from stc_core.sweeps.plan import Sweep
from stc_core.sweeps.table import runs_frame, settings_frame
from ui.cache.run_files import stamp


def sweeps_with(run_names: set[str]) -> tuple[dict[str, Sweep], list[str]]:
    """The sweeps that have two of these runs or more, by name, the newest first.

    Second come the messages about sweeps whose file is damaged.
    """
    sweeps, damaged = list_sweeps()
    found = {s.name: s for s in sweeps if len(run_names & s.runs.keys()) > 1}
    return found, [str(error) for error in damaged]


def sweep_tables(sweep: Sweep) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of a sweep: a row for each run, and one for each setting."""
    folders = [runs_folder() / name for name in sweep.runs]
    files = (RunFile.STATUS, RunFile.METRICS)
    written = tuple(stamp(folder / file) for folder in folders for file in files)
    return _tables(sweep.name, sweep.created, written, sweep)


@st.cache_data(max_entries=32, show_spinner=False)
def _tables(
    name: str, created: str, written: tuple[int, ...], _sweep: Sweep
) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = runs_frame(_sweep)
    return runs, settings_frame(_sweep, runs)
