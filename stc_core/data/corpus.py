"""A labelled corpus from a table: columns chosen, rows checked, splits completed."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from stc_core.config import DataConfig
from stc_core.data.checks import (
    check_balance,
    check_class_sizes,
    check_empty_splits,
    check_labels,
    check_leaks,
    check_numbers,
    check_repeats,
    check_source,
    check_unseen,
    commonest_parents,
    level_findings,
    unseen_labels,
)
from stc_core.data.columns import (
    SPLITS,
    Columns,
    check_column,
    guess_columns,
    level_names,
    resolve_columns,
)
from stc_core.data.findings import (
    AppliedRepair,
    File,
    Finding,
    Report,
    cause_rank,
)
from stc_core.data.reading.pipes import source_name
from stc_core.data.repairs import leave_out, mend_labels
from stc_core.data.split import SPLIT_ORDER, TEST, TRAIN, complete_split
from stc_core.data.statistics import class_balance
from stc_core.data.table import iter_table, read_table
from stc_core.data.texts import Texts
from stc_core.data.usable_rows import keep_rows, text_keys, usable_rows
from stc_core.errors import StcError
from stc_core.frames import as_text, codes, equals, series

__all__ = [
    "Columns",
    "Corpus",
    "as_text",
    "check_column",
    "guess_columns",
    "inspect_corpus",
    "iter_table",
    "read_corpus",
    "read_table",
    "resolve_columns",
]
DELIMITED = ("csv", "tsv")


@dataclass(frozen=True)
class Corpus:
    """The usable rows with their labels and splits, and the report on all rows.

    `frame` has the columns row (from 1, in the file), file ("data" or "test"), id,
    text, label (the finest one, which is trained), label_1 ... label_L if there are
    several levels, thought and reply if they are given, and split. Every label of any
    row is also in train.
    """

    frame: pd.DataFrame
    columns: Columns
    report: Report

    @property
    def texts(self) -> Texts:
        """The texts; each becomes a string when it is read."""
        return Texts(series(self.frame, "text"))

    @property
    def labels(self) -> Shaped[np.ndarray, " n"]:
        """The trained label of each row."""
        return self.frame["label"].to_numpy(dtype=str)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted(self.frame["label"].unique()))

    @property
    def parents(self) -> dict[str, dict[str, str]]:
        """For each coarser level's column, the commonest parent of each fine label."""
        return {
            level: commonest_parents(self.frame, level, "label")
            for level in level_names(self.columns)[:-1]
        }

    def take(self, rows: Int[np.ndarray, " some"]) -> "Corpus":
        """The rows at these positions, in this order, with the report of all rows."""
        frame = self.frame.take(rows).reset_index(drop=True)
        return Corpus(frame, self.columns, self.report)

    def rows(self, split: str) -> Int[np.ndarray, " n_split"]:
        """Positions in the frame of the rows of one split, ascending."""
        assert split in SPLIT_ORDER, split
        return np.flatnonzero(self.frame["split"] == split)


def read_corpus(
    data: DataConfig,
    *,
    validation_share: float = 0.15,
    test_share: float = 0.2,
    seed: int = 0,
) -> Corpus:
    """The corpus, ready to train on: equal settings give equal splits.

    Rows without text or label are left out and named in the report. StcError with every
    finding that makes training impossible.
    """
    corpus = inspect_corpus(
        data, validation_share=validation_share, test_share=test_share, seed=seed
    )
    errors = corpus.report.errors
    if errors:
        messages = " ".join(error.message for error in errors)
        raise StcError(f"{source_name(data.path)}: {messages}")
    return corpus


def inspect_corpus(
    data: DataConfig,
    *,
    validation_share: float = 0.15,
    test_share: float = 0.2,
    seed: int = 0,
) -> Corpus:
    """The corpus as `read_corpus` gives it, but errors in the content stay findings.

    StcError only for a file or a column that cannot be read at all.
    """
    parts = _gather(data)
    frame, columns, findings = parts.frame, parts.columns, parts.findings
    findings += check_labels(frame, columns) + check_numbers(frame, columns)
    if not any(f.severity == "error" for f in findings):
        findings += check_class_sizes(frame) + check_balance(frame)
        findings += level_findings(frame, columns)
        frame["split"] = complete_split(
            _splits(frame),
            frame["key"].to_numpy(),
            codes(frame, "label")[0],
            validation_share=validation_share,
            test_share=test_share,
            seed=seed,
        )
        findings += _check_rows(frame)
        frame = keep_rows(frame, ~unseen_labels(frame))
        findings += check_empty_splits(frame)
    report = Report(
        n_rows=parts.n_rows,
        n_used=len(frame),
        columns=columns,
        classes=_counts(frame),
        source=parts.source,
        findings=tuple(sorted(findings, key=cause_rank)),
        repairs=tuple(parts.applied),
    )
    return Corpus(frame.drop(columns="key"), columns, report)


def labelled_texts(data: DataConfig) -> tuple[list[str], Int[np.ndarray, " n"]]:
    """Every usable text of the file, in any split, and the class code of its label.

    StcError for labels that cannot be classes.
    """
    parts = _gather(data)
    errors = [
        problem.message
        for problem in check_labels(parts.frame, parts.columns)
        if problem.severity == "error"
    ]
    if errors:
        raise StcError(f"{source_name(data.path)}: {' '.join(errors)}")
    labels = parts.frame["label"].to_numpy(dtype=str)
    return parts.frame["text"].tolist(), np.unique(labels, return_inverse=True)[1]


