"""The list of runs: one line for each run, with search and sorting."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal

import pandas as pd

from stc_core.runs.run_summary import RunSummary

RunOrder = Literal["newest", "name", "accuracy", "time", "disk"]


def matching_runs(lines: Sequence[RunSummary], words: str) -> list[RunSummary]:
    """The lines that contain each of the words; upper and lower case are the same."""
    wanted = words.casefold().split()
    return [line for line in lines if all(word in _text(line) for word in wanted)]


def _text(line: RunSummary) -> str:
    words = (line.name, line.run, line.state, *line.tags, line.method, line.backbone)
    return "\n".join((*words, line.data, line.label_path)).casefold()


def sort_runs(lines: Sequence[RunSummary], by: RunOrder) -> list[RunSummary]:
    """The lines with the largest value first, or by name from A to Z.

    Lines whose value is not known come last.
    """
    if by == "name":
        return sorted(lines, key=lambda line: line.name.casefold())
    if by == "newest":
        return sorted(lines, key=lambda line: line.created, reverse=True)
    value = _VALUES[by]
    known = [line for line in lines if value(line) is not None]
    unknown = [line for line in lines if value(line) is None]
    return sorted(known, key=value, reverse=True) + unknown


_VALUES: dict[RunOrder, Callable[[RunSummary], Any]] = {
    "accuracy": lambda line: line.result and line.result.accuracy.value,
    "time": lambda line: line.result and line.result.seconds,
    "disk": lambda line: line.n_bytes,
}
"""What an order sorts by; None if it is not known."""


def run_table(lines: Sequence[RunSummary]) -> pd.DataFrame:
    """The lines as a table with titles for people; accuracy in percent."""
    results = [line.result for line in lines]
    return pd.DataFrame(
        {
            "Name": [line.name for line in lines],
            "State": [str(line.state) for line in lines],
            "Accuracy": _numbers([r and r.accuracy.value * 100 for r in results]),
            "Neurons": _numbers([r and r.neurons for r in results]),
            "Layers": _numbers([r and r.layers for r in results]),
            "Method": [line.method for line in lines],
            "Started": _times([line.created for line in lines]),
            "Tags": [list(line.tags) for line in lines],
            "Model": [line.backbone for line in lines],
            "Data": [line.data for line in lines],
            "Labels": [line.label_path for line in lines],
            "Test texts": _numbers([r and r.n_test for r in results]),
            "Seconds": _numbers([r and r.seconds for r in results]),
            "Disk": _numbers([line.n_bytes for line in lines]),
        }
    )


def run_record(line: RunSummary) -> dict[str, Any]:
    """The facts of a run as `stc runs --json` prints them."""
    result = line.result
    return {
        "run": line.run,
        "name": line.name,
        "state": line.state,
        "created": line.created,
        "accuracy": result and result.accuracy.value,
        "macro_f1": result and result.macro_f1.value,
        "neurons": result and result.neurons,
        "seconds": result and result.seconds,
        "folder": str(line.folder),
        "tags": list(line.tags),
    }


def _numbers(values: Sequence[float | int | None]) -> pd.Series:
    return pd.Series(list(values), dtype=float)


def _times(written: Sequence[str]) -> pd.Series:
    """Each time in the time zone of the machine on which the run was started."""
    return pd.Series([_time(text) for text in written], dtype="M8[s]")


def _time(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written).replace(tzinfo=None)
    except ValueError:  # no time, or the settings were changed by hand
        return None
