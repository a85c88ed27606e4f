"""Predictions that are kept in a file: its first or least sure rows, and its score."""

from collections import Counter
from pathlib import Path

import pandas as pd
import streamlit as st

from stc_core.analysis.confusion import FileScore, learned_texts, score_pairs
from stc_core.classifiers.labelling.text_labels import LABEL_COLUMN
from stc_core.classifiers.predict_table import count_pairs
from stc_core.interpret.class_words import ClassWords, class_words
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.run_files import SHOWN_ROWS, examples, explain_text, read, stamp

_CHUNK = 50_000


def added_names(columns: pd.Index) -> list[str]:
    """The names that `predict_table` added last: label, probability, each class."""
    names = [str(name) for name in columns]
    at = max(place for place, name in enumerate(names) if name.startswith(LABEL_COLUMN))
    return names[at:]


def predictions_in(
    path: Path, *, by_doubt: bool = False
) -> tuple[pd.DataFrame, pd.Series]:
    """Some rows of a predicted table, and the number of rows with each label.

    The rows are the first ones, or with `by_doubt` those with the least probable label.
    The index is the number of the row, from 1.
    """
    shown = _least_sure if by_doubt else _first_rows
    return shown(str(path), stamp(path)), _label_counts(str(path), stamp(path))


@st.cache_data(max_entries=4, show_spinner=False)
def _first_rows(path: str, written: int) -> pd.DataFrame:
    frame = pd.read_csv(path, nrows=SHOWN_ROWS, keep_default_na=False)
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1, name="row"))


@st.cache_data(max_entries=4, show_spinner="Looking for the least sure rows …")
def _least_sure(path: str, written: int) -> pd.DataFrame:
    best = pd.DataFrame()
    for chunk in pd.read_csv(path, chunksize=_CHUNK, keep_default_na=False):
        chunk.index = pd.Index(chunk.index + 1, name="row")
        sure = pd.to_numeric(chunk[added_names(chunk.columns)[1]], errors="coerce")
        some = chunk.assign(_sure=sure).dropna(subset="_sure")
        best = pd.concat([best, some]).nsmallest(SHOWN_ROWS, "_sure", keep="first")
    return best.drop(columns="_sure", errors="ignore")


@st.cache_data(max_entries=4, show_spinner=False)
def _label_counts(path: str, written: int) -> pd.Series:
    label, *_ = added_names(pd.read_csv(path, nrows=0).columns)
    labels = pd.read_csv(path, usecols=[label], dtype=str, keep_default_na=False)[label]
    return labels.loc[labels.ne("")].value_counts()


def file_score(run: Run, path: Path, text: str, label: str) -> FileScore | None:
    """The score of the predictions at `path` by the labels in its column `label`.

    Rows with a text that the run has learned do not count.
    """
    return _file_score(str(path), stamp(path), text, label, str(run.folder), run)


@st.cache_data(max_entries=8, show_spinner=False)
def _file_score(
    path: str, written: int, text: str, label: str, folder: str, _run: Run
) -> FileScore | None:
    added = added_names(pd.read_csv(path, nrows=0).columns)
    names = (text, label, added[0])
    learned = learned_texts(read(_run, "corpus")) if _run.has(RunFile.CORPUS) else ()
    pairs: Counter[tuple[str, str]] = Counter()
    n_learned = 0
    for part in pd.read_csv(
        path, usecols=names, dtype=str, keep_default_na=False, chunksize=_CHUNK
    ):
        rows = zip(*(part[name] for name in names), strict=True)
        n_learned += count_pairs(pairs, rows, learned)
    classes = [name.removeprefix("p:") for name in added[2:]]
    repairs = _run.config.data.repairs
    return score_pairs(pairs, classes, repairs, learned=n_learned)


def words_of_class(run: Run, label: str) -> ClassWords:
    """The words for a class over the texts of test that `run` predicts as it."""
    return _words_of_class(
        str(run.folder), stamp(run.folder / RunFile.METRICS), label, run
    )


@st.cache_data(max_entries=64, show_spinner="Explaining the texts of the class …")
def _words_of_class(folder: str, written: int, label: str, _run: Run) -> ClassWords:
    return class_words(examples(_run), label, lambda text: explain_text(_run, text))


def is_predicted(run: Run) -> list[str]:
    """The classes that `run` predicts for some text of test, sorted."""
    predictions = read(run, "predictions")
    of_test = predictions.loc[predictions["split"] == "test", "predicted"]
    return sorted(set(map(str, of_test)))
