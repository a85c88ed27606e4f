"""Would other rows have kept the same neurons? A `Stability` in words and a table."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from stc_core.display import count, percent
from stc_core.runs.metrics import RunMetrics
from stc_core.selection.repeats.kinds import NEARLY_ALWAYS, REPEATS

ABOUT_OVERLAP = (
    "*halves*, *bootstrap* and *seeds*: how many neurons two selections share, of all "
    "neurons of both (Jaccard index). *chance*: the same for random sets of these "
    "sizes. *always*: kept by 9 of 10 selections of each kind."
)


def stable_neurons(stability: Mapping[str, Any]) -> list[str]:
    """Whether other rows would keep the same neurons, from a `Stability` record.

    Runs made before December 2026 have halves alone.
    """
    kept, always = stability["kept"], stability["always"]
    if "repeats" not in stability:
        repeats: dict[str, Any] = {"halves": stability}
    else:
        repeats = stability["repeats"]
    times = stability["n_selections"]
    least = math.ceil(NEARLY_ALWAYS * times)
    ways = [f"{one['n_selections']} {REPEATS[name]}" for name, one in repeats.items()]
    shares = [percent(one["overlap"]) for one in repeats.values()]
    if 0 < always < kept:
        told = f"**{_these(always)} always chosen; the other {kept - always:,} are "
        told += "interchangeable**"
    else:
        told = f"**{'All' if always else 'None'} of the {kept:,} are always chosen**"
    each = " of each kind" if len(repeats) > 1 else ""
    alike = "of one kind, in this order, " if len(repeats) > 1 else ""
    said = [
        f"We chose the neurons again on {_listed(ways)}.",
        f"{told}: of the {kept:,} neurons of this run, {always:,} were chosen at least "
        f"{least} times of {times}{each}.",
        f"Two selections {alike}share {_listed(shares)} of their neurons; random sets "
        f"of this size would share {percent(stability['chance'])}.",
    ]
    if always < kept / 2:
        said.append(
            "So the neurons are one of many sets. Trust what a single neuron says only "
            "if it is always chosen."
        )
    return said


def chosen_times(stability: Mapping[str, Any]) -> list[str]:
    """How often the repeats of each kind chose each kept neuron: '9, 8, 10 of 10'."""
    repeats = stability.get("repeats", {"halves": stability})
    times = [
        [str(round(share * one["n_selections"])) for share in one["frequency"]]
        for one in repeats.values()
    ]
    last = stability["n_selections"]
    return [f"{', '.join(of_kind)} of {last}" for of_kind in zip(*times, strict=True)]


def _these(n: int) -> str:
    return f"These {n:,} are" if n > 1 else "One is"


def _listed(parts: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if parts[1:] else parts[0]


def overlap_table(stability: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each layer and each site: neurons kept and always kept, and overlaps.

    The columns are part, kept, always, one for each kind of repeat, and chance. Without
    rows for a run made before December 2026.
    """
    columns = ["part", "kept", "always", *REPEATS, "chance"]
    parts = [*stability.get("layers", ()), *stability.get("sites", ())]
    frame = pd.DataFrame(parts, columns=["name", *columns[1:]])
    return frame.rename(columns={"name": "part"})


def overlap_rows(stability: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows of `overlap_table` in words; an overlap of nothing is a dash."""
    return [
        (
            str(row["part"]),
            f"{row['kept']:,}",
            f"{row['always']:,}",
            *(
                "–" if pd.isna(row[kind]) else percent(row[kind])
                for kind in (*REPEATS, "chance")
            ),
        )
        for row in overlap_table(stability).to_dict("records")
    ]


def ranking_choice(metrics: RunMetrics) -> list[str]:
    """What a ranking that weighs use costs; empty for a run that ranks by reading."""
    chosen = metrics.get("chosen", {})
    if "accuracy_by_reading" not in chosen:
        return []
    by_use, by_reading = (int(chosen[f"neurons_by_{of}"]) for of in ("use", "reading"))
    after, before = (float(chosen[f"accuracy_by_{of}"]) for of in ("use", "reading"))
    return [
        f"The ranking weighs what the model uses by {float(chosen['use_weight']):g}. "
        f"The {count(by_use, 'neuron')} that it keeps have an accuracy of "
        f"{percent(after)} on held-out rows; {by_reading:,} ranked only by what can be "
        f"read have {percent(before)}."
    ]


def stable_choice(metrics: RunMetrics) -> list[str]:
    """What it costs to keep only stable neurons; empty for a run that keeps others."""
    chosen = metrics.get("chosen", {})
    if "stable" not in chosen:
        return []
    kept, all_of_them = metrics["neurons"]["selected"], int(chosen["neurons_before"])
    # Without words, as before; runs made before December 2026 know it with words alone.
    after = float(chosen.get("accuracy_stable", metrics["validation"]["accuracy"]))
    before = float(chosen["accuracy_before"])
    return [
        f"Kept are only the {count(kept, 'neuron')} that at least "
        f"{percent(float(chosen['stable']))} of the halves choose, of {all_of_them:,} "
        f"that would be kept. On held-out rows they have an accuracy of "
        f"{percent(after)}, and all {all_of_them:,} have {percent(before)}."
    ]
