"""What was found in the data, by row, as a frozen record that report.json holds."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Integer

from stc_core.columns import Columns, codes, equals, series
from stc_core.frozen import Frozen
from stc_core.split import SPLIT_ORDER

NAMED_ROWS = 100
Severity = Literal["error", "warning", "info"]
File = Literal["data", "test"]


class Finding(Frozen):
    """One thing to know: `count` rows of `file`, the first 100 of them in `rows`.

    Rows are numbered from 1, as records under the header.
    """

    kind: str
    severity: Severity
    message: str
    rows: tuple[int, ...] = ()
    count: int = 0
    file: File = "data"


class Report(Frozen):
    """The facts and findings of one corpus; `classes` counts rows per split."""

    n_rows: int
    n_used: int
    columns: Columns
    classes: dict[str, dict[str, int]]
    source: dict[str, Any]
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
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
) -> Finding:
    """A Finding; '{rows}' in the message becomes words such as '2 rows (3, 17)'."""
    named = [int(row) for row in rows[:NAMED_ROWS]]
    count = len(rows) if count is None else count
    return Finding(
        kind=kind,
        severity=severity,
        message=message.replace("{rows}", say_rows(named, count, file=file)),
        rows=tuple(named),
        count=count,
        file=file,
    )


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
    """The report with the share of texts that the backbone cuts at `max_length`.

    With `sampled_of` the `n` texts are a sample of so many, and it says so.
    """
    rest = tuple(f for f in report.findings if f.kind != "truncated")
    if not n_cut:
        return report.changed(findings=rest)
    share = n_cut / n
    if sampled_of > n:
        who = f"About {share:.1%} of the texts ({n_cut:,} of a sample of {n:,})"
    else:
        who = f"{n_cut:,} of {n:,} texts ({share:.1%})"
    cut = finding(
        "truncated",
        "warning" if share > 0.05 else "info",
        f"{who} are longer than {max_length} tokens; only their beginning is read. "
        "Raise the length limit if the backbone allows, or shorten the texts.",
        count=round(share * max(n, sampled_of)),
    )
    return report.changed(findings=(*rest, cut))


def class_balance(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns label, split, rows: a line for each pair, commonest label first.

    Pairs without rows are there with 0, so that bars line up.
    """
    code, names = codes(frame, "label")
    counts = np.stack(
        [
            np.bincount(code[equals(frame, "split", split)], minlength=len(names))
            for split in SPLIT_ORDER
        ],
        axis=1,
    )  # (n_class, n_split)
    order = sorted(range(len(names)), key=lambda c: (-counts[c].sum(), names[c]))
    return pd.DataFrame(
        {
            "label": [names[c] for c in order for _ in SPLIT_ORDER],
            "split": list(SPLIT_ORDER) * len(names),
            "rows": counts[order].ravel(),
        }
    )


def text_lengths(texts: pd.Series) -> pd.DataFrame:
    """Columns words and characters, a line for each text in order."""
    words = [len(text.split()) for text in texts]
    return pd.DataFrame(
        {"words": words, "characters": [len(text) for text in texts]},
        index=texts.index,
        dtype=np.int64,
    )


def length_histogram(
    frame: pd.DataFrame,
    *,
    unit: Literal["words", "characters"] = "words",
    bins: int = 40,
) -> pd.DataFrame:
    """Columns start, end (half open), split, rows: whole-number bins of text length.

    The last bin takes all above the 99th percentile; the rows sum to all texts.
    """
    lengths = text_lengths(series(frame, "text"))[unit].to_numpy()
    top = int(np.percentile(lengths, 99, method="higher")) if len(lengths) else 0
    step = max(1, -(-(top + 1) // bins))
    edges = np.arange(0, top + 1 + step, step)
    ends = edges[1:].copy()
    ends[-1] = max(int(ends[-1]), int(lengths.max(initial=0)) + 1)
    at = np.minimum(lengths // step, len(ends) - 1)
    parts = [
        pd.DataFrame(
            {
                "start": edges[:-1],
                "end": ends,
                "split": split,
                "rows": np.bincount(
                    at[equals(frame, "split", split)], minlength=len(ends)
                ),
            }
        )
        for split in SPLIT_ORDER
    ]
    return pd.concat(parts, ignore_index=True)
