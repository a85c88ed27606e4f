"""Repairs of a table: labels are renamed and rows left out, before the rows are split.

A repair names its rows by a rule, so it holds when the table is read again. Row numbers
stay those of the user's file. The frames are those of `corpus`, with file and key.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from stc_core.config import Repair
from stc_core.data.columns import Columns, level_names
from stc_core.data.findings import AppliedRepair, Finding, finding
from stc_core.data.split import TEST, TRAIN, VALIDATION
from stc_core.frames import as_text, codes, equals, series
from stc_core.recipe_table import LEFT_OUT


class MendedLabels(NamedTuple):
    """The frame with other labels, its columns, what was done, and what could not be.

    The labels of the frame that was given are not changed.
    """

    frame: pd.DataFrame
    columns: Columns
    applied: list[AppliedRepair]
    findings: list[Finding]


def mend_labels(
    frame: pd.DataFrame, columns: Columns, repairs: Sequence[Repair]
) -> MendedLabels:
    """Keep the first of several labels, make levels of them, and merge labels.

    A repair that names a label or a sign that no row has becomes an error finding.
    """
    frame, applied, findings = frame.copy(deep=False), [], []
    for repair in repairs:
        if repair.do in ("merge", "first"):
            n = _rename(frame, columns, repair)
        elif repair.do == "levels":
            n, columns = _split_levels(frame, columns, repair.what)
        else:
            continue
        if n:
            applied.append(AppliedRepair(repair=repair, count=n))
        else:
            findings.append(_unfit(frame, columns, repair))
    return MendedLabels(frame, columns, applied, findings)


def mended_label(label: str, repairs: Sequence[Repair]) -> str:
    """The finest label that a cell holds when these repairs are done."""
    for repair in repairs:
        if repair.do == "merge" and label == repair.what:
            label = repair.into
        elif repair.do in ("first", "levels"):
            label = label_parts(label, repair.what)[0 if repair.do == "first" else -1]
    return label


def _rename(frame: pd.DataFrame, columns: Columns, repair: Repair) -> int:
    """Change the labels of every level in place; return the number of rows changed."""
    is_changed = np.zeros(len(frame), dtype=bool)
    for name in _label_names(frame, columns):
        before = series(frame, name)
        names = before.dropna().unique()
        after = as_text(before.map({one: mended_label(one, [repair]) for one in names}))
        is_changed |= (after != before).to_numpy(dtype=bool) & before.notna().to_numpy()
        frame[name] = after
    return int(is_changed.sum())


def _label_names(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """The label columns of the frame: one for each level, and the finest one."""
    return list(dict.fromkeys([*level_names(columns), "label"]))


def label_parts(label: str, sign: str) -> list[str]:
    """The labels in a cell, at least one: those of a JSON list, or those between signs.

    >>> label_parts("refund | delivery", "|")
    ['refund', 'delivery']
    """
    inside = label[1:-1] if label[:1] + label[-1:] in ("[]", "{}", "()") else label
    if inside != label:
        try:
            values = json.loads(f"[{inside}]".replace("'", '"'))
        except ValueError:
            values = []
        if values:
            return [str(value).strip() for value in values]
    parts = [part.strip() for part in inside.split(sign) if part.strip()]
    return parts if len(parts) > 1 else [label]


def _split_levels(
    frame: pd.DataFrame, columns: Columns, sign: str
) -> tuple[int, Columns]:
    """Make levels of the one label column in place; the number of rows, and columns.

    There are as many levels as most rows with several labels have. A row with fewer
    labels has none at the finer levels; more labels stay together in the last level.
    """
    if len(columns.labels) != 1:
        return 0, columns
    label = series(frame, "label")
    parts = {one: label_parts(one, sign) for one in label.dropna().unique()}
    sizes = Counter(len(parts[one]) for one in label.dropna() if len(parts[one]) > 1)
    if not sizes:
        return 0, columns
    depth = max(sizes, key=lambda n: (sizes[n], -n))
    place = frame.columns.get_loc("label")
    assert isinstance(place, int), place
    for level in range(depth):
        last = level == depth - 1
        names = {
            one: sign.join(own[level:]) if last else own[level]
            for one, own in parts.items()
            if len(own) > level
        }
        column = as_text(label.map(names))
        frame.insert(place + 1 + level, f"label_{level + 1}", column)
        if last:
            frame["label"] = column
    (name,) = columns.labels
    named = tuple(f"{name} {level}" for level in range(1, depth + 1))
    return int(sum(sizes.values())), columns._replace(labels=named)


def _unfit(frame: pd.DataFrame, columns: Columns, repair: Repair) -> Finding:
    """The finding for a repair that no row of this table needs or allows."""
    named, mend = ", ".join(map(repr, columns.labels)), "Undo or correct this repair."
    if repair.do == "levels" and len(columns.labels) != 1:
        fact = (
            f"it needs one label column, and there are {len(columns.labels)}: {named}"
        )
    elif repair.do in ("first", "levels"):
        fact = f"no cell of {named} has {repair.what!r} between two labels"
    else:
        known = [
            one
            for name in _label_names(frame, columns)
            for one in series(frame, name).dropna().unique()
        ]
        near = get_close_matches(repair.what, known, n=1, cutoff=0.5)
        fact = f"no row of {named} has the label {repair.what!r}"
        mend = f"Did you mean {near[0]!r}? {mend}" if near else mend
    return finding(
        "repair", "error", f"The repair {repair} does not fit: {fact}. {mend}"
    )


def leave_out(
    frame: pd.DataFrame, columns: Columns, repairs: Sequence[Repair]
) -> tuple[Bool[np.ndarray, " n"], list[AppliedRepair], list[Finding]]:
    """Which rows stay after the repairs that leave rows out, what was done, and faults.

    Each rule looks at the rows that the earlier ones left. `no-text` and `no-label` are
    not done here, since such rows are never kept.
    """
    stays, applied, findings = np.ones(len(frame), dtype=bool), [], []
    light = frame.drop(columns="text")
    for repair in repairs:
        rule = ROW_RULES.get(repair.what if repair.do == "leave-out" else repair.do)
        if rule is None:
            continue
        rows = np.flatnonzero(stays)
        out = rows[rule(light.take(rows), repair.what)]
        stays[out] = False
        if len(out) or repair.do != "leave-out-class":
            applied.append(AppliedRepair(repair=repair, count=len(out)))
        else:
            findings.append(_unfit(frame, columns, repair))
    return stays, applied, findings


def repeated_rows(frame: pd.DataFrame, _: str = "") -> Bool[np.ndarray, " n"]:
    """True for rows whose text and label another row of the same file has, too.

    One row of each text stays: one of test before validation before train, and then the
    first. Texts with several labels do not count.
    """
    rank = series(frame, "split").map({TEST: 0, VALIDATION: 1, TRAIN: 2}).to_numpy()
    order = np.argsort(rank, kind="stable")
    pairs = pd.DataFrame({"text": _texts_of(frame), "code": codes(frame, "label")[0]})
    is_repeated = np.zeros(len(frame), dtype=bool)
    is_repeated[order] = pairs.iloc[order].duplicated().to_numpy()
    return is_repeated & ~conflicting_rows(frame)


def conflicting_rows(frame: pd.DataFrame, _: str = "") -> Bool[np.ndarray, " n"]:
    """True for rows whose text has another label in another row of the same file."""
    text, label = _texts_of(frame), codes(frame, "label")[0]
    kinds = pd.DataFrame({"text": text, "code": label}).drop_duplicates()
    n_labels = np.bincount(kinds["text"], minlength=text.max(initial=-1) + 1)
    return n_labels[text] > 1


def _texts_of(frame: pd.DataFrame) -> Int[np.ndarray, " n"]:
    """A number per row: equal for equal texts of one file."""
    file = codes(frame, "file")[0]
    return pd.factorize(frame["key"].to_numpy() * 2 + file)[0]


def leaking_rows(frame: pd.DataFrame, _: str = "") -> Bool[np.ndarray, " n"]:
    """True for rows that leak: outside test with a text of test, or in train with one
    of validation."""
    key = frame["key"].to_numpy()
    is_test, is_train = equals(frame, "split", TEST), equals(frame, "split", TRAIN)
    in_test = np.isin(key, key[is_test])
    in_validation = np.isin(key, key[equals(frame, "split", VALIDATION)])
    return (~is_test & in_test) | (is_train & in_validation)


def _of_class(frame: pd.DataFrame, label: str) -> Bool[np.ndarray, " n"]:
    """True for rows with this label at any level."""
    names = [str(name) for name in frame if str(name).startswith("label")]
    return np.any([equals(frame, name, label) for name in names], axis=0)


def _of_small_class(frame: pd.DataFrame, least: str) -> Bool[np.ndarray, " n"]:
    """True for rows of classes with fewer than `least` rows outside test."""
    code, names = codes(frame, "label")
    counts = np.bincount(code[~equals(frame, "split", TEST)], minlength=len(names))
    return counts[code] < int(least)


ROW_RULES: dict[str, Callable[[pd.DataFrame, str], Bool[np.ndarray, " n"]]] = {
    "leave-out-class": _of_class,
    "conflicts": conflicting_rows,
    "repeats": repeated_rows,
    "leaks": leaking_rows,
    "leave-out-below": _of_small_class,
}
"""Which rows a repair leaves out, by its fault or by what it does."""


def say_repair(repair: Repair) -> str:
    """What a repair does, in a short sentence without a full stop."""
    what = repair.what
    return {
        "first": f"Keep the first of the labels between {what!r}",
        "levels": f"Read the labels between {what!r} as levels, coarse to fine",
        "merge": f"Read {what!r} as {repair.into!r}",
        "leave-out-class": f"Leave out the class {what!r}",
        "leave-out": f"Leave out {LEFT_OUT.get(what, what)}",
        "leave-out-below": f"Leave out classes with fewer than {what} rows to "
        "learn from",
    }[repair.do]


def say_mend(repairs: Sequence[Repair]) -> str:
    """The words on the button that applies these repairs together."""
    first, more = repairs[0], len(repairs) - 1
    if not more:
        return say_repair(first)
    if first.do == "merge":
        return f"Merge these spellings ({more + 1})"
    return f"{say_repair(first)} and {more} more"
