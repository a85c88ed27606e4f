"""The checks of a corpus: frames in, findings out, each with its rows and remedy.

The frames have the columns row, file, text, label, label_1..., split and key, where
rows with equal texts, but for outer spaces, share a key.
"""

from collections import Counter

import numpy as np
import pandas as pd

from stc_core.columns import Columns, is_fractional
from stc_core.report import NAMED_ROWS, File, Finding, finding
from stc_core.split import TEST, TRAIN, VALIDATION

MAX_CLASSES = 1000
MIN_ROWS = 2
FEW_ROWS = 10
NAMED_CLASSES = 8
NULL_WORDS = frozenset("nan na n/a #n/a null none nil - ?".split())


def check_source(source: dict, *, file: File) -> list[Finding]:
    """Rows that reading had to mend."""
    said = {
        "repaired": "{rows} held bytes that are not "
        + f"{source['encoding']}; they were read as Windows-1252. Save the file "
        "as UTF-8 if letters look wrong.",
        "short": "{rows} had fewer fields than the header; the missing ones count as "
        "empty.",
        "long": "{rows} had more fields than the header and were left out. Put cells "
        'that contain the delimiter in quotes "...".',
    }
    return [
        finding(
            kind,
            "warning",
            message,
            rows=source["named"][kind],
            count=source["counts"][kind],
            file=file,
        )
        for kind, message in said.items()
        if source["counts"].get(kind)
    ]


def check_labels(frame: pd.DataFrame, columns: Columns) -> list[Finding]:
    """Errors of label columns as a whole; stops at the first per column."""
    if not len(frame):
        return [
            finding("no_rows", "error", "No row has both a text and a label.", count=0)
        ]
    names = level_names(columns)
    found = []
    for column, name in zip(columns.labels, names, strict=True):
        problem = _label_problem(frame[name], column, finest=name == names[-1])
        found += [problem] if problem else _odd_names(frame, name, column)
    if columns.labels[-1] in set(frame["label"]):
        found.append(
            finding(
                "no_header",
                "warning",
                f"The header {columns.labels[-1]!r} is itself one of the labels: the "
                "file may lack a header row. Add a first line such as text,label.",
            )
        )
    return found


def _label_problem(values: pd.Series, column: str, *, finest: bool) -> Finding | None:
    n, distinct = len(values), set(values)
    some = ", ".join(sorted(distinct)[:3])
    if len(distinct) > 20 and is_fractional(distinct):
        kind, said = (
            "label_continuous",
            (
                f"holds {len(distinct):,} different decimal numbers ({some}, ...): a "
                "measure, not classes. Choose another column or cut it into ranges"
            ),
        )
    elif n >= 20 and len(distinct) >= 0.9 * n:
        kind, said = (
            "label_id",
            (
                f"has another value on nearly every row ({len(distinct):,} on {n:,}): an "
                "id or free text, not classes. Choose another column"
            ),
        )
    elif len(distinct) > MAX_CLASSES:
        kind, said = (
            "classes_too_many",
            (
                f"has {len(distinct):,} classes; at most {MAX_CLASSES:,} are supported. "
                "Choose a coarser column or merge rare classes"
            ),
        )
    elif finest and len(distinct) == 1:
        kind, said = (
            "one_class",
            (
                f"has the one value {some!r} on all {n:,} rows; two classes are needed. "
                "Choose another column or add rows of another class"
            ),
        )
    else:
        return None
    return finding(kind, "error", f"Label column {column!r} {said}.", count=n)


def _odd_names(frame: pd.DataFrame, name: str, column: str) -> list[Finding]:
    """Classes that may be one (case), or none (words for nothing)."""
    found = []
    folded: dict[str, list[str]] = {}
    for value in sorted(set(frame[name])):
        folded.setdefault(value.casefold(), []).append(value)
    same = [values for values in folded.values() if len(values) > 1]
    if same:
        said = "; ".join(" and ".join(map(repr, values)) for values in same[:3])
        rare = [v for values in same for v in _rarer(frame[name], values)]
        found.append(
            finding(
                "label_variants",
                "warning",
                f"Label column {column!r} has classes that differ in case only ({said})"
                ": {rows} have the rarer spelling. They stay apart; make them one if "
                "they mean the same.",
                rows=frame["row"][frame[name].isin(rare)],
            )
        )
    words = [v for v in set(frame[name]) if v.casefold() in NULL_WORDS]
    if words:
        found.append(
            finding(
                "label_null_word",
                "warning",
                f"Label column {column!r} has the class "
                f"{' and '.join(map(repr, sorted(words)))} on "
                "{rows}. It is kept as a class; empty the cells if it means missing.",
                rows=frame["row"][frame[name].isin(words)],
            )
        )
    return found


def _rarer(values: pd.Series, spellings: list[str]) -> list[str]:
    counts = Counter(values[values.isin(spellings)])
    return [spelling for spelling, _ in counts.most_common()[1:]]


