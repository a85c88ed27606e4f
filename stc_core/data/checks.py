"""The checks of a corpus: frames in, findings with rows and remedies out.

The frames have the columns row, file, text, label, label_1..., split and key. Rows
whose texts are equal apart from outer spaces share a key.
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool

from stc_core.config import Repair
from stc_core.data.columns import (
    Columns,
    are_numbers,
    is_fractional,
    level_names,
    nested_fields,
    take_field,
)
from stc_core.data.findings import File, Finding, Severity, finding
from stc_core.data.label_names import check_names
from stc_core.data.repairs import conflicting_rows, repeated_rows
from stc_core.data.split import TEST, TRAIN, VALIDATION
from stc_core.display import percent
from stc_core.frames import codes, equals, series

MAX_CLASSES = 1000
MIN_ROWS = 2
FEW_ROWS = 10
MOST_OF_ALL = 0.7  # from this share of the rows on a class counts as most of them
NAMED_CLASSES = 8


def check_source(source: dict, *, file: File) -> list[Finding]:
    """Findings about rows that were repaired when the file was read."""
    encoding, stray = source["encoding"], source["stray"]
    read_as = codec_name(stray) if stray != encoding else "Latin-1"
    messages = {
        "repaired": "{rows} held bytes that are not "
        + f"{encoding}; they were read as {read_as}. If letters look wrong, choose "
        "another encoding, or save the file as UTF-8.",
        "short": "{rows} had fewer fields than the header; the missing ones count as "
        "empty.",
        "long": "{rows} had more fields than the header and were left out. Put cells "
        'that contain the delimiter in quotes "...".',
        "header": "{rows} repeat the header, as after joining two files. They are not "
        "data and were left out.",
        "backslash": '{rows} hold \\" inside a cell, where other rows write a quote as '
        '"": look at these cells, and write "" there.',
    }
    findings = [
        finding(
            kind,
            "warning",
            message,
            rows=source["named"][kind],
            count=source["counts"][kind],
            file=file,
        )
        for kind, message in messages.items()
        if source["counts"].get(kind)
    ]
    if source["candidates"]:
        findings.append(_encoding(source, file=file))
    return findings


def codec_name(codec: str) -> str:
    """The name of a codec for people."""
    return f"Windows-{codec[2:]}" if codec.startswith("cp125") else codec


def _encoding(source: dict, *, file: File) -> Finding:
    """A finding on the encoding of a text that is not Unicode, and other guesses."""
    first, *others = source["candidates"]
    remedy = (
        "If letters look wrong, choose another one with --encoding, or in the box "
        "Encoding of the app, or save the file as UTF-8."
    )
    if source["sure"] or not others:
        message = (
            f"The file is not in Unicode. It was read as {first['encoding']}, a guess."
        )
        return finding("encoding", "info", f"{message} {remedy}", file=file)
    readings = "; ".join(f"{one['encoding']}: “{one['line']}”" for one in others)
    message = (
        "The file is not in Unicode, and its encoding is not clear. It was read as "
        f"{first['encoding']}: “{first['line']}”. It may be {readings}. {remedy}"
    )
    return finding("encoding", "warning", message, file=file)


def check_labels(frame: pd.DataFrame, columns: Columns) -> list[Finding]:
    """Findings about label columns as a whole, and about odd class names."""
    if not len(frame):
        return [finding("no_rows", "error", "No row has both a text and a label.")]
    if TRAIN not in set(frame["split"]):
        message = f"Split column {columns.split!r} marks no usable row as train."
        return [finding("no_train", "error", message)]
    names = level_names(columns)
    findings = []
    for column, name in zip(columns.labels, names, strict=True):
        distinct = codes(frame, name)[1]
        problem = _label_problem(
            set(distinct), column, n=len(frame), finest=name == names[-1]
        )
        findings += [problem] if problem else check_names(frame, name, column)
    if columns.labels[-1] in codes(frame, "label")[1]:
        findings.append(
            finding(
                "no_header",
                "warning",
                f"The header {columns.labels[-1]!r} is itself one of the labels: the "
                "file may lack a header row. Add a first line such as text,label.",
            )
        )
    return findings


def _label_problem(
    distinct: set[str], column: str, *, n: int, finest: bool
) -> Finding | None:
    """The finding for a column that cannot be a label, or None."""
    shown = ", ".join(sorted(distinct)[:3])
    if len(distinct) > 20 and is_fractional(distinct):
        kind = "label_continuous"
        fact = f"holds {len(distinct):,} different decimal numbers ({shown}, ...)"
        mend = "A measure is not a class: choose another column or cut it into ranges."
    elif n >= 20 and len(distinct) >= 0.9 * n:
        kind = "label_id"
        fact = f"has {len(distinct):,} different values on {n:,} rows ({shown}, ...)"
        mend = "An id or free text is not a class: choose another column."
    elif len(distinct) > MAX_CLASSES:
        kind = "classes_too_many"
        fact = f"has {len(distinct):,} classes; at most {MAX_CLASSES:,} are supported"
        mend = "Choose a coarser column or merge rare classes."
    elif finest and len(distinct) == 1:
        kind = "one_class"
        fact = f"has the one value {shown!r} on all {n:,} rows; two are needed"
        mend = "Choose another column or add rows of another class."
    else:
        return None
    return finding(kind, "error", f"Label column {column!r} {fact}. {mend}", count=n)


def check_numbers(frame: pd.DataFrame, columns: Columns) -> list[Finding]:
    """A finding if the text column holds numbers, or a column holds records."""
    named = dict(zip(level_names(columns), columns.labels, strict=True))
    for part, name in {"text": columns.text, **named}.items():
        if fields := nested_fields(series(frame, part)):
            fact = f"Column {name!r} holds records with the fields {', '.join(fields)}"
            fact += ", which are read as JSON. To read one field, make it a column. "
            fact += take_field(name, fields[0])
            return [finding("nested", "warning", fact, count=len(frame))]
    if not are_numbers(series(frame, "text")):
        return []
    fact = (
        f"Text column {columns.text!r} holds numbers, about which a language model "
        "knows little: choose another column if there is one with words."
    )
    return [finding("text_numbers", "warning", fact, count=len(frame))]


def check_class_sizes(frame: pd.DataFrame) -> list[Finding]:
    """Findings about classes too small to learn; rows marked as test do not count."""
    pool = ~equals(frame, "split", TEST)
    code, names = codes(frame, "label")
    counts = np.bincount(code[pool], minlength=len(names))
    sizes: tuple[tuple[str, Severity, int, int, str, str], ...] = (
        (
            "class_too_small",
            "error",
            1,
            MIN_ROWS,
            "only one row",
            "Add rows, merge the class with another, or delete the row.",
        ),
        (
            "class_small",
            "warning",
            MIN_ROWS,
            FEW_ROWS,
            f"fewer than {FEW_ROWS} rows",
            "Expect poor recognition; add rows or merge classes.",
        ),
    )
    findings = []
    for kind, severity, low, high, amount, remedy in sizes:
        few = np.flatnonzero((counts >= low) & (counts < high))
        if len(few):
            findings.append(
                finding(
                    kind,
                    severity,
                    f"{_say_classes(sorted(names[c] for c in few))} {amount} to learn "
                    f"from: {{rows}}. {remedy}",
                    rows=frame["row"].to_numpy()[pool & np.isin(code, few)],
                    mends=[[Repair(do="leave-out-below", what=str(high))]],
                )
            )
    return findings


def check_balance(frame: pd.DataFrame) -> list[Finding]:
    """A finding if most rows have one class, so that always guessing it scores well."""
    pool = ~equals(frame, "split", TEST)
    code, names = codes(frame, "label")
    counts = np.bincount(code[pool], minlength=len(names))
    if len(names) < 2 or counts.max() < MOST_OF_ALL * max(1, counts.sum()):
        return []
    share = counts.max() / counts.sum()
    return [
        finding(
            "imbalance",
            "warning",
            f"{100 * share:.0f} % of the rows are {names[counts.argmax()]!r}: accuracy "
            "rewards a classifier that says little else. Read the macro-F1. Training "
            "chooses by it, too, and gives rare classes more weight, unless you set "
            "another score (Choose by; --criterion).",
        )
    ]


def _say_classes(names: list[str]) -> str:
    examples = ", ".join(map(repr, names[:NAMED_CLASSES]))
    if len(names) == 1:
        return f"Class {examples} has"
    more = ", ..." if len(names) > NAMED_CLASSES else ""
    return f"{len(names):,} classes ({examples}{more}) have"


def level_findings(frame: pd.DataFrame, columns: Columns) -> list[Finding]:
    """Findings about children with several parents, and levels from fine to coarse."""
    names = level_names(columns)
    findings = []
    for level in range(len(names) - 1):
        pair = names[level], names[level + 1]
        coarse_column, fine_column = columns.labels[level : level + 2]
        if len(set(frame[pair[1]])) < len(set(frame[pair[0]])):
            findings.append(
                finding(
                    "level_order",
                    "warning",
                    f"{coarse_column!r} has more classes than {fine_column!r}. Give "
                    "label columns from coarse to fine; the last one is trained.",
                )
            )
            continue
        usual = series(frame, pair[1]).map(commonest_parents(frame, *pair))
        is_odd = (usual != series(frame, pair[0])).to_numpy(dtype=bool)
        if is_odd.any():
            children = sorted(set(series(frame, pair[1])[is_odd]))
            findings.append(
                finding(
                    "several_parents",
                    "warning",
                    f"{_say_classes(children)} several parents in {coarse_column!r}: "
                    "{rows} with another parent than usual. Predictions use the "
                    "commonest parent; rename the classes if they differ in meaning.",
                    rows=frame["row"].to_numpy()[is_odd],
                )
            )
    return findings


def commonest_parents(frame: pd.DataFrame, coarse: str, fine: str) -> dict[str, str]:
    """The coarse label that each fine label has most often; ties by first name."""
    parents: dict[str, tuple[int, str]] = {}
    code_of_coarse, coarse_names = codes(frame, coarse)
    code_of_fine, fine_names = codes(frame, fine)
    counts = np.bincount(code_of_fine * len(coarse_names) + code_of_coarse)
    for pair in np.flatnonzero(counts):
        child, parent = divmod(int(pair), len(coarse_names))
        best = (-int(counts[pair]), coarse_names[parent])
        name = fine_names[child]
        parents[name] = min(parents.get(name, best), best)
    return {child: parent for child, (_, parent) in parents.items()}


def check_repeats(frame: pd.DataFrame, *, file: File) -> list[Finding]:
    """Findings about equal texts within one file, with the same or another label."""
    rows = frame["row"].to_numpy()
    is_repeated, is_conflict = repeated_rows(frame), conflicting_rows(frame)
    findings = []
    if is_conflict.any():
        n = len(set(frame["key"].to_numpy()[is_conflict]))
        findings.append(
            finding(
                "conflict",
                "warning",
                f"The same text has different labels ({n:,} text{'s' * (n != 1)}): "
                "{rows}. Decide on one label for each text.",
                rows=rows[is_conflict],
                file=file,
                mends=[[Repair(do="leave-out", what="conflicts")]],
            )
        )
    if is_repeated.any():
        findings.append(
            finding(
                "duplicate",
                "warning",
                "Text and label of another row are repeated on {rows}. Repeats "
                "weigh more; leave them out unless that is intended.",
                rows=rows[is_repeated],
                file=file,
                mends=[[Repair(do="leave-out", what="repeats")]],
            )
        )
    return findings


def check_leaks(frame: pd.DataFrame) -> list[Finding]:
    """Findings about test texts outside test, and validation texts in train."""
    rows, key = frame["row"].to_numpy(), frame["key"].to_numpy()
    wholes = (
        (
            TEST,
            ~equals(frame, "split", TEST),
            "leak",
            "the test score will be too high",
        ),
        (
            VALIDATION,
            equals(frame, "split", TRAIN),
            "leak_validation",
            "scores on them will look too good",
        ),
    )
    findings = []
    for name, others, kind, effect in wholes:
        own = equals(frame, "split", name)
        leaked = own & np.isin(key, key[others])
        if leaked.any():
            findings.append(
                finding(
                    kind,
                    "warning",
                    f"{percent(leaked.sum() / own.sum())} of the {name} texts are in "
                    f"train too: {{rows}}; {effect}. Delete them from one of the two.",
                    rows=rows[leaked],
                    file=_file_of(frame, leaked),
                    mends=[[Repair(do="leave-out", what="leaks")]],
                )
            )
    return findings


def unseen_labels(frame: pd.DataFrame) -> Bool[np.ndarray, " n"]:
    """True for rows of test and validation whose label is not in train."""
    code, names = codes(frame, "label")
    train = equals(frame, "split", TRAIN)
    return np.bincount(code[train], minlength=len(names))[code] == 0


def check_unseen(frame: pd.DataFrame) -> list[Finding]:
    """Findings about labels of test and validation that train lacks, one per split."""
    unseen = unseen_labels(frame)
    findings = []
    for name in (VALIDATION, TEST):
        rows = unseen & equals(frame, "split", name)
        if rows.any():
            labels = sorted(set(series(frame, "label")[rows]))
            findings.append(
                finding(
                    "unseen_label",
                    "warning",
                    f"{_say_classes(labels)} no row in train but some in {name}: "
                    "{rows}, left out of the score, since no classifier can get them "
                    "right. Add such rows to train or check the spelling.",
                    rows=frame["row"].to_numpy()[rows],
                    file=_file_of(frame, rows),
                )
            )
    return findings


def check_empty_splits(frame: pd.DataFrame) -> list[Finding]:
    """Findings about splits without a usable row: nothing can be done on them."""
    why = {
        TRAIN: "to learn from",
        VALIDATION: "to choose the neurons on",
        TEST: "to score",
    }
    return [
        finding(
            "empty_split",
            "error",
            f"No usable row is left in {name}, so there is nothing {purpose}. Check "
            f"that its labels are spelled as in train, or give more rows for a class.",
            count=0,
        )
        for name, purpose in why.items()
        if not equals(frame, "split", name).any()
    ]


def _file_of(frame: pd.DataFrame, which: Bool[np.ndarray, " n"]) -> File:
    return "test" if equals(frame, "file", "test")[which].all() else "data"
