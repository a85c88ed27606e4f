"""The checks of a corpus: frames in, findings out, each with its rows and remedy.

The frames have the columns row, file, text, label, label_1..., split and key, where
rows with equal texts, but for outer spaces, share a key.
"""

from collections import Counter

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Shaped

from stc_core.columns import Columns, is_fractional
from stc_core.report import File, Finding, finding
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
    """Errors of label columns as a whole; a sound column's odd class names."""
    if not len(frame):
        return [finding("no_rows", "error", "No row has both a text and a label.")]
    if TRAIN not in set(frame["split"]):
        said = f"Split column {columns.split!r} marks no usable row as train."
        return [finding("no_train", "error", said)]
    names = level_names(columns)
    rows = frame["row"].to_numpy()
    found = []
    for column, name in zip(columns.labels, names, strict=True):
        values = frame[name].to_numpy(dtype=object)
        problem = _label_problem(values, column, finest=name == names[-1])
        found += [problem] if problem else _odd_names(values, rows, column)
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


def _label_problem(
    values: Shaped[np.ndarray, " n"], column: str, *, finest: bool
) -> Finding | None:
    n, distinct = len(values), set(values)
    some = ", ".join(sorted(distinct)[:3])
    kind = None
    if len(distinct) > 20 and is_fractional(distinct):
        kind = "label_continuous"
        said = f"holds {len(distinct):,} different decimal numbers ({some}, ...)"
        mend = "A measure is no class: choose another column or cut it into ranges."
    elif n >= 20 and len(distinct) >= 0.9 * n:
        kind = "label_id"
        said = f"has {len(distinct):,} different values on {n:,} rows ({some}, ...)"
        mend = "An id or free text is no class: choose another column."
    elif len(distinct) > MAX_CLASSES:
        kind = "classes_too_many"
        said = f"has {len(distinct):,} classes; at most {MAX_CLASSES:,} are supported"
        mend = "Choose a coarser column or merge rare classes."
    elif finest and len(distinct) == 1:
        kind = "one_class"
        said = f"has the one value {some!r} on all {n:,} rows; two are needed"
        mend = "Choose another column or add rows of another class."
    if kind is None:
        return None
    return finding(kind, "error", f"Label column {column!r} {said}. {mend}", count=n)


def _odd_names(
    values: Shaped[np.ndarray, " n"], rows: Int[np.ndarray, " n"], column: str
) -> list[Finding]:
    """Classes that may be one (spelt in two ways), or none (words for nothing)."""
    counts = Counter(values)
    spellings: dict[str, list[str]] = {}
    for value, _ in counts.most_common():
        spellings.setdefault(value.casefold(), []).append(value)
    same = [values for values in spellings.values() if len(values) > 1]
    found = []
    if same:
        said = "; ".join(" and ".join(map(repr, values)) for values in same[:3])
        rarer = [value for values in same for value in values[1:]]
        found.append(
            finding(
                "label_variants",
                "warning",
                f"Label column {column!r} has classes that differ in case only ({said})"
                ": {rows} with the rarer spelling. They stay apart; make them one if "
                "they mean the same.",
                rows=rows[np.isin(values, rarer)],
            )
        )
    words = sorted(value for value in counts if value.casefold() in NULL_WORDS)
    if words:
        found.append(
            finding(
                "label_null_word",
                "warning",
                f"Label column {column!r} has the class "
                f"{' and '.join(map(repr, words))} on "
                "{rows}. It is kept as a class; empty the cells if it means missing.",
                rows=rows[np.isin(values, words)],
            )
        )
    return found


