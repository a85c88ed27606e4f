"""Predictions for a table of any length: its columns with the labels added."""

import gzip
import io
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stc_core.cells import formula_note, json_text
from stc_core.data.checks import check_source
from stc_core.data.corpus import as_text, check_column
from stc_core.data.reading.pipes import is_stream
from stc_core.data.table import iter_table
from stc_core.errors import StcError
from stc_core.files import replacing
from stc_core.frames import write_csv
from stc_core.streams import table_output
from stc_core.types import Progress, silent

LABEL_COLUMN = "predicted_label"
PROBABILITY_COLUMN = "probability"
DECIMALS = 4
"""The decimals of a probability in a text file; Parquet has all of them."""
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz")
_CHUNK_ROWS = 2048


@runtime_checkable
class Predictor(Protocol):
    """Anything that labels texts, such as `SparsifyThenClassify`."""

    @property
    def classes_(self) -> np.ndarray: ...

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray: ...


@runtime_checkable
class LevelPredictor(Predictor, Protocol):
    """Anything that labels texts level by level, such as `HierarchicalClassifier`."""

    def answer(self, texts: Sequence[str]) -> Any: ...

    def level_columns(self, way: Any) -> dict[str, np.ndarray]: ...

    def finest_labels(self, way: Any) -> np.ndarray: ...


@runtime_checkable
class WritingPredictor(LevelPredictor, Protocol):
    """Anything that writes text after the labels, such as `ReplyingClassifier`."""

    @property
    def writes(self) -> bool: ...

    def write(self, texts: Sequence[str]) -> Any: ...

    def written_columns(self, written: Any) -> dict[str, np.ndarray]: ...


def added_columns(
    columns: Sequence[str], classes: Sequence[str], levels: Sequence[str] = ()
) -> list[str]:
    """The names of the added columns, always in this order: `levels`,
    `predicted_label`, `probability`, and each `p:<class>`.

    If `columns` already has a name, the new one gets the first free suffix: _2, _3 ...
    """
    taken, names = set(columns), []
    for wanted in (
        *levels,
        LABEL_COLUMN,
        PROBABILITY_COLUMN,
        *map("p:{}".format, classes),
    ):
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        taken.add(name)
        names.append(name)
    return names


def annotate(classifier: Predictor, frame: pd.DataFrame, *, text: str) -> pd.DataFrame:
    """`frame` with the predicted label, its probability, and that of each class.

    They are on the right, in the order of `added_columns`. A hierarchical classifier
    adds the label and probability of each level before them, then the texts that it
    writes, if any. Rows keep their order. A row without text gets neither label nor
    probability.
    """
    texts = as_text(pd.Series(frame[text])).fillna("")
    full = np.flatnonzero(~_blank(texts))
    classes = [str(name) for name in classifier.classes_]
    labels = np.full(len(frame), None, dtype=object)
    probabilities = np.full((len(frame), len(classes)), np.nan)
    certainty = np.full(len(frame), np.nan)
    levels: dict[str, np.ndarray] = {}
    given = texts.iloc[full].tolist()
    if isinstance(classifier, LevelPredictor):
        way, levels = _down(classifier, given)
        if way is not None:
            probabilities[full] = way.shares[-1]
            labels[full] = classifier.finest_labels(way)
            finest = (way.nodes >= 0).sum(axis=1) - 1
            certainty[full] = way.probabilities()[np.arange(len(full)), finest]
    elif given:
        probabilities[full] = classifier.predict_proba(given)
        best = probabilities[full].argmax(axis=1)
        labels[full] = np.array(classes, dtype=object)[best]
        certainty[full] = probabilities[full].max(axis=1)
    names = added_columns([str(name) for name in frame.columns], classes, list(levels))
    *coarse, name, sure = names[: len(levels) + 2]
    added = pd.DataFrame(probabilities, columns=pd.Index(names[len(levels) + 2 :]))
    added.insert(0, sure, certainty)
    added.insert(0, name, pd.Series(labels, dtype="str"))
    for place, (name, values) in enumerate(zip(coarse, levels.values(), strict=True)):
        added.insert(place, name, pd.Series(values, index=full).reindex(added.index))
    return pd.concat([frame, added.set_index(frame.index)], axis=1)


def _blank(texts: pd.Series) -> np.ndarray:
    return texts.str.strip().eq("").to_numpy(bool)


def _down(
    classifier: LevelPredictor, given: list[str]
) -> tuple[Any, dict[str, np.ndarray]]:
    """The path of each text, and the columns of its levels and of written texts."""
    if isinstance(classifier, WritingPredictor) and classifier.writes:
        written = classifier.write(given) if given else None
        way = written.way if written else None
        more = classifier.written_columns(written)
        return way, {**classifier.level_columns(way), **more}
    way = classifier.answer(given) if given else None
    return way, classifier.level_columns(way)


def text_column(columns: Sequence[str], *, given: str | None, trained: str) -> str:
    """The text column: the given one, that of the training, or the only column."""
    if given is None and trained not in columns and len(columns) == 1:
        return columns[0]
    return trained if given is None else given


