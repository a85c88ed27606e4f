"""Texts as the uniform mixture of all layers and tokens, which attention begins with.

The same mixtures under linear heads are its baselines.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float

from stc_core.activations.groups import Groups
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.pooling import pool
from stc_core.classifiers.attention import batches
from stc_core.classifiers.attention_pooling import Attention
from stc_core.data.task import Task, some_rows
from stc_core.data.texts import Texts
from stc_core.errors import StcError
from stc_core.heads import ridge
from stc_core.heads.head import SparseHead
from stc_core.recipes.attention.module import vector_features
from stc_core.types import Progress, Site

ALIKE = ("mean", "max", "last")
"""The poolings of the baselines, over all layers in equal shares."""


def read_sites_of(backbone: Backbone, max_layer: int | None) -> list[Site]:
    """The hidden states that attention reads: of one stack, all of one width.

    In an encoder-decoder they are the encoder's: its tokens have the same positions.
    """
    stack = [site for site in backbone.sites if site.kind == "resid"]
    stack = [site for site in stack if not backbone.reads_shifted(site)]
    width = backbone.widths[max(stack)]
    found = [
        site
        for site in sorted(stack)
        if backbone.widths[site] == width
        and (max_layer is None or site.layer <= max_layer)
    ]
    if not found:
        raise StcError(
            f"layers of {backbone.name} to read",
            expected=f"one with {width} dimensions among them",
            got=f"none up to layer {max_layer}",
            remedy="Raise --max-layer.",
        )
    return found


def uniform_vectors(
    backbone: Backbone,
    sites: Sequence[Site],
    texts: Texts,
    groups: Groups,
    *,
    progress: Progress,
) -> dict[str, Float[np.ndarray, "n d"]]:
    """For each pooling of ALIKE the vectors of all texts, every layer in equal
    shares. The groups of texts are read apart."""
    width, n = backbone.widths[sites[-1]], len(texts)
    uniform = Attention(len(sites), width).to(backbone.device)

    def make(states: Sequence[torch.Tensor], mask: torch.Tensor) -> list[torch.Tensor]:
        z = torch.stack(uniform.layers(states, mask)).sum(0)
        return [pool(z, mask, name).cpu() for name in ALIKE]

    out = {name: np.empty((n, width), np.float32) for name in ALIKE}
    done = 0
    for group in groups:
        for rows, found in batches(backbone, texts.at(group), sites, make):
            for name, block in zip(ALIKE, found, strict=True):
                out[name][group[rows]] = block.numpy()
            done += len(rows)
            progress(done, n)
    return out


def uniform_heads(
    alike: Mapping[str, Float[np.ndarray, "n d"]],
    task: Task,
    backbone: Backbone,
    sites: Sequence[Site],
) -> dict[str, SparseHead]:
    """A linear head for each pooling: the baselines of attention."""
    features = vector_features(backbone, sites)
    part = _some(task)
    return {
        name: ridge.fit_best_ridge_head(X, part, features[: X.shape[1]])
        for name, X in alike.items()
    }


def first_head(
    alike: Mapping[str, Float[np.ndarray, "n d"]],
    task: Task,
    backbone: Backbone,
    sites: Sequence[Site],
) -> SparseHead:
    """The linear model of a text's first vector: attention, max and mean.

    Attention begins as the mean, so both get half of the weight of the mean.
    """
    features = vector_features(backbone, sites)
    X = np.concatenate([alike["mean"], alike["max"]], axis=1)
    head = ridge.fit_best_ridge_head(X, _some(task), features[: X.shape[1]])
    d = X.shape[1] // 2

    def spread(values: np.ndarray, share: float = 1.0) -> np.ndarray:
        mean, most = values[..., :d], values[..., d:]
        return np.concatenate([share * mean, most, share * mean], axis=-1)

    return head.without_range()._replace(
        features=features,
        mean=spread(head.mean),
        sd=spread(head.sd),
        weight=spread(head.weight, 0.5),
    )


def _some(task: Task) -> Task:
    return task._replace(train=some_rows(task.train))