def check_class_sizes(frame: pd.DataFrame) -> list[Finding]:
    """Classes too small to learn, counted outside of a given test set."""
    counts = frame["label"].value_counts()
    tiny = sorted(counts.index[counts < MIN_ROWS])
    small = sorted(counts.index[(counts >= MIN_ROWS) & (counts < FEW_ROWS)])
    found = []
    if tiny:
        found.append(
            finding(
                "class_too_small",
                "error",
                f"{_say_classes(tiny)} only one row to learn from: "
                "{rows}. Add rows, merge the class with another, or delete the row.",
                rows=frame["row"][frame["label"].isin(tiny)],
            )
        )
    if small:
        found.append(
            finding(
                "class_small",
                "warning",
                f"{_say_classes(small)} fewer than {FEW_ROWS} rows to learn from: "
                "{rows}. Expect them to be recognised poorly.",
                rows=frame["row"][frame["label"].isin(small)],
            )
        )
    return found


def _say_classes(names: list[str]) -> str:
    some = ", ".join(map(repr, names[:NAMED_CLASSES]))
    if len(names) == 1:
        return f"Class {some} has"
    more = ", ..." if len(names) > NAMED_CLASSES else ""
    return f"{len(names):,} classes ({some}{more}) have"


def check_levels(frame: pd.DataFrame, columns: Columns) -> list[Finding]:
    """Children with several parents, and levels given from fine to coarse."""
    names = level_names(columns)
    found = []
    pairs = zip(
        names[:-1], names[1:], columns.labels[:-1], columns.labels[1:], strict=True
    )
    for coarse, fine, coarse_column, fine_column in pairs:
        if frame[fine].nunique() < frame[coarse].nunique():
            found.append(
                finding(
                    "level_order",
                    "warning",
                    f"{coarse_column!r} has more classes than {fine_column!r}. Give "
                    "label columns from coarse to fine; the last one is trained.",
                )
            )
            continue
        parents = frame.groupby(fine)[coarse].agg(["nunique", _commonest])
        many = parents.index[parents["nunique"] > 1]
        if len(many):
            usual = frame[fine].map(parents["_commonest"])
            found.append(
                finding(
                    "several_parents",
                    "warning",
                    f"In {fine_column!r}, {_say_classes(sorted(many))} several parents "
                    f"in {coarse_column!r}: "
                    "{rows} have another parent than usual. Predictions use the "
                    "commonest parent; rename the classes if they differ in meaning.",
                    rows=frame["row"][usual != frame[coarse]],
                )
            )
    return found


def _commonest(values: pd.Series) -> str:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


def check_repeats(frame: pd.DataFrame, *, file: File) -> list[Finding]:
    """Exact duplicates within one file, with the same and with other labels."""
    code = pd.factorize(frame["label"])[0]
    pair = pd.DataFrame({"key": frame["key"].to_numpy(), "code": code})
    again = pair.duplicated().to_numpy()
    distinct = pair.drop_duplicates()["key"]
    clashing = distinct[distinct.duplicated()].unique()
    clash = pair["key"].isin(clashing).to_numpy()
    rows = frame["row"].to_numpy()
    found = []
    if (again & ~clash).any():
        found.append(
            finding(
                "duplicate",
                "warning",
                "{rows} repeat the text and label of an earlier row. They weigh double"
                "; delete them unless that is meant.",
                rows=rows[again & ~clash],
                file=file,
            )
        )
    if clash.any():
        found.append(
            finding(
                "conflict",
                "warning",
                f"{len(clashing):,} texts appear with different labels: "
                "{rows}. Decide on one label for each text.",
                rows=rows[clash],
                file=file,
            )
        )
    return found


def check_leaks(frame: pd.DataFrame) -> list[Finding]:
    """Texts of test or validation that train holds too."""
    key, split = frame["key"].to_numpy(), frame["split"].to_numpy()
    seen = np.isin(key, key[split == TRAIN])
    effects = {
        TEST: ("leak", "the test score will flatter"),
        VALIDATION: ("leak_validation", "choices made on validation will flatter"),
    }
    found = []
    for name, (kind, effect) in effects.items():
        leaked = frame[(split == name) & seen]
        if len(leaked):
            of = int((split == name).sum())
            found.append(
                finding(
                    kind,
                    "warning",
                    f"{len(leaked) / of:.1%} of the {name} texts are in train too: "
                    f"{{rows}}; {effect}. Delete them from one of the two.",
                    rows=leaked["row"],
                    file=leaked["file"].iloc[0],
                )
            )
    return found


def unseen_labels(frame: pd.DataFrame) -> pd.Series:
    """True on rows of test and validation whose label train does not have."""
    known = set(frame["label"][frame["split"] == TRAIN])
    return ~frame["label"].isin(known) & (frame["split"] != TRAIN)


def check_unseen(frame: pd.DataFrame) -> list[Finding]:
    """Labels of test and validation that train lacks, one finding a split."""
    unseen = frame[unseen_labels(frame)]
    return [
        finding(
            "unseen_label",
            "warning",
            f"{_say_classes(sorted(set(rows['label'])))} no row in train but some in "
            f"{split}: {{rows}} cannot be predicted rightly and are left out of the "
            "score. Add such rows to train or check the spelling.",
            rows=rows["row"],
            file=rows["file"].iloc[0],
        )
        for split, rows in unseen.groupby("split")
    ]


def level_names(columns: Columns) -> list[str]:
    """What the corpus calls its label columns, from coarse to fine."""
    n = len(columns.labels)
    return ["label"] if n == 1 else [f"label_{level}" for level in range(1, n + 1)]
