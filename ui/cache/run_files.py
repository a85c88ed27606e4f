"""What a finished run holds, read once until it is written again."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from stc_core.analysis.examples import example_table as examples_of
from stc_core.analysis.extra_columns import Facets, read_facets
from stc_core.analysis.slice_scores import slice_scores
from stc_core.analysis.slices import COLUMN, Slice
from stc_core.classifiers.predict_table import LABEL_COLUMN
from stc_core.interpret.exemplars import activations_by_token as token_values_of
from stc_core.interpret.explanation import Token
from stc_core.runs.annotations import read_about
from stc_core.runs.run import Run
from stc_core.types import Site

PATIENCE_S = 0.3
"""How long a page waits for a model before it shows what needs none."""
_LOADER = ThreadPoolExecutor(1, "loader")


def stamp(path: Path) -> int:
    """When `path` was last written, in ns; 0 if it is not there. Part of cache keys."""
    return path.stat().st_mtime_ns if path.exists() else 0


_FILES = {
    "report": "report.json",
    "metrics": "metrics.json",
    "variability": "variability.json",
    "tuning": "tuning.json",
    "probes": "probes.parquet",
    "by_class": "classes.parquet",
    "control": "control.parquet",
    "levels": "levels.parquet",
    "replies": "replies.parquet",
    "neurons": "neurons.parquet",
    "curves": "curves.parquet",
    "frontier": "frontier.parquet",
    "predictions": "predictions.parquet",
    "corpus": "corpus.parquet",
}


def read(run: Run, part: str) -> Any:
    """report, metrics, probes, neurons, curves, predictions or corpus of `run`.

    Read again only when its file was written again.
    """
    path = run.folder / _FILES[part]
    key = str(run.folder), part, stamp(path)
    return _own(_frame(*key)) if path.suffix == ".parquet" else _read(*key)


@st.cache_data(max_entries=48, show_spinner=False)
def _read(folder: str, part: str, written: int) -> Any:
    return getattr(Run.open(Path(folder)), part)


@st.cache_resource(max_entries=48, show_spinner=False)
def _frame(folder: str, part: str, written: int) -> pd.DataFrame:
    return getattr(Run.open(Path(folder)), part)


def _own(shared: pd.DataFrame) -> pd.DataFrame:
    """A frame that may be changed, but not inside a cell, and leaves `shared` as it is.

    It costs neither a copy nor reading it out of a pickle: pandas copies what is
    written to.
    """
    return shared.copy(deep=False)


def classifier(run: Run) -> Any:
    """The classifier of `run`, kept in memory for the what-if of one text."""
    return _classifier(str(run.folder), stamp(run.folder / "metrics.json"))


@st.cache_resource(max_entries=2, show_spinner="Loading the classifier …")
def _classifier(folder: str, written: int) -> Any:
    return _opened(folder, written, False)


def neuron_reader(run: Run) -> Any:
    """The classifier whose head reads the kept neurons of `run`.

    Of a run that spells its labels it is the sparse one that it was compared with.
    """
    if not spells(run):
        return classifier(run)
    return _sparse(str(run.folder), stamp(run.folder / "metrics.json"))


def spells(run: Run) -> bool:
    """True if its labels are written by a decoder's words, not read from neurons."""
    return (run.folder / "model" / "words.safetensors").is_file()


@st.cache_resource(max_entries=1, show_spinner="Loading the classifier …")
def _sparse(folder: str, written: int) -> Any:
    return _opened(folder, written, True)


def reads_soon(run: Run) -> bool:
    """True if `neuron_reader` is there in a moment; else it is being loaded, apart.

    It may take some seconds: the first one of a server imports torch.
    """
    written = stamp(run.folder / "metrics.json")
    loading = _opening(str(run.folder), written, spells(run))
    wait([loading], PATIENCE_S)
    return loading.done()


def _opened(folder: str, written: int, sparse: bool) -> Any:
    loading = _opening(folder, written, sparse)
    wait([loading])
    if loading.exception() is not None:
        _opening.clear(folder, written, sparse)  # the next one tries anew
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
    written = stamp(run.folder / "predictions.parquet")
    return _own(_examples(str(run.folder), written, run))


def facets(run: Run) -> Facets:
    """The other columns of the table that `run` learned from, if it is still there."""
    return _facets(*_of_tables(run), run)


