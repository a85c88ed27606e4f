"""What the faithfulness of an explanation means, in sentences for people."""

from collections.abc import Mapping
from typing import Any

from stc_core.display import formatted, percent
from stc_core.interpret.faithfulness.scores import (
    ATTRIBUTIONS,
    LEFT_OUT,
    RANDOM,
    READOUT,
)


def faithfulness_sentences(part: Mapping[str, Any], parts: str) -> list[str]:
    """Sentences on a record of `PartScores`; `parts` is "words" or "neurons".

    The second one says which explanation names the parts best that the answer rests on.
    """
    by_name = {one["method"]: one for one in part["methods"]}
    said = [_ours(by_name, parts), _verdict(by_name, parts)]
    if (same := part["same_top"]) is not None:
        said.append(
            f"The strongest {parts[:-1]} is the one whose loss alone moves the answer "
            f"most in {percent(same)} of the texts."
        )
    reasons = [
        f"{ATTRIBUTIONS[name]} was not measured: {why}."
        for name, why in part["missing"].items()
    ]
    return [*said, *reasons]


def _ours(by_name: Mapping[str, Any], parts: str) -> str:
    ours = by_name[READOUT]["comprehensiveness"]
    said = (
        f"Without the {parts} that the exact split puts first, the probability of the "
        f"label falls by {_interval(ours)}"
    )
    if RANDOM in by_name:
        random = by_name[RANDOM]["comprehensiveness"]["mean"]
        said += f"; in a random order by {random:.2f}"
    return f"{said}."


def _verdict(by_name: Mapping[str, Any], parts: str) -> str:
    """Whether the exact split is the best; if not, which one is, and by how much."""
    best = max(by_name, key=lambda name: by_name[name]["comprehensiveness"]["mean"])
    if best == READOUT:
        return "No other explanation that was compared takes away more."
    ahead = by_name[best]["ahead"]
    name = ATTRIBUTIONS[best]
    if ahead["low"] <= 0:
        return (
            f"{name} takes away a little more ({formatted(ahead['mean'], '+.2f')}), "
            "which may be chance."
        )
    slow = best == LEFT_OUT and parts == "words"
    return (
        f"**Ours is not the best here**: the {parts} that come first by "
        f"{_inside(name)} take away {_interval(ahead)} more."
        + (
            " It is slower: the model reads the text once for each word."
            if slow
            else ""
        )
    )


def _inside(name: str) -> str:
    """The name of a method inside a sentence."""
    return name[0].lower() + name[1:]


def _interval(value: Mapping[str, float]) -> str:
    mean, low, high = (
        formatted(value[name], ".2f") for name in ("mean", "low", "high")
    )
    return f"{mean} (95 %: {low} to {high})"
