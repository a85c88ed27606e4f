"""The ablation of one neuron: where the head reads it, it gets its mean.

This is mean ablation of the read-out, not of the model: all other neurons keep their
values, also in the layers above. So the result is exact from the activations alone and
needs no forward pass.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from stc_core.heads.head import SparseHead


class AblationEffect(NamedTuple):
    """The effect of an ablation on `n` texts.

    It has the accuracy before and after, and the number of changed predictions: those
    that were right before (`lost`), those that are right after (`gained`), and all.
    """

    n: int
    before: float
    after: float
    changed: int
    lost: int
    gained: int


def ablate_readout(
    head: SparseHead,
    logits: Float[np.ndarray, "some n_class"],
    values: Float[np.ndarray, " some"],
    neuron: int,
) -> Float[np.ndarray, "some n_class"]:
    """The logits with `neuron` at its training mean; `values` are its raw values.

    They equal `head.logits` of the activations with that column set to the mean.
    """
    counted = head.only(neuron).standardised(values[:, None])
    return logits - counted * head.weight[:, neuron]


def ablation_effect(
    y: Int[np.ndarray, " n"],
    before: Float[np.ndarray, "n n_class"],
    after: Float[np.ndarray, "n n_class"],
) -> AblationEffect:
    """The effect of an ablation, from the logits before and after.

    `y` are the codes of the true classes.
    """
    was, now = before.argmax(axis=1), after.argmax(axis=1)
    right_before, right_after = was == y, now == y
    n = len(y)
    return AblationEffect(
        n,
        float(right_before.mean()) if n else float("nan"),
        float(right_after.mean()) if n else float("nan"),
        int((was != now).sum()),
        int((right_before & ~right_after).sum()),
        int((~right_before & right_after).sum()),
    )


def flipped_answers(
    head: SparseHead,
    before: Float[np.ndarray, "n n_class"],
    after: Float[np.ndarray, "n n_class"],
) -> pd.DataFrame:
    """A table with place, before and after of the rows whose prediction changes.

    The rows with the largest lead over the new class come first.
    """
    was, now = before.argmax(axis=1), after.argmax(axis=1)
    places = np.flatnonzero(was != now)
    lead = before[places, was[places]] - before[places, now[places]]
    order = np.argsort(-lead, kind="stable")
    names = np.array(head.classes, dtype=object)
    places = places[order]
    return pd.DataFrame(
        {"place": places, "before": names[was[places]], "after": names[now[places]]}
    )
