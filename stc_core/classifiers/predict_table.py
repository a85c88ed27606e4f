"""Predictions for a table of any length: its columns with the labels added."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from stc_core.cells import formula_note
from stc_core.classifiers.labelling.sound_texts import TextReader
from stc_core.classifiers.labelling.table_chunks import (
    Chunk,
    column_texts,
    table_chunks,
)
from stc_core.classifiers.labelling.table_writer import table_writer
from stc_core.classifiers.labelling.text_labels import (
    Predictor,
    TextLabels,
    beside,
    label_texts,
)
from stc_core.data.checks import check_source
from stc_core.data.columns import check_column
from stc_core.data.findings import Finding
from stc_core.types import Progress, silent

LabelRows = Callable[[Sequence[str]], TextLabels]
"""Gives the labels of the texts of a chunk."""
DECIMALS = 4
"""The decimals of a probability in a text file; Parquet has all of them."""
_NAMED = 20
"""The most rows without a label that are named."""


class Labelled(NamedTuple):
    """The number of rows, and the number of rows without text and so without label.

    `pairs` has the number of rows for each label of the file and its prediction, if a
    column of labels was named. A cell without either is ''. Rows with a text that the
    classifier has learned are not in `pairs`; `learned` is their number. `broken` is
    the number of rows whose text the tokenizer cannot read, `cut` that of texts of
    which only the beginning is read.
    """

    rows: int
    blank: int
    pairs: Mapping[tuple[str, str], int] = {}
    learned: int = 0
    broken: int = 0
    cut: int = 0

    @property
    def said(self) -> str:
        sentence = f"{self.rows:,} rows labelled"
        if not self.blank + self.broken:
            return sentence
        why = "have no text" if not self.broken else "have no text that can be read"
        n_labelled = self.rows - self.blank - self.broken
        return f"{n_labelled:,} of {sentence}, the others {why}"


def predict_file(
    classifier: Predictor | None,
    source: str | Path,
    out: str | Path,
    *,
    trained: str,
    text: str | None = None,
    encoding: str | None = None,
    keep_formulas: bool = False,
    label: str | None = None,
    learned: Collection[str] = (),
    label_rows: LabelRows | None = None,
    backbone: TextReader | None = None,
    progress: Progress = silent,
    tell: Callable[[str], object] = str,
) -> Labelled:
    """Label the table `source` and write it to `out`; return the numbers of rows.

    `source` may be a folder of tables with the same columns. `out` is written
    completely or not at all, in the format of its suffix; "-" is CSV on standard
    output. Memory does not grow with the table. `label` names the column whose labels
    are compared with the predictions, except for the texts in `learned`. `label_rows`
    gives the labels of the texts of a chunk; without it `classifier` does. The texts
    that are too long for the `backbone` are counted, if there is one. `tell` gets
    notes for the user on how the table was read. In CSV and TSV a cell that a
    spreadsheet would run as a formula gets an apostrophe in front, unless
    `keep_formulas` is true.
    """
    if label_rows is None:
        assert classifier is not None
        label_rows = partial(label_texts, classifier)
    done = _Done()
    n_formulas = 0
    exact = str(out).lower().endswith(".parquet")
    chunks = table_chunks(source, trained=trained, text=text, encoding=encoding)
    with table_writer(out, source=source, keep_formulas=keep_formulas) as write:
        for chunk in chunks:
            if label is not None:
                check_column(chunk.frame, label, role="label")
            labels = label_rows(chunk.texts)
            done.add(chunk, labels, label=label, learned=learned)
            done.cut += 0 if backbone is None else _n_cut(backbone, chunk, labels)
            labelled = beside(chunk.frame, labels)
            n_own = len(chunk.frame.columns)
            n_formulas += write(labelled if exact else _rounded(labelled, n_own))
            progress(done.rows, 0)
        for note in done.notes():
            tell(note)
        if done.cut and backbone is not None:
            tell(f"info: {cut_note(done.cut, backbone.max_length, of=done.rows)}")
        if n_formulas:
            tell(f"info: {formula_note(n_formulas)}")
    return Labelled(
        done.rows, done.blank, done.pairs, done.learned, len(done.broken), done.cut
    )


def is_cut(classifier: Any, text: str) -> bool:
    """Whether the backbone of the classifier, if it has one, reads a part only."""
    backbone = getattr(classifier, "backbone_", None)
    return backbone is not None and bool(backbone.tokenize([text]).n_cut)


def cut_note(n_cut: int, max_length: int, *, of: int) -> str:
    """That so many of the texts are longer than the classifier reads."""
    which = "The text is" if of == 1 else f"{n_cut:,} of {of:,} texts are"
    return f"{which} longer than {max_length} tokens; only the beginning is read."


def _n_cut(backbone: TextReader, chunk: Chunk, labels: TextLabels) -> int:
    """How many of the texts that have a label are too long for the backbone."""
    texts = [
        text
        for row, text in enumerate(chunk.texts)
        if text.strip() and row not in labels.broken
    ]
    return backbone.tokenize(texts).n_cut if texts else 0


class _Done:
    """What is known of the rows that are labelled."""

    def __init__(self) -> None:
        self.rows, self.blank, self.learned, self.cut = 0, 0, 0, 0
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.broken: dict[int, str] = {}
        self._facts: dict[str, Any] = {}
        self._findings: list[Finding] = []

    def add(
        self,
        chunk: Chunk,
        labels: TextLabels,
        *,
        label: str | None,
        learned: Collection[str],
    ) -> None:
        """Add the rows of a chunk, with the labels that they got."""
        if label is not None:
            predicted = labels.columns.iloc[:, len(labels.levels)].fillna("").tolist()
            known = column_texts(chunk.frame, label)
            rows = zip(chunk.texts, known, predicted, strict=True)
            self.learned += count_pairs(self.pairs, rows, learned)
        self.broken |= {self.rows + at + 1: why for at, why in labels.broken.items()}
        self.rows += len(chunk.texts)
        self.blank += sum(not text.strip() for text in chunk.texts)
        facts = chunk.frame.attrs["source"]
        if self._facts and facts["rows"] <= self._facts["rows"]:  # of the next file
            self._findings += check_source(self._facts, file="data")
        self._facts = facts

    def notes(self) -> list[str]:
        """What the user should know of the rows and of how they were read."""
        last = check_source(self._facts, file="data") if self.rows else []
        said = [f"{one.severity}: {one.message}" for one in [*self._findings, *last]]
        for row, reason in [*self.broken.items()][:_NAMED]:
            said.append(f"warning: row {row:,} has no label: {reason}")
        if (more := len(self.broken) - _NAMED) > 0:
            said.append(f"warning: {more:,} more rows have no label for such a reason")
        return said


def count_pairs(
    pairs: Counter[tuple[str, str]],
    rows: Iterable[tuple[str, str, str]],
    learned: Collection[str],
) -> int:
    """Add each row of (text, label, prediction) to `pairs`, except for learned texts.

    Returns the number of learned rows that have a label. Texts are compared without
    outer spaces.
    """
    n_learned = 0
    for text, label, predicted in rows:
        if text.strip() not in learned:
            pairs[label, predicted] += 1
        elif label.strip():
            n_learned += 1
    return n_learned


def _rounded(frame: pd.DataFrame, n_own: int) -> pd.DataFrame:
    """`frame` with four decimals in the columns after the first `n_own` ones."""
    added = frame.columns[n_own:]
    numbers = frame[added].select_dtypes("float").columns
    return frame.assign(**{name: frame[name].round(DECIMALS) for name in numbers})
