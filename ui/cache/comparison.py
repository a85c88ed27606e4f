"""The texts and classes that two runs share, cached until one of the runs changes."""

from pathlib import Path

import pandas as pd
import streamlit as st

from stc_core.analysis.comparison import class_differences, match_texts, on_test
from stc_core.analysis.run_cards import Card, table_of
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run, list_runs
from ui.cache.run_files import read, stamp, summary_of


def cards() -> list[Card]:
    """A card of each finished run that has its texts, newest first."""
    found = []
    for run in list_runs():
        summary = summary_of(run)
        if summary.result and run.has(RunFile.REPORT) and run.has(RunFile.CORPUS):
            table = _table(str(run.folder), stamp(run.folder / RunFile.REPORT))
            found.append(Card(summary, summary.result, table))
    return found


@st.cache_data(max_entries=2000, show_spinner=False)
def _table(folder: str, written: int) -> tuple[str, ...]:
    return table_of(Run.open(folder).report)


def both(run: Run, other: Run) -> pd.DataFrame:
    """The test texts that both `run` (a) and `other` (b) have scored.

    Raises StcError if they share none.
    """
    return _both(*_key(run, other), (run, other))


def class_gaps(run: Run, other: Run) -> pd.DataFrame:
    """The difference of the two runs in each class, on the texts of `both`."""
    return _class_gaps(*_key(run, other), (run, other))


def _key(run: Run, other: Run) -> tuple[str, str, int, int]:
    written = [stamp(each.folder / RunFile.PREDICTIONS) for each in (run, other)]
    return str(run.folder), str(other.folder), written[0], written[1]


@st.cache_data(max_entries=8, show_spinner=False)
def _both(
    folder: str, against: str, mine: int, theirs: int, _runs: tuple[Run, Run]
) -> pd.DataFrame:
    tests = [on_test(read(run, "predictions"), read(run, "corpus")) for run in _runs]
    return match_texts(tests[0], tests[1])


@st.cache_data(max_entries=32, show_spinner=False)
def _class_gaps(
    folder: str, against: str, mine: int, theirs: int, _runs: tuple[Run, Run]
) -> pd.DataFrame:
    return class_differences(both(*_runs))


def widths(run: Run) -> dict[str, int]:
    """The number of neurons in each site that `run` could choose from.

    Empty if the run does not say.
    """
    path = run.folder / RunFile.SALIENCE
    return _widths(str(path), stamp(path)) if path.is_file() else {}


@st.cache_data(max_entries=16, show_spinner=False)
def _widths(path: str, written: int) -> dict[str, int]:
    from stc_core.selection.salience import site_widths  # half a second of imports

    return site_widths(Path(path))