def check_class_sizes(frame: pd.DataFrame) -> list[Finding]:
    """Classes too small to learn; leave rows of a given test set out of `frame`."""
    labels, rows = frame["label"].to_numpy(dtype=object), frame["row"].to_numpy()
    counts = Counter(labels)
    tiny = sorted(label for label, n in counts.items() if n < MIN_ROWS)
    small = sorted(label for label, n in counts.items() if MIN_ROWS <= n < FEW_ROWS)
    found = []
    if tiny:
        found.append(
            finding(
                "class_too_small",
                "error",
                f"{_say_classes(tiny)} only one row to learn from: "
                "{rows}. Add rows, merge the class with another, or delete the row.",
                rows=rows[np.isin(labels, tiny)],
            )
        )
    if small:
        found.append(
            finding(
                "class_small",
                "warning",
                f"{_say_classes(small)} fewer than {FEW_ROWS} rows to learn from: "
                "{rows}. Expect poor recognition; add rows or merge classes.",
                rows=rows[np.isin(labels, small)],
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
    rows = frame["row"].to_numpy()
    found = []
    for level in range(len(names) - 1):
        coarse = frame[names[level]].to_numpy(dtype=object)
        fine = frame[names[level + 1]].to_numpy(dtype=object)
        coarse_column, fine_column = columns.labels[level : level + 2]
        if len(set(fine)) < len(set(coarse)):
            found.append(
                finding(
                    "level_order",
                    "warning",
                    f"{coarse_column!r} has more classes than {fine_column!r}. Give "
                    "label columns from coarse to fine; the last one is trained.",
                )
            )
            continue
        usual = commonest_parents(fine, coarse)
        odd = coarse != np.array([usual[child] for child in fine], dtype=object)
        if odd.any():
            many = sorted(set(fine[odd]))
            found.append(
                finding(
                    "several_parents",
                    "warning",
                    f"In {fine_column!r}, {_say_classes(many)} several parents in "
                    f"{coarse_column!r}: "
                    "{rows} with another parent than usual. Predictions use the "
                    "commonest parent; rename the classes if they differ in meaning.",
                    rows=rows[odd],
                )
            )
    return found


def commonest_parents(
    fine: Shaped[np.ndarray, " n"], coarse: Shaped[np.ndarray, " n"]
) -> dict[str, str]:
    """Fine label -> the coarse label it meets most often; ties go to the first name."""
    parents: dict[str, tuple[int, str]] = {}
    pairs = Counter(zip(fine, coarse, strict=True))
    for (child, parent), n in sorted(pairs.items()):
        if child not in parents or n > parents[child][0]:
            parents[child] = (n, parent)
    return {child: parent for child, (_, parent) in parents.items()}


def check_repeats(frame: pd.DataFrame, *, file: File) -> list[Finding]:
    """Exact duplicates within one file, with the same and with other labels."""
    rows, key = frame["row"].to_numpy(), frame["key"].to_numpy()
    pairs = pd.DataFrame({"key": key, "code": pd.factorize(frame["label"])[0]})
    again = pairs.duplicated().to_numpy()
    kinds_of_key = pairs["key"].to_numpy()[~again]
    keys, kinds = np.unique(kinds_of_key, return_counts=True)
    clash = np.isin(key, keys[kinds > 1])
    found = []
    if (again & ~clash).any():
        found.append(
            finding(
                "duplicate",
                "warning",
                "Text and label of an earlier row are repeated on {rows}. Repeats "
                "weigh more; delete them unless that is meant.",
                rows=rows[again & ~clash],
                file=file,
            )
        )
    if clash.any():
        found.append(
            finding(
                "conflict",
                "warning",
                f"The same text has different labels ({(kinds > 1).sum():,} texts): "
                "{rows}. Decide on one label for each text.",
                rows=rows[clash],
                file=file,
            )
        )
    return found


def check_leaks(frame: pd.DataFrame) -> list[Finding]:
    """Test texts that are also learnt or chosen by, validation texts in train."""
    split, key = frame["split"].to_numpy(dtype=object), frame["key"].to_numpy()
    rows = frame["row"].to_numpy()
    wholes = (
        (TEST, split != TEST, "leak", "the test score will flatter"),
        (VALIDATION, split == TRAIN, "leak_validation", "choices will be too sure"),
    )
    found = []
    for name, learnt, kind, effect in wholes:
        of = split == name
        leaked = of & np.isin(key, key[learnt])
        if leaked.any():
            found.append(
                finding(
                    kind,
                    "warning",
                    f"{leaked.sum() / of.sum():.1%} of the {name} texts are in train "
                    f"too: {{rows}}; {effect}. Delete them from one of the two.",
                    rows=rows[leaked],
                    file=_file_of(frame, leaked),
                )
            )
    return found


def unseen_labels(frame: pd.DataFrame) -> Bool[np.ndarray, " n"]:
    """True on rows of test and validation whose label train does not have."""
    split = frame["split"].to_numpy(dtype=object)
    labels = frame["label"].to_numpy(dtype=object)
    return (split != TRAIN) & ~np.isin(labels, list(set(labels[split == TRAIN])))


def check_unseen(frame: pd.DataFrame) -> list[Finding]:
    """Labels of test and validation that train lacks, one finding a split."""
    rows, split = frame["row"].to_numpy(), frame["split"].to_numpy(dtype=object)
    labels = frame["label"].to_numpy(dtype=object)
    unseen = unseen_labels(frame)
    return [
        finding(
            "unseen_label",
            "warning",
            f"{_say_classes(sorted(set(labels[of])))} no row in train but some in "
            f"{name}: {{rows}}, left out of the score, for no classifier can get them "
            "right. Add such rows to train or check the spelling.",
            rows=rows[of],
            file=_file_of(frame, of),
        )
        for name in (VALIDATION, TEST)
        if (of := unseen & (split == name)).any()
    ]


def _file_of(frame: pd.DataFrame, which: Bool[np.ndarray, " n"]) -> File:
    files = set(frame["file"].to_numpy(dtype=object)[which])
    assert len(files) == 1, files
    return "test" if files == {"test"} else "data"


def level_names(columns: Columns) -> list[str]:
    """What the corpus calls its label columns, from coarse to fine."""
    n = len(columns.labels)
    return ["label"] if n == 1 else [f"label_{level}" for level in range(1, n + 1)]
