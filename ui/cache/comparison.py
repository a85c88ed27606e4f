"""The texts and classes that two runs share, cached until one of the runs changes."""

from pathlib import Path

import pandas as pd
import streamlit as st

from stc_core.analysis.comparison import class_differences, match_texts, on_test
from stc_core.analysis.run_cards import Card, card
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run, list_runs
from ui.cache.run_files import read, stamp


def cards() -> list[Card]:
    """A card of each finished run, newest first."""
    finished = (run for run in list_runs() if run.done and run.has(RunFile.REPORT))
    return [
        _card(str(run.folder), run.name, stamp(run.folder / RunFile.METRICS))
        for run in finished
    ]


@st.cache_data(max_entries=512, show_spinner=False)
def _card(folder: str, name: str, written: int) -> Card:
    run = Run.open(Path(folder))
    return card(run.folder.name, run.config, run.metrics, run.report, name=name)


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