def _of_tables(run: Run) -> tuple[str, tuple[int, ...]]:
    """The run and when it, and the tables that it learned from, were written."""
    data = run.config.data
    tables = [Path(path) for path in (data.path, data.test_path) if path]
    paths = [run.folder / "predictions.parquet", *tables]
    return str(run.folder), tuple(stamp(path) for path in paths)


@st.cache_data(max_entries=4, show_spinner="Reading the other columns …")
def _facets(folder: str, written: tuple[int, ...], _run: Run) -> Facets:
    columns = read(_run, "report").columns
    return read_facets(_run.config.data, read(_run, "corpus"), columns)


def in_slice(run: Run, held: Slice) -> np.ndarray:
    """For each text of `examples`, whether it is in the slice."""
    table = examples(run)
    if any(part.name.startswith(COLUMN) for part in held.parts):
        table = pd.concat([table, facets(run).frame], axis=1)
    if held.value("star"):
        table = table.assign(star=table["example"].isin(read_about(run.folder).stars))
    return held.mask(table)


def slice_table(run: Run, split: str) -> pd.DataFrame:
    """The scores of the slices of one split."""
    return _slice_table(*_of_tables(run), split, run)


@st.cache_data(max_entries=12, show_spinner=False)
def _slice_table(
    folder: str, written: tuple[int, ...], split: str, _run: Run
) -> pd.DataFrame:
    table = examples(_run)
    of = np.flatnonzero(table["split"] == split)
    return slice_scores(table.take(of), facets(_run).frame.take(of))


def mislabelled(run: Run) -> pd.DataFrame:
    """The texts of `run` that are likely mislabelled."""
    return _mislabelled(str(run.folder), stamp(run.folder / "metrics.json"), run)


@st.cache_data(max_entries=8, show_spinner="Judging each label without it …")
def _mislabelled(folder: str, written: int, _run: Run) -> pd.DataFrame:
    from stc_core.analysis.label_errors import likely_mislabelled  # seconds of imports

    return likely_mislabelled(_run)


def explained(run: Run, text: str) -> dict[str, Any]:
    """The explanation of `text` by the classifier of `run`."""
    return _explain(str(run.folder), stamp(run.folder / "metrics.json"), text, run)


@st.cache_data(max_entries=64, show_spinner="Explaining …")
def _explain(folder: str, written: int, text: str, _run: Run) -> dict[str, Any]:
    return classifier(_run).explain(text)


def gradients(run: Run, text: str, label: str) -> dict[str, Any]:
    """Integrated gradients of `text` for a class, by the classifier of `run`."""
    written = stamp(run.folder / "metrics.json")
    return _gradients(str(run.folder), written, text, label, run)


@st.cache_data(max_entries=64, show_spinner="Following the words …")
def _gradients(
    folder: str, written: int, text: str, label: str, _run: Run
) -> dict[str, Any]:
    from stc_core.interpret.integrated_gradients import integrated_gradients

    return integrated_gradients(classifier(_run), text, label=label)


def token_values(
    run: Run, site: str, index: int, texts: Sequence[str]
) -> list[list[Token]]:
    """How active neuron `index` at `site` is on each token of `texts`."""
    written = stamp(run.folder / "metrics.json")
    return _token_values(str(run.folder), written, site, index, tuple(texts), run)


@st.cache_data(max_entries=128, show_spinner="Reading the neuron on each word …")
def _token_values(
    folder: str, written: int, site: str, index: int, texts: tuple[str, ...], _run: Run
) -> list[list[Token]]:
    backbone = neuron_reader(_run).backbone_
    return token_values_of(backbone, texts, site=Site.parse(site), index=index)


SHOWN_ROWS = 100


def predictions_in(path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """The first rows of a predicted table, and the rows per predicted label."""
    return _predictions_in(str(path), stamp(path))


@st.cache_data(max_entries=4, show_spinner=False)
def _predictions_in(path: str, written: int) -> tuple[pd.DataFrame, pd.Series]:
    preview = pd.read_csv(path, nrows=SHOWN_ROWS, keep_default_na=False)
    label = [name for name in preview if str(name).startswith(LABEL_COLUMN)][-1]
    labels = pd.read_csv(path, usecols=[label], dtype=str, keep_default_na=False)[label]
    return preview, labels.loc[labels.ne("")].value_counts()
