"""The tables that a user brings: uploaded, chosen, read, checked."""

from pathlib import Path

import pandas as pd
import streamlit as st

from stc_core.backbone.truncation import sampled_cut
from stc_core.config import DataConfig
from stc_core.data.columns import guess_columns
from stc_core.data.corpus import Corpus, inspect_corpus
from stc_core.data.findings import Report, add_truncated
from stc_core.data.table import read_table
from stc_core.data.uploads import Upload, discard, find, keep, read_choice
from stc_core.display import distinct
from stc_core.errors import StcError
from ui.place import context, remember
from ui.readers import stamp
from ui.said import show_error
from ui.stale import news, show

HEAD_ROWS = 2000


@st.cache_data(max_entries=8, show_spinner="Reading the table …")
def _head(path: str, written: int, encoding: str | None) -> pd.DataFrame:
    return read_table(path, nrows=HEAD_ROWS, encoding=encoding)


def head(path: Path, encoding: str | None = None) -> pd.DataFrame:
    """The first rows of a table, enough to show it and to guess its columns."""
    return _head(str(path), stamp(path), encoding)


def choice(key: str) -> DataConfig:
    """Text, labels, split and id of the table `key`: chosen before, else guessed."""
    held = read_choice(key)
    table = head(find(key).path, held.encoding)
    guess, names = guess_columns(table), set(table.columns)
    chosen = tuple(name for name in held.labels if name in names)
    update = {
        "text": held.text if held.text in names else guess.text,
        "labels": chosen or guess.labels,
        "split": guess.split if held.split is None else held.split,
        "id": guess.id if held.id is None else held.id,
    }
    return held.changed(**update)


def corpus_of(data: DataConfig) -> Corpus:
    """The corpus of `data`, read again when a file or a setting has changed.

    Shared and never copied: a page must not change it.
    """
    paths = [Path(data.path)] + ([Path(data.test_path)] if data.test_path else [])
    key = (data.model_dump_json(), *(stamp(path) for path in paths))
    return _corpus(key, data)


@st.cache_resource(max_entries=2, show_spinner="Checking every row …")
def _corpus(key: tuple, _data: DataConfig) -> Corpus:
    return inspect_corpus(_data)


def report_of(data: DataConfig) -> Report:
    """The report on `data`, with the share of texts that the default model cuts.

    That share is of a sample, so that it takes no time worth naming.
    """
    paths = [Path(data.path)] + ([Path(data.test_path)] if data.test_path else [])
    key = (data.model_dump_json(), *(stamp(path) for path in paths))
    return _report(key, corpus_of(data))


@st.cache_data(max_entries=4, show_spinner=False)
def _report(key: tuple, _corpus: Corpus) -> Report:
    texts = _corpus.texts
    cut = sampled_cut(texts)
    if cut is None:
        return _corpus.report
    return add_truncated(_corpus.report, *cut, sampled_of=len(texts))


def uploader(label: str, *, key: str) -> Upload | None:
    """A file uploader that copies the file to disk at once and lets go of it.

    What it returns is there for one run of the page: remember it and rerun. A file
    that cannot be read is not kept: the page says why, and shows all else.
    """
    turn = st.session_state.setdefault(f"_{key}_turn", 0)
    # Any file may be given: what is wrong with it is said here, and how to mend it.
    given = st.file_uploader(label, key=f"{key}_upload_{turn}")
    if given is None:
        return None
    kept = None
    try:
        kept = keep(given.name, given)
        head(kept.path)
    except StcError as error:
        if kept is not None:
            discard(kept)
        show_error(error)
        return None
    st.session_state[f"_{key}_turn"] = turn + 1
    return kept


def pick_upload(field: str, uploads: list[Upload]) -> None:
    """A choice among kept tables that is remembered in `field` of the context."""
    names = distinct({one.key: one.path.name for one in uploads})
    key, held = f"earlier_{field}", getattr(context(), field)
    show(key, held if held in names else None)

    def write(value: str | None) -> None:
        if value is None or value in names:
            remember(**{field: value})

    st.selectbox(
        "Earlier uploads",
        list(names),
        index=None,
        format_func=lambda one: names[one],
        placeholder="Choose a table" if names else "None yet",
        disabled=not names,
        key=key,
        on_change=news(key, write),
    )
