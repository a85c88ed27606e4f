"""One neuron taken out of the read-out: set to its mean where the head reads it.

Mean ablation of the read-out, not of the model: other neurons, in the layers above as
well, stay as they were. So it is exact from the activations, and needs no forward.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from stc_core.heads.head import SparseHead


class Toll(NamedTuple):
    """What an ablation costs on `n` texts: accuracy before and after, how many
    predictions change, and of those how many were right before (`lost`) or are right
    after (`gained`)."""

    n: int
    before: float
    after: float
    changed: int
    lost: int
    gained: int


def ablated(
    head: SparseHead,
    logits: Float[np.ndarray, "some n_class"],
    values: Float[np.ndarray, " some"],
    neuron: int,
) -> Float[np.ndarray, "some n_class"]:
    """The logits with `neuron`, whose raw values are given, at its training mean.

    Equals `head.logits` of activations whose column is the mean the head subtracts.
    """
    z = (values - head.mean[neuron]) / head.sd[neuron]
    return logits - z[:, None] * head.weight[:, neuron]


def toll(
    y: Int[np.ndarray, " n"],
    before: Float[np.ndarray, "n n_class"],
    after: Float[np.ndarray, "n n_class"],
) -> Toll:
    """Accuracy with and without, from the logits; `y` are codes of the classes."""
    was, now = before.argmax(axis=1), after.argmax(axis=1)
    right, still = was == y, now == y
    n = len(y)
    return Toll(
        n,
        float(right.mean()) if n else float("nan"),
        float(still.mean()) if n else float("nan"),
        int((was != now).sum()),
        int((right & ~still).sum()),
        int((~right & still).sum()),
    )


def flipped_answers(
    head: SparseHead,
    before: Float[np.ndarray, "n n_class"],
    after: Float[np.ndarray, "n n_class"],
) -> pd.DataFrame:
    """place, before and after of the rows whose predicted class changes, those whose
    lead over the new class was largest first."""
    was, now = before.argmax(axis=1), after.argmax(axis=1)
    places = np.flatnonzero(was != now)
    lead = before[places, was[places]] - before[places, now[places]]
    order = np.argsort(-lead, kind="stable")
    names = np.array(head.classes, dtype=object)
    places = places[order]
    return pd.DataFrame(
        {"place": places, "before": names[was[places]], "after": names[now[places]]}
    )
