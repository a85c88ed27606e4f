"""The files of a finished run, read once and again only after they changed."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.analysis.examples import FINAL
from stc_core.analysis.examples import example_table as examples_of
from stc_core.analysis.extra_columns import Facets, read_facets
from stc_core.analysis.slice_scores import slice_scores
from stc_core.analysis.slices import COLUMN, Slice
from stc_core.interpret.exemplars import activations_by_token as token_values_of
from stc_core.interpret.explanation import Token
from stc_core.runs.annotations import read_about
from stc_core.runs.layout import FRAME_COLUMNS, RunFile
from stc_core.runs.run import Run
from stc_core.runs.run_summary import RunSummary
from stc_core.runs.status import BUSY
from stc_core.types import Site

PATIENCE_S = 0.3
"""How long a page waits for a model before it shows what needs no model."""
_LOADER = ThreadPoolExecutor(1, "loader")


def stamp(path: Path) -> int:
    """The time when `path` was last written, in ns; 0 if there is no such file.

    It is a part of cache keys.
    """
    return path.stat().st_mtime_ns if path.exists() else 0


_FILES = {
    "report": RunFile.REPORT,
    "metrics": RunFile.METRICS,
    "variability": RunFile.VARIABILITY,
    "tuning": RunFile.TUNING,
    "learning": RunFile.LEARNING,
    "stability": RunFile.STABILITY,
    "neuron_stability": RunFile.STABILITY,
    "usage": RunFile.USAGE,
    "neuron_usage": RunFile.USAGE,
    "faithfulness": RunFile.FAITHFULNESS,
    "probes": RunFile.PROBES,
    "by_class": RunFile.CLASSES,
    "control": RunFile.CONTROL,
    "levels": RunFile.LEVELS,
    "replies": RunFile.REPLIES,
    "neurons": RunFile.NEURONS,
    "curves": RunFile.CURVES,
    "frontier": RunFile.FRONTIER,
    "predictions": RunFile.PREDICTIONS,
    "corpus": RunFile.CORPUS,
}


def read(run: Run, part: str) -> Any:
    """One part of `run`: report, metrics, probes, neurons and so on (see `_FILES`).

    It is read again only after its file has changed.
    """
    path = run.folder / _FILES[part]
    key = str(run.folder), part, stamp(path)
    is_frame = path.suffix == ".parquet" or part in FRAME_COLUMNS
    return _own(_frame(*key)) if is_frame else _read(*key)


@st.cache_data(max_entries=48, show_spinner=False)
def _read(folder: str, part: str, written: int) -> Any:
    return getattr(Run.open(Path(folder)), part)


@st.cache_resource(max_entries=48, show_spinner=False)
def _frame(folder: str, part: str, written: int) -> pd.DataFrame:
    return getattr(Run.open(Path(folder)), part)


def _own(shared: pd.DataFrame) -> pd.DataFrame:
    """A frame like `shared` that may be changed without a change of `shared`.

    Only objects inside a cell must not be changed. Nothing is copied or unpickled:
    pandas copies a column when it is written to.
    """
    return shared.copy(deep=False)


def summary_of(run: Run, *, measure: bool = False) -> RunSummary:
    """The facts of `run` for one line; with `measure` also its size on disk.

    Those of an ended run are read again only after one of its files has changed.
    """
    state = run.status["state"]
    if state in BUSY:
        return run.summary(measure=measure)
    written = tuple(stamp(run.folder / name) for name in _SUMMARISED)
    return _summary(str(run.folder), state, written, measure)


_SUMMARISED = (RunFile.CONFIG, RunFile.STATUS, "about.json", RunFile.METRICS)
"""The files that a summary is read from."""


@st.cache_data(max_entries=4000, show_spinner=False)
def _summary(
    folder: str, state: str, written: tuple[int, ...], measure: bool
) -> RunSummary:
    return Run(folder).summary(measure=measure)


def classifier(run: Run) -> Any:
    """The classifier of `run`, kept in memory so that one text is answered at once."""
    return _classifier(str(run.folder), stamp(run.folder / RunFile.METRICS))


@st.cache_resource(max_entries=2, show_spinner="Loading the classifier …")
def _classifier(folder: str, written: int) -> Any:
    return _opened(folder, written, False)


def neuron_reader(run: Run) -> Any:
    """The classifier whose head reads the kept neurons of `run`.

    If the run spells its labels, this is the sparse classifier it was compared with.
    """
    if not spells_labels(run):
        return classifier(run)
    return _sparse(str(run.folder), stamp(run.folder / RunFile.METRICS))


def spells_labels(run: Run) -> bool:
    """True if `run` writes its labels as words of a decoder.

    Other runs read the labels from neurons.
    """
    return (run.folder / "model" / "words.safetensors").is_file()


@st.cache_resource(max_entries=1, show_spinner="Loading the classifier …")
def _sparse(folder: str, written: int) -> Any:
    return _opened(folder, written, True)


def wait_for_reader(run: Run) -> bool:
    """True if `neuron_reader` is loaded within PATIENCE_S.

    Otherwise a thread goes on loading it. That may take some seconds, as the first load
    of a server imports torch.
    """
    written = stamp(run.folder / RunFile.METRICS)
    loading = _opening(str(run.folder), written, spells_labels(run))
    wait([loading], PATIENCE_S)
    return loading.done()


def _opened(folder: str, written: int, sparse: bool) -> Any:
    loading = _opening(folder, written, sparse)
    wait([loading])
    if loading.exception() is not None:
        _opening.clear(folder, written, sparse)  # so that the next call tries again
    return loading.result()


@st.cache_resource(max_entries=3, show_spinner=False)
def _opening(folder: str, written: int, sparse: bool) -> Future:
    return _LOADER.submit(_open, Path(folder), sparse)


def _open(folder: Path, sparse: bool) -> Any:
    if not sparse:
        return Run.open(folder).classifier()
    from stc_core.classifiers.base import open_base

    return open_base(folder / "model")


@st.cache_resource(max_entries=4, show_spinner=False)
def _examples(folder: str, written: int, _run: Run) -> pd.DataFrame:
    return examples_of(read(_run, "predictions"), read(_run, "corpus"))


def examples(run: Run) -> pd.DataFrame:
    """The texts of `run` with their predictions, ready to filter."""
    written = stamp(run.folder / RunFile.PREDICTIONS)
    return _own(_examples(str(run.folder), written, run))


def facets(run: Run) -> Facets:
    """The coarser labels and the other columns of the table of `run`.

    If the table can no longer be read, only the coarser labels are there, and a note
    says so.
    """
    return _facets(*_of_tables(run), run)


def _of_tables(run: Run) -> tuple[str, tuple[int, ...]]:
    """The folder of `run`, and when the run and its tables were last written."""
    data = run.config.data
    tables = [Path(path) for path in (data.path, data.test_path) if path]
    paths = [run.folder / RunFile.PREDICTIONS, *tables]
    return str(run.folder), tuple(stamp(path) for path in paths)


@st.cache_data(max_entries=4, show_spinner="Reading the other columns …")
def _facets(folder: str, written: tuple[int, ...], _run: Run) -> Facets:
    columns = read(_run, "report").columns
    return read_facets(_run.config.data, read(_run, "corpus"), columns)


def slice_mask(run: Run, part_of: Slice) -> np.ndarray:
    """A mask over the texts of `examples`: true for each text in the slice."""
    table = examples(run)
    if any(part.name.startswith(COLUMN) for part in part_of.parts):
        table = pd.concat([table, facets(run).frame], axis=1)
    if part_of.value("star"):
        table = table.assign(star=table["example"].isin(read_about(run.folder).stars))
    return part_of.mask(table)


def slice_table(run: Run, split: str) -> pd.DataFrame:
    """The scores of the slices of one split."""
    return _slice_table(*_of_tables(run), split, run)


@st.cache_data(max_entries=12, show_spinner=False)
def _slice_table(
    folder: str, written: tuple[int, ...], split: str, _run: Run
) -> pd.DataFrame:
    table = examples(_run)
    rows = np.flatnonzero(table["split"] == split)
    return slice_scores(table.take(rows), facets(_run).frame.take(rows))


def mislabelled_texts(run: Run) -> pd.DataFrame:
    """The texts of `run` that are likely mislabelled."""
    return _mislabelled(str(run.folder), stamp(run.folder / RunFile.METRICS), run)


@st.cache_data(max_entries=8, show_spinner="Checking each label …")
def _mislabelled(folder: str, written: int, _run: Run) -> pd.DataFrame:
    from stc_core.analysis.label_errors import likely_mislabelled  # seconds of imports

    return likely_mislabelled(_run)


def classifier_by(run: Run, fold: int) -> Any:
    """The classifier of `run` with the head of a fold; FINAL: the classifier itself."""
    if fold == FINAL:
        return classifier(run)
    return _of_fold(str(run.folder), stamp(run.folder / RunFile.METRICS), fold, run)


@st.cache_resource(max_entries=10, show_spinner=False)
def _of_fold(folder: str, written: int, fold: int, _run: Run) -> Any:
    from stc_core.analysis.row_explanation import classifier_of_fold  # imports torch

    return classifier_of_fold(_run, classifier(_run), fold)


def explain_text(run: Run, text: str, fold: int = FINAL) -> dict[str, Any]:
    """The explanation of `text` by `classifier_by`, as `explain_by` makes it."""
    written = stamp(run.folder / RunFile.METRICS)
    return _explain(str(run.folder), written, text, fold, run)


@st.cache_data(max_entries=64, show_spinner="Explaining …")
def _explain(
    folder: str, written: int, text: str, fold: int, _run: Run
) -> dict[str, Any]:
    from stc_core.analysis.row_explanation import explain_by  # imports torch

    return explain_by(_run, classifier_by(_run, fold), text, fold)


def gradients(run: Run, text: str, label: str, fold: int = FINAL) -> dict[str, Any]:
    """The integrated gradients of `text` for the class `label`, by `classifier_by`."""
    written = stamp(run.folder / RunFile.METRICS)
    return _gradients(str(run.folder), written, text, label, fold, run)


@st.cache_data(max_entries=64, show_spinner="Following the words …")
def _gradients(
    folder: str, written: int, text: str, label: str, fold: int, _run: Run
) -> dict[str, Any]:
    from stc_core.interpret.integrated_gradients import integrated_gradients

    return integrated_gradients(classifier_by(_run, fold), text, label=label)


def token_values(
    run: Run, site: str, index: int, texts: Sequence[str]
) -> list[list[Token]]:
    """The activation of neuron `index` at `site` on each token of `texts`."""
    written = stamp(run.folder / RunFile.METRICS)
    return _token_values(str(run.folder), written, site, index, tuple(texts), run)


@st.cache_data(max_entries=128, show_spinner="Reading the neuron on each word …")
def _token_values(
    folder: str, written: int, site: str, index: int, texts: tuple[str, ...], _run: Run
) -> list[list[Token]]:
    backbone = neuron_reader(_run).backbone_
    return token_values_of(backbone, texts, site=Site.parse(site), index=index)


SHOWN_ROWS = 100
