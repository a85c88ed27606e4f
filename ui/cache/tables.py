"""The tables of the user: the upload, its columns, its corpus and its report."""

from pathlib import Path

import pandas as pd
import streamlit as st

from stc_core.backbone.truncation import sample_truncation
from stc_core.config import DataConfig
from stc_core.data.columns import guess_columns
from stc_core.data.corpus import Corpus, inspect_corpus
from stc_core.data.findings import Finding, Report, add_truncated
from stc_core.data.language import TextLanguage, detect_language, language_finding
from stc_core.data.table import read_table
from stc_core.data.uploads import find_upload, read_choice
from ui.cache.run_files import stamp

_HEAD_ROWS = 2000


@st.cache_data(max_entries=8, show_spinner="Reading the table …")
def _head(path: str, written: int, encoding: str | None) -> pd.DataFrame:
    return read_table(path, nrows=_HEAD_ROWS, encoding=encoding)


def head(path: Path, encoding: str | None = None) -> pd.DataFrame:
    """The first rows of a table: enough to show it and to guess its columns."""
    return _head(str(path), stamp(path), encoding)


def choice(key: str) -> DataConfig:
    """The text, labels, split and id columns of the table `key`.

    Each is the last choice of the user, or a guess if there is none.
    """
    saved = read_choice(key)
    table = head(find_upload(key).path, saved.encoding)
    guess, names = guess_columns(table), set(table.columns)
    chosen = tuple(name for name in saved.labels if name in names)
    update = {
        "text": saved.text if saved.text in names else guess.text,
        "labels": chosen or guess.labels,
        "split": guess.split if saved.split is None else saved.split,
        "id": guess.id if saved.id is None else saved.id,
    }
    return saved.changed(**update)


def corpus_of(data: DataConfig) -> Corpus:
    """The corpus of `data`, read again when a file or a setting has changed.

    Shared and never copied: a page must not change it.
    """
    return _corpus(_key(data), data)


@st.cache_resource(max_entries=2, show_spinner="Checking every row …")
def _corpus(key: tuple, _data: DataConfig) -> Corpus:
    return inspect_corpus(_data)


def language_of(data: DataConfig) -> TextLanguage | None:
    """The commonest language of the texts of `data`; None if it is not clear."""
    return _language(_key(data), corpus_of(data))


@st.cache_data(max_entries=8, show_spinner=False)
def _language(key: tuple, _corpus: Corpus) -> TextLanguage | None:
    return detect_language(_corpus.texts)


def unfit_model(data: DataConfig, model: str) -> Finding | None:
    """A finding if `model` was not made for the language of the texts of `data`."""
    return language_finding(language_of(data), len(corpus_of(data).texts), model)


def _key(data: DataConfig) -> tuple:
    """What the corpus of `data` depends on: its settings and when its files changed."""
    paths = [Path(data.path)] + ([Path(data.test_path)] if data.test_path else [])
    return (data.model_dump_json(), *(stamp(path) for path in paths))


def report_of(data: DataConfig) -> Report:
    """The report on `data`, with the share of texts that the default model truncates.

    The share is measured on a sample, so that it takes very little time.
    """
    return _report(_key(data), corpus_of(data))


@st.cache_data(max_entries=4, show_spinner=False)
def _report(key: tuple, _corpus: Corpus) -> Report:
    texts = _corpus.texts
    cut = sample_truncation(texts)
    if cut is None:
        return _corpus.report
    return add_truncated(_corpus.report, *cut, sampled_of=len(texts))