class Labelled(NamedTuple):
    """The number of rows, and the number of rows without text and so without label.

    `pairs` has the number of rows for each label of the file and its prediction, if a
    column of labels was named. A cell without either is ''. Rows with a text that the
    classifier has learned are not in `pairs`; `learned` is their number.
    """

    rows: int
    blank: int
    pairs: Mapping[tuple[str, str], int] = {}
    learned: int = 0

    @property
    def said(self) -> str:
        sentence = f"{self.rows:,} rows labelled"
        if not self.blank:
            return sentence
        return f"{self.rows - self.blank:,} of {sentence}, the others have no text"


def predict_file(
    classifier: Predictor,
    source: str | Path,
    out: str | Path,
    *,
    trained: str,
    text: str | None = None,
    encoding: str | None = None,
    keep_formulas: bool = False,
    label: str | None = None,
    learned: Collection[str] = (),
    progress: Progress = silent,
    tell: Callable[[str], object] = str,
) -> Labelled:
    """Label the table `source` and write it to `out`; return the numbers of rows.

    `out` is written completely or not at all, in the format of its suffix; "-" is CSV
    on standard output. Memory does not grow with the table. `label` names the column
    whose labels are compared with the predictions, except for the texts in `learned`.
    `tell` gets notes for the user on how the table was read. In CSV and TSV a cell that
    a spreadsheet would run as a formula gets an apostrophe in front, unless
    `keep_formulas` is true.
    """
    n_rows, n_blank, n_learned, n_formulas = 0, 0, 0, 0
    exact = str(out).lower().endswith(".parquet")
    facts: dict[str, Any] = {}
    pairs: Counter[tuple[str, str]] = Counter()
    with table_writer(out, source=source, keep_formulas=keep_formulas) as write:
        for chunk in iter_table(source, chunk_rows=_CHUNK_ROWS, encoding=encoding):
            columns = [str(name) for name in chunk.columns]
            column = text_column(columns, given=text, trained=trained)
            check_column(chunk, column, role="text")
            if label is not None:
                check_column(chunk, label, role="label")
            labelled = annotate(classifier, chunk, text=column)
            if label is not None:
                three = (column, label, added_columns(columns, [])[0])
                cells = [as_text(pd.Series(labelled[one])).fillna("") for one in three]
                n_learned += count_pairs(pairs, zip(*cells, strict=True), learned)
            shown = labelled if exact else _rounded(labelled, len(columns))
            n_formulas += write(shown)
            facts = chunk.attrs["source"]
            n_rows += len(chunk)
            n_blank += int(_blank(as_text(pd.Series(chunk[column])).fillna("")).sum())
            progress(n_rows, 0)
        for finding in check_source(facts, file="data") if n_rows else []:
            tell(f"{finding.severity}: {finding.message}")
        if n_formulas:
            tell(f"info: {formula_note(n_formulas)}")
    return Labelled(n_rows, n_blank, pairs, n_learned)


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


Write = Callable[[pd.DataFrame], int]
"""Appends a frame, and gives the number of cells that were escaped."""


@contextmanager
def table_writer(
    out: str | Path, *, source: str | Path, keep_formulas: bool = False
) -> Iterator[Write]:
    """A function that appends a frame to `out`; the file appears at the end."""
    if str(out) == "-":
        with table_output() as handle:
            yield _text_writer(handle, ".csv", keep_formulas=keep_formulas)
        return
    out = Path(out)
    suffix = _suffix(out)
    if out.exists() and not is_stream(source) and out.samefile(source):
        raise StcError(
            f"out {str(out)!r}",
            expected="a file other than the table that is read",
            remedy="Choose another --out.",
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as path:
        if suffix == ".parquet":
            with _ParquetFile(path) as file:
                yield file.write
        else:
            with _open_text(path, suffix) as handle:
                yield _text_writer(handle, suffix, keep_formulas=keep_formulas)


def _suffix(out: Path) -> str:
    for suffix in _SUFFIXES:
        if out.name.lower().endswith(suffix):
            return suffix
    raise StcError(
        f"out {str(out)!r}",
        expected=f"a name that ends in {', '.join(_SUFFIXES)}",
        remedy="The suffix chooses the format; '-' writes CSV to the terminal.",
    )


def _open_text(path: Path, suffix: str) -> io.TextIOWrapper:
    if suffix.endswith(".gz"):
        return gzip.open(path, "wt", encoding="utf-8", newline="")
    return path.open("w", encoding="utf-8", newline="")


def _text_writer(handle: Any, suffix: str, *, keep_formulas: bool) -> Write:
    first = True

    def write(frame: pd.DataFrame) -> int:
        nonlocal first
        n_escaped = 0
        if suffix.startswith(".jsonl"):
            with_nulls = frame.astype(object).where(frame.notna(), None)
            for row in with_nulls.to_dict("records"):
                handle.write(f"{json_text(row)}\n")
        else:
            separator = "\t" if suffix.startswith(".tsv") else ","
            n_escaped = write_csv(
                frame,
                handle,
                separator=separator,
                header=first,
                keep_formulas=keep_formulas,
            )
        first = False
        return n_escaped

    return write


class _ParquetFile:
    """A Parquet file to which frames with the same columns are appended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "_ParquetFile":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def write(self, frame: pd.DataFrame) -> int:
        """Append the frame; no cell of a Parquet file is ever run, so 0."""
        schema = None if self.writer is None else self.writer.schema
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        table = table.replace_schema_metadata()  # plain columns for any reader
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.path, table.schema)
        self.writer.write_table(table)
        return 0
