"""The texts of a run by position, with their labels and their place in the table."""

from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from stc_core.analysis.examples import place_in_words
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from ui.cache.run_files import read, stamp


class _Texts(NamedTuple):
    """The texts of a run, their labels, splits and places, by position."""

    texts: list[str]
    labels: Any  # array of str
    splits: Any
    rows: Any
    files: Any

    def place(self, example: int) -> str:
        """The place of a text in the table, as 'row 3'.

        It is 'text 3' if the run has no such text.
        """
        if example >= len(self.texts):
            return f"text {example}"
        return place_in_words(int(self.rows[example]), self.files[example])

    def places(self, at: np.ndarray) -> dict[str, list]:
        """The columns "row" and, with a test file, "file" of the texts at `at`.

        `place_columns` says how they look.
        """
        row = {"row": [int(number) for number in self.rows[at]]}
        return {"file": list(self.files[at]), **row} if self.several else row

    @property
    def several(self) -> bool:
        """True if the run was trained on one file and tested on another."""
        return len(set(self.files)) > 1


@st.cache_resource(max_entries=4, show_spinner=False)
def _texts(folder: str, written: int, _run: Run) -> _Texts:
    corpus = read(_run, "corpus")
    names = ("label", "split", "row", "file")
    labels, splits, rows, files = (corpus[name].to_numpy(object) for name in names)
    return _Texts(corpus["text"].tolist(), labels, splits, rows, files)


def texts_of(run: Run) -> _Texts:
    """The texts of `run`. They are shared: do not change them."""
    return _texts(*run_key(run), run)


def run_key(run: Run) -> tuple[str, int]:
    """The cache key of everything read from `run`; it changes when the run changes."""
    return str(run.folder), stamp(run.folder / RunFile.METRICS)
