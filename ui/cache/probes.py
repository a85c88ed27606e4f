"""The probes of a run compared with each other, cached until its files change."""

import streamlit as st

from stc_core.analysis.best_probe import ComparedProbes, compare_probes
from stc_core.metrics.scores import Metric
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.run_files import read, stamp


def compared_probes(run: Run, metric: Metric) -> ComparedProbes | None:
    """The probes of `run` with their resampled scores; None for an older run."""
    if not run.has(RunFile.GUESSES):
        return None
    return _compared(str(run.folder), stamp(run.folder / RunFile.GUESSES), metric, run)


@st.cache_resource(max_entries=4, show_spinner="Resampling the validation texts …")
def _compared(folder: str, written: int, metric: Metric, _run: Run) -> ComparedProbes:
    n_class = len(read(_run, "metrics")["classes"])
    return compare_probes(read(_run, "probes"), _run.guesses, metric, n_class=n_class)
