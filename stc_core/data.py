"""A labelled corpus from a table: columns chosen, rows checked, splits completed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from stc_core.checks import (
    check_class_sizes,
    check_labels,
    check_leaks,
    check_levels,
    check_repeats,
    check_source,
    check_unseen,
    level_names,
    unseen_labels,
)
from stc_core.columns import (
    SPLITS,
    Columns,
    as_text,
    check_column,
    guess_columns,
    resolve_columns,
)
from stc_core.config import DataConfig
from stc_core.errors import StcError
from stc_core.report import File, Finding, Report, finding
from stc_core.split import SPLIT_ORDER, TEST, TRAIN, complete_split
from stc_core.table import iter_table, read_table

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
SLICE_ROWS = 1 << 16
BLANK = hash("")


@dataclass(frozen=True)
class Corpus:
    """Usable rows with their labels and splits, and the report on all rows.

    `frame` has the columns row (from 1, in the file), file ("data" or "test"), id,
    text, label (the finest, which is trained), label_1 ... label_L when there are
    several levels, and split. Every label of any row is in train too.
    """

    frame: pd.DataFrame
    columns: Columns
    report: Report

    @property
    def texts(self) -> list[str]:
        return self.frame["text"].tolist()

    @property
    def labels(self) -> Shaped[np.ndarray, " n"]:
        return self.frame["label"].to_numpy(dtype=str)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted(self.frame["label"].unique()))

    @property
    def parents(self) -> dict[str, dict[str, str]]:
        """For each coarser level its column, and fine label -> commonest parent."""
        levels = level_names(self.columns)[:-1]
        by_fine = self.frame.groupby("label")
        modes = {level: by_fine[level].agg(lambda s: s.mode()[0]) for level in levels}
        return {level: mode.to_dict() for level, mode in modes.items()}

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
    """The corpus, ready to train on: the same settings give the same splits.

    Rows without text or label are left out and named in the report. Raises StcError
    with every finding that makes training impossible.
    """
    corpus = inspect_corpus(
        data, validation_share=validation_share, test_share=test_share, seed=seed
    )
    errors = corpus.report.errors
    if errors:
        said = " ".join(error.message for error in errors)
        raise StcError(f"{Path(data.path).name}: {said}")
    return corpus


def inspect_corpus(
    data: DataConfig,
    *,
    validation_share: float = 0.15,
    test_share: float = 0.2,
    seed: int = 0,
) -> Corpus:
    """The same as `read_corpus`, but errors of the content stay findings.

    Raises StcError only for a file or a column that cannot be read at all.
    """
    table = read_table(data.path)
    source = {**table.attrs["source"], "name": Path(data.path).name}
    columns = resolve_columns(table, data)
    frame = _pick(table, columns, file="data")
    del table
    findings = check_source(source, file="data")
    frame = _usable(frame, columns, findings, skip=source["named"].get("long", []))
    n_rows = source["rows"]
    if data.test_path:
        extra, n_extra = _read_test(data.test_path, columns, findings)
        _refuse_two_tests(frame, columns)
        frame = pd.concat([frame, extra], ignore_index=True)
        n_rows += n_extra
    findings += check_labels(frame, columns)
    if not any(f.severity == "error" for f in findings):
        findings += check_class_sizes(frame[frame["split"] != TEST])
        findings += check_levels(frame, columns)
        for file, part in frame.groupby("file"):
            findings += check_repeats(part, file="test" if file == "test" else "data")
        frame["key"] = pd.factorize(frame["key"].to_numpy())[0]
        frame["split"] = complete_split(
            frame["split"].to_numpy(dtype=str),
            frame["key"].to_numpy(),
            frame["label"].to_numpy(dtype=str),
            validation_share=validation_share,
            test_share=test_share,
            seed=seed,
        )
        findings += check_leaks(frame) + check_unseen(frame)
        unseen = unseen_labels(frame)
        frame = frame[~unseen].reset_index(drop=True) if unseen.any() else frame
    frame = frame.drop(columns="key")
    report = Report(
        n_rows=n_rows,
        n_used=len(frame),
        columns=columns,
        classes=_counts(frame),
        source={k: v for k, v in source.items() if k not in ("named", "counts")},
        findings=tuple(sorted(findings, key=_gravity)),
    )
    return Corpus(frame, columns, report)


def _gravity(found: Finding) -> int:
    return ("error", "warning", "info").index(found.severity)


def _counts(frame: pd.DataFrame) -> dict[str, dict[str, int]]:
    table = pd.crosstab(frame["label"], frame["split"])
    table = table.reindex(columns=list(SPLIT_ORDER), fill_value=0)
    return {str(label): row.to_dict() for label, row in table.iterrows()}


def _read_test(
    path: str, columns: Columns, findings: list[Finding]
) -> tuple[pd.DataFrame, int]:
    """The usable rows of the test file and how many rows it has."""
    table = read_table(path)
    name = Path(path).name
    for role, column in [("text", columns.text)] + [
        ("label", label) for label in columns.labels
    ]:
        check_column(table, column, role=f"{name}: {role}")
    identity = columns.id if columns.id in table.columns else None
    source = table.attrs["source"]
    columns = columns._replace(split=None, id=identity)
    frame = _pick(table, columns, file="test")
    del table
    findings += check_source(source, file="test")
    skip = source["named"].get("long", [])
    frame = _usable(frame, columns, findings, skip=skip)
    if not len(frame):
        raise StcError(name, expected="test rows with a text and a label", got="none")
    return frame.assign(split=TEST), source["rows"]


def _refuse_two_tests(frame: pd.DataFrame, columns: Columns) -> None:
    marked = frame["row"][frame["split"] == TEST]
    if len(marked):
        raise StcError(
            f"column {columns.split!r}",
            expected="test rows in one place",
            got=f"{len(marked):,} rows marked test there (row {marked.iloc[0]}, ...) "
            "and a test file",
            remedy="Leave out the test file, or delete those rows.",
        )


def _pick(table: pd.DataFrame, columns: Columns, *, file: File) -> pd.DataFrame:
    """The corpus columns of a table, all of its rows, and a key for equal texts."""
    rows = np.arange(1, len(table) + 1)
    text = as_text(table[columns.text])
    picked = {
        "row": rows,
        "file": file,
        "id": as_text(table[columns.id] if columns.id else pd.Series(rows)),
        "text": text,
    }
    levels = [as_text(table[name]).str.strip() for name in columns.labels]
    picked["label"] = levels[-1]
    if len(levels) > 1:
        picked |= {f"label_{n}": level for n, level in enumerate(levels, 1)}
    given = as_text(table[columns.split]) if columns.split else None
    picked["split"] = TRAIN if given is None else _known_splits(given, columns)
    picked["key"] = text_keys(text)
    return pd.DataFrame(picked)


def text_keys(texts: pd.Series) -> Int[np.ndarray, " n"]:
    """A number per text, equal where texts are equal but for outer spaces.

    BLANK for a missing or blank text. Good within one process only.
    """
    keys = np.full(len(texts), BLANK, dtype=np.int64)
    for start in range(0, len(texts), SLICE_ROWS):
        part = texts.iloc[start : start + SLICE_ROWS].tolist()
        keys[start : start + len(part)] = [
            hash(text.strip()) if isinstance(text, str) else BLANK for text in part
        ]
    return keys


def _known_splits(given: pd.Series, columns: Columns) -> pd.Series:
    known = given.str.strip().str.lower().map(SPLITS)
    wrong = np.flatnonzero(known.isna())
    if len(wrong):
        value = given.iloc[wrong[0]]
        raise StcError(
            f"split column {columns.split!r}, row {wrong[0] + 1}",
            expected="train, validation (dev, val) or test (eval, holdout)",
            got=f"{value!r}" if isinstance(value, str) and value else "an empty cell",
            remedy=f"{len(wrong):,} rows need mending; or choose no split column.",
        )
    return known


def _usable(
    frame: pd.DataFrame, columns: Columns, findings: list[Finding], *, skip: list[int]
) -> pd.DataFrame:
    """The rows with a text and all labels; the others become findings."""
    file = frame["file"].iloc[0]
    row = frame["row"]
    no_text = (frame["key"] == BLANK) & ~row.isin(skip)
    no_label = pd.Series(False, index=frame.index)
    for name in level_names(columns):
        no_label |= frame[name].isna() | (frame[name] == "")
    no_label &= ~row.isin(skip)
    if no_text.any():
        findings.append(
            finding(
                "empty_text",
                "warning",
                f"{{rows}} have no text in {columns.text!r} and are left out.",
                rows=row[no_text],
                file=file,
            )
        )
    if (no_label & ~no_text).any():
        findings.append(
            finding(
                "missing_label",
                "warning",
                f"{{rows}} have no label in {' or '.join(map(repr, columns.labels))} "
                "and are left out.",
                rows=row[no_label & ~no_text],
                file=file,
            )
        )
    bad = no_text | no_label | (frame["key"] == BLANK)
    return frame[~bad].reset_index(drop=True) if bad.any() else frame
