"""What an effect means, in sentences for people."""

import math
from collections.abc import Mapping
from typing import Any

from stc_core.interpret.interventions.choice import count_neurons
from stc_core.interpret.interventions.effect_records import (
    LAST_LAYER,
    Effect,
    ReaderEffect,
)

CLEARLY = 0.95
"""A set counts as more than random if it changes more than this share of them."""


def effect_sentences(effect: Effect) -> list[str]:
    """One sentence on the classifier's read-out, one on what the model uses."""
    found, n = [], count_neurons(effect.intervention.neurons)
    total = effect.read + effect.through
    if total > 0:
        share = 100 * effect.through / total
        them = "this neuron itself" if n == 1 else "these neurons themselves"
        found.append(
            f"{100 - share:.0f} % of the change comes from {them}, which the "
            f"classifier reads. {share:.0f} % comes from neurons above, which the "
            f"model computes from {'it' if n == 1 else 'them'}."
        )
    last = next(one for one in effect.readers if one.reader == LAST_LAYER)
    if last.random:
        found.append(_beside_random(last, n))
    return found


def _beside_random(last: ReaderEffect, n: int) -> str:
    """Whether the last layer, and so the model, depends on the neurons."""
    subject, verb = ("This neuron", "moves") if n == 1 else ("These neurons", "move")
    sets = "random neurons" if n == 1 else "random sets"
    less = sum(other < last.change for other in last.random)
    counted = f"more than {_of_all(less, len(last.random))} {sets} of the same sites"
    if not less:
        counted = f"no more than any of {len(last.random)} {sets} of the same sites"
    ratio = "" if math.isnan(last.ratio) else f", {last.ratio:.1f} times the middle one"
    said = f"{subject} {verb} the last layer {counted}{ratio}."
    if last.percentile >= CLEARLY:
        return f"{said} So the model uses what can be read here."
    return f"{said} So what can be read here is not clearly what the model uses."


def _of_all(some: int, n: int) -> str:
    """A number out of n, in words where it is all of them."""
    if some == n:
        return f"all {n}" if n > 1 else "the one"
    return f"{some} of {n}"


def usage_sentences(usage: Mapping[str, Any]) -> list[str]:
    """How far reading and use agree, and how well the gradient foretells ablation.

    `usage` is the record of a `Usage`.
    """
    found = []
    if (rank := usage["rank_correlation"]) is not None:
        found.append(
            f"Rank correlation of what is read and what is used: {rank:.2f}, "
            f"over {len(usage['neurons']):,} neurons and {usage['texts']:,} texts. "
            f"Both have the same sign in {100 * usage['same_sign']:.0f} % of the "
            "cases, weighed by size."
        )
    if (exact := usage["exact_rank_correlation"]) is not None:
        found.append(
            f"The gradient ranks {usage['exact_neurons']} neurons as real ablation "
            f"does, with a rank correlation of {exact:.2f}."
        )
    return found
