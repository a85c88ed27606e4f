"""Findings about the data, by row, as frozen records; report.json holds them."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Integer

from stc_core.config import Repair
from stc_core.data.columns import Columns
from stc_core.display import percent
from stc_core.frozen import Frozen

_NAMED_ROWS = 100
Severity = Literal["error", "warning", "info"]
File = Literal["data", "test"]


CAUSES_FIRST: tuple[str, ...] = (
    *("repair", "encoding", "repaired", "short", "long", "header", "backslash"),
    *("no_header", "no_rows", "no_train", "nested", "text_numbers"),
    *("empty_text", "missing_label", "missing_reply", "missing_thought"),
    *("label_continuous", "label_id", "classes_too_many", "one_class"),
    *("label_several", "label_variants", "label_null_word"),
    *("level_order", "several_parents", "conflict", "duplicate"),
    *("leak", "leak_validation", "class_too_small", "class_small"),
    *("unseen_label", "empty_split", "imbalance", "language", "truncated"),
    "backbone",
)
"""The kinds of findings: one that may be the cause of another stands before it."""


class Finding(Frozen):
    """One fact about the data: `count` rows of `file`, the first 100 of them in `rows`.

    Rows are numbered from 1, as records below the header. Each of `mends` is one way to
    mend it: repairs that are applied together.
    """

    kind: str
    severity: Severity
    message: str
    rows: tuple[int, ...] = ()
    count: int = 0
    file: File = "data"
    mends: tuple[tuple[Repair, ...], ...] = ()


class AppliedRepair(Frozen):
    """A repair, and the number of rows that it changed or left out."""

    repair: Repair
    count: int


class Report(Frozen):
    """The facts and findings of a corpus; `classes` holds rows by class and split."""

    n_rows: int
    n_used: int
    columns: Columns
    classes: dict[str, dict[str, int]]
    source: dict[str, Any]
    findings: tuple[Finding, ...] = ()
    repairs: tuple[AppliedRepair, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make training impossible."""
        return tuple(f for f in self.findings if f.severity == "error")

    def to_json(self) -> str:
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Report":
        return cls.model_validate_json(text)


def finding(
    kind: str,
    severity: Severity,
    message: str,
    *,
    rows: Sequence[int] | Integer[np.ndarray, " n"] = (),
    count: int | None = None,
    file: File = "data",
    mends: Sequence[Sequence[Repair]] = (),
) -> Finding:
    """A Finding; '{rows}' in its message becomes words such as '2 rows (3, 17)'."""
    named = [int(row) for row in rows[:_NAMED_ROWS]]
    count = len(rows) if count is None else count
    return Finding(
        kind=kind,
        severity=severity,
        message=message.replace("{rows}", say_rows(named, count, file=file)),
        rows=tuple(named),
        count=count,
        file=file,
        mends=tuple(map(tuple, mends)),
    )


def cause_rank(one: Finding) -> int:
    """The place of a finding in the report: causes before what may follow from them."""
    return CAUSES_FIRST.index(one.kind)


def say_rows(rows: list[int], count: int, *, file: File = "data") -> str:
    """'row 3', '2 rows (3, 17)' or '9 rows (1, 2, 3, 4, 5, ...)', of the test file."""
    where = " of the test file" if file == "test" else ""
    if count == 1 and rows:
        return f"row {rows[0]}{where}"
    some = ", ".join(map(str, rows[:5])) + (", ..." if count > 5 else "")
    return f"{count:,} rows{where}" + (f" ({some})" if rows else "")


def add_truncated(
    report: Report, n_cut: int, n: int, max_length: int, *, sampled_of: int = 0
) -> Report:
    """The report with a finding on the texts that the backbone cuts at `max_length`.

    With `sampled_of` the `n` texts are a sample of that many, and the finding says so.
    """
    others = tuple(f for f in report.findings if f.kind != "truncated")
    if not n_cut:
        return report.changed(findings=others)
    share = n_cut / n
    if sampled_of > n:
        texts = f"About {percent(share)} of the texts ({n_cut:,} of a sample of {n:,})"
    else:
        texts = f"{n_cut:,} of {n:,} texts ({percent(share)})"
    cut = finding(
        "truncated",
        "warning" if share > 0.05 else "info",
        f"{texts} are longer than {max_length} tokens; only their beginning is read. "
        "Raise the length limit if the backbone allows, or shorten the texts.",
        count=round(share * max(n, sampled_of)),
    )
    return report.changed(findings=(*others, cut))
