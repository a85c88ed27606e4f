"""Hidden-state variability of every layer of a backbone, for the labels of a corpus.

Source: arXiv 2210.10041. No training: one forward of every text.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int

from stc_core.axes import PooledSite, Progress, silent
from stc_core.backbone import Backbone
from stc_core.forward import Pace, run
from stc_core.scatter import Scatter, best_layer
from stc_core.task import Read, Task


class LayerNu(NamedTuple):
    """nu of layers 0 (embeddings) to L, and the layer with the least."""

    nu: tuple[float, ...]
    best_layer: int

    @classmethod
    def of(cls, scatters: Sequence[Scatter]) -> "LayerNu":
        nu = tuple(scatter.nu() for scatter in scatters)
        return cls(nu, best_layer(nu))

    def record(self) -> dict[str, Any]:
        """For JSON: a layer that tells nothing has None."""
        nu = [value if math.isfinite(value) else None for value in self.nu]
        return {"nu": nu, "best_layer": self.best_layer}


def states_of(backbone: Backbone) -> list[PooledSite]:
    """The hidden states of every layer, by the mean."""
    return [PooledSite(s, "mean") for s in backbone.sites if s.kind == "resid"]


def measure(
    backbone: Backbone,
    texts: Sequence[str],
    codes: Int[np.ndarray, " n"],
    *,
    progress: Progress = silent,
) -> LayerNu:
    """nu of every layer for the class codes of `texts`, each layer in one pass.

    A text is the mean of its own tokens' states: those that the tokenizer adds are
    left out. No activation outlives its batch. `progress` counts texts.
    """
    wanted = states_of(backbone)
    counts = np.bincount(codes)
    scatters = [Scatter(counts, backbone.widths[wish.site]) for wish in wanted]
    y = torch.from_numpy(np.asarray(codes, np.int64))
    read = partial(backbone.content_means, sites=[wish.site for wish in wanted])
    pace = Pace(backbone, wanted, None)
    done = 0
    for batch in run(backbone, texts, wanted, dict, pace=pace, read=read):
        for scatter, states in zip(scatters, batch.value.values(), strict=True):
            scatter.add(states, y[batch.rows])
        done += len(batch.rows)
        progress(done, len(texts))
    return LayerNu.of(scatters)


def from_features(
    read: Read, task: Task, backbone: Backbone, wanted: Sequence[PooledSite]
) -> LayerNu | None:
    """nu of every layer from stored features of the training rows.

    These are means over all tokens, special ones too, so the values differ a little
    from those of `measure`. None if the means are not among those `wanted`.
    """
    codes = torch.from_numpy(np.asarray(task.codes[task.train], np.int64))
    counts = np.bincount(codes, minlength=len(task.classes))
    scatters = []
    states = [wish for wish in states_of(backbone) if wish in set(wanted)]
    if not states:
        return None
    for wish in states:
        scatter = Scatter(counts, backbone.widths[wish.site])
        scatter.add(torch.from_numpy(read(wish)[task.train]), codes)
        scatters.append(scatter)
    return LayerNu.of(scatters)