class _Parts(NamedTuple):
    frame: pd.DataFrame
    columns: Columns
    findings: list[Finding]
    applied: list[AppliedRepair]
    n_rows: int
    source: dict[str, Any]


def _gather(data: DataConfig) -> _Parts:
    """The usable rows of the file and of the test file, not split yet."""
    table = read_table(data.path, encoding=data.encoding)
    columns = resolve_columns(table, data)
    sources = {"data": table.attrs["source"]}
    frame = _pick(table, columns, file="data")
    del table
    findings = check_source(sources["data"], file="data")
    if data.test_path:
        _refuse_two_tests(frame, columns)
        test, sources["test"] = _read_test(data, columns)
        findings += check_source(sources["test"], file="test")
        frame = pd.concat([frame, test], ignore_index=True)
    csv = [name for name, facts in sources.items() if facts["format"] in DELIMITED]
    frame, columns, applied, faults = mend_labels(frame, columns, data.repairs)
    settled = [one.what for one in data.repairs if one.do == "leave-out"]
    usable = usable_rows(frame, columns, csv=csv, settled=settled)
    frame = keep_rows(frame, usable.rows)
    stays, left_out, more_faults = leave_out(frame, columns, data.repairs)
    frame = keep_rows(frame, stays)
    if data.test_path and not equals(frame, "file", "test").any():
        name, wanted = source_name(data.test_path), "test rows with a text and a label"
        raise StcError(name, expected=wanted, got="none")
    frame["key"] = pd.factorize(frame["key"].to_numpy())[0]
    kept = ("format", "encoding", "delimiter", "rows", "candidates", "sure")
    facts = {name: sources["data"][name] for name in kept}
    return _Parts(
        frame,
        columns,
        [*findings, *faults, *usable.findings, *more_faults],
        [*applied, *usable.applied, *left_out],
        sum(one["rows"] for one in sources.values()),
        {"name": source_name(data.path), **facts},
    )


def _splits(frame: pd.DataFrame) -> Shaped[np.ndarray, " n"]:
    code, names = codes(frame, "split")
    return np.array(names, dtype=object)[code]


def _check_rows(frame: pd.DataFrame) -> list[Finding]:
    """Findings about single rows, once all rows have a split."""
    frame = frame.drop(columns="text")
    findings = []
    files: tuple[File, ...] = ("data", "test")
    for name in files:
        rows = np.flatnonzero(equals(frame, "file", name))
        findings += check_repeats(frame.take(rows), file=name) if len(rows) else []
    return findings + check_leaks(frame) + check_unseen(frame)


def _counts(frame: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Rows by label and split, sorted by label."""
    counts: dict[str, dict[str, int]] = {}
    for label, split, rows in class_balance(frame).itertuples(index=False):
        counts.setdefault(label, {})[split] = rows
    return dict(sorted(counts.items()))


def _read_test(
    data: DataConfig, columns: Columns
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows of the test file, and the facts about the file."""
    assert data.test_path is not None, data
    table = read_table(data.test_path, encoding=data.encoding)
    name = source_name(data.test_path)
    for role, column in [
        ("text", columns.text),
        *(("label", label) for label in columns.labels),
        *columns.written.items(),
    ]:
        check_column(table, column, role=f"{name}: {role}")
    identity = columns.id if columns.id in table.columns else None
    columns = columns._replace(split=None, id=identity)
    frame = _pick(table, columns, file="test")
    return frame.assign(split=TEST), table.attrs["source"]


def _refuse_two_tests(frame: pd.DataFrame, columns: Columns) -> None:
    """StcError if the table marks test rows although there is a test file."""
    marked = frame["row"].to_numpy()[equals(frame, "split", TEST)]
    if len(marked):
        raise StcError(
            f"split column {columns.split!r}",
            expected="test rows in one place",
            got=f"{len(marked):,} rows marked test in it (row {marked[0]}, ...) "
            "and a test file",
            remedy="Leave out the test file, or delete those rows.",
        )


def _pick(table: pd.DataFrame, columns: Columns, *, file: File) -> pd.DataFrame:
    """The corpus columns of all rows of a table, and a key for equal texts."""
    rows = np.arange(1, len(table) + 1)
    text = as_text(series(table, columns.text))
    picked = {
        "row": rows,
        "file": file,
        "id": as_text(series(table, columns.id) if columns.id else pd.Series(rows)),
        "text": text,
    }
    levels = [as_text(series(table, name)).str.strip() for name in columns.labels]
    picked["label"] = levels[-1]
    if len(levels) > 1:
        picked |= {f"label_{n}": level for n, level in enumerate(levels, 1)}
    for role, column in columns.written.items():
        picked[role] = as_text(series(table, column)).str.strip()
    cells = as_text(series(table, columns.split)) if columns.split else None
    picked["split"] = TRAIN if cells is None else _known_splits(cells, columns)
    picked["key"] = text_keys(text)
    return pd.DataFrame(picked)


def _known_splits(given: pd.Series, columns: Columns) -> pd.Series:
    """The split of each row under its standard name; StcError for unknown names."""
    known = given.str.strip().str.lower().map(SPLITS)
    wrong = np.flatnonzero(known.isna())
    if len(wrong):
        value = given.iloc[wrong[0]]
        raise StcError(
            f"split column {columns.split!r}, row {wrong[0] + 1}",
            expected="train, validation (dev, val) or test (eval, holdout)",
            got=f"{value!r}" if isinstance(value, str) and value else "an empty cell",
            remedy=f"Correct {len(wrong):,} rows, or choose no split column.",
        )
    return known
