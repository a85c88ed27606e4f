"""Which rows can be used: those with a text, a label at every level, and a reply."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from stc_core.config import Repair
from stc_core.data.columns import Columns, level_names
from stc_core.data.findings import AppliedRepair, File, Finding, finding
from stc_core.frames import equals, series
from stc_core.recipe_table import LEFT_OUT

_SLICE_ROWS = 1 << 13
BLANK = hash("")


class UsableRows(NamedTuple):
    rows: Bool[np.ndarray, " n"]
    findings: list[Finding]
    applied: list[AppliedRepair]


def usable_rows(
    frame: pd.DataFrame, columns: Columns, *, csv: list[str], settled: list[str]
) -> UsableRows:
    """Where a row has a text, all labels and a reply; the others become findings.

    The faults in `settled` are applied repairs instead. In the `csv` files only rows
    with too many fields, reported already, have missing cells.
    """
    is_blank = frame["key"].to_numpy() == BLANK
    is_reported = series(frame, "file").isin(csv) & frame["text"].isna()
    is_unlabelled = np.zeros(len(frame), dtype=bool)
    for name in level_names(columns):
        is_unlabelled |= _without(frame, name)
    no_text = is_blank & ~is_reported.to_numpy(dtype=bool)
    labels = " or ".join(map(repr, columns.labels))
    faults = {
        "no-text": ("empty_text", no_text, f"No text in {columns.text!r}"),
        "no-label": (
            "missing_label",
            is_unlabelled & ~is_blank,
            f"No label in {labels}",
        ),
    }
    dropped = is_blank | is_unlabelled
    for role, column in columns.written.items():
        affected = _without(frame, role) & ~dropped
        faults[role] = (f"missing_{role}", affected, f"No {role} in {column!r}")
        dropped |= affected
    findings, applied = [], []
    for fault, (kind, affected, message) in faults.items():
        repair = Repair(do="leave-out", what=fault)
        if fault in settled:
            applied.append(AppliedRepair(repair=repair, count=int(affected.sum())))
            continue
        mends = [[repair]] if fault in LEFT_OUT else []
        findings += _left_out(frame, kind, affected, message, mends)
    return UsableRows(~dropped, findings, applied)


def _left_out(
    frame: pd.DataFrame,
    kind: str,
    affected: Bool[np.ndarray, " n"],
    message: str,
    mends: list[list[Repair]],
) -> list[Finding]:
    """A finding for each file with rows that cannot be used."""
    files: tuple[File, ...] = ("data", "test")
    return [
        finding(
            kind,
            "warning",
            f"{message} on {{rows}}, left out. Fill them in or delete them.",
            rows=frame["row"].to_numpy()[own],
            file=name,
            mends=mends,
        )
        for name in files
        if (own := affected & equals(frame, "file", name)).any()
    ]


def _without(frame: pd.DataFrame, name: str) -> Bool[np.ndarray, " n"]:
    """Where a column is empty."""
    return (series(frame, name).fillna("") == "").to_numpy(dtype=bool)


def keep_rows(frame: pd.DataFrame, which: Bool[np.ndarray, " n"]) -> pd.DataFrame:
    """The rows where `which` is true, numbered again; `frame` is consumed.

    Texts are moved chunk by chunk, so that they are never in memory twice.
    """
    if which.all():
        return frame
    names, pool = list(frame.columns), pa.system_memory_pool()
    chunks = pa.chunked_array(pa.array(frame.pop("text"))).chunks[::-1]
    start, kept_chunks = 0, []
    while chunks:
        chunk = chunks.pop()
        part = which[start : start + len(chunk)]
        start += len(chunk)
        if not part.all():
            mask = pa.array(part)
            chunk = pc.call_function("filter", [chunk, mask], memory_pool=pool)
        kept_chunks.append(chunk)
    text = pa.table({"text": pa.chunked_array(kept_chunks)}).to_pandas()
    rest = frame.take(np.flatnonzero(which)).reset_index(drop=True)
    rest["text"] = text["text"]
    return rest.reindex(columns=names)


def text_keys(texts: pd.Series) -> Int[np.ndarray, " n"]:
    """A number per text; texts equal apart from outer spaces have equal numbers.

    BLANK for a missing or blank text. The numbers are valid only within one process.
    """
    keys = np.full(len(texts), BLANK, dtype=np.int64)
    for start in range(0, len(texts), _SLICE_ROWS):
        part = texts.iloc[start : start + _SLICE_ROWS].tolist()
        keys[start : start + len(part)] = [
            hash(text.strip()) if isinstance(text, str) else BLANK for text in part
        ]
    return keys
