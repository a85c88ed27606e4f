"""The texts of a run as the pages read them: by position, and where they stood."""

from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from stc_core.analysis.examples import place_in_words
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
        """Where a text is in what was given: 'row 3'; 'text 3' if it is not there."""
        if example >= len(self.texts):
            return f"text {example}"
        return place_in_words(int(self.rows[example]), self.files[example])

    def places(self, at: np.ndarray) -> dict[str, list]:
        """Columns for a table of these texts: those of `place_columns`."""
        row = {"row": [int(one) for one in self.rows[at]]}
        return {"file": list(self.files[at]), **row} if self.several else row

    @property
    def several(self) -> bool:
        """Whether the run learned from one file and was tested on another."""
        return len(set(self.files)) > 1


@st.cache_resource(max_entries=4, show_spinner=False)
def _texts(folder: str, written: int, _run: Run) -> _Texts:
    corpus = read(_run, "corpus")
    names = ("label", "split", "row", "file")
    labels, splits, rows, files = (corpus[name].to_numpy(object) for name in names)
    return _Texts(corpus["text"].tolist(), labels, splits, rows, files)


def texts_of(run: Run) -> _Texts:
    """The texts of `run`; shared, so leave them as they are."""
    return _texts(*run_key(run), run)


def run_key(run: Run) -> tuple[str, int]:
    """What is kept of `run` is kept under this, until it is written anew."""
    return str(run.folder), stamp(run.folder / "metrics.json")
