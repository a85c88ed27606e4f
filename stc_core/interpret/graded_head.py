"""A linear head as a function of the model's states, differentiable in them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.pooling import pool
from stc_core.heads.head import SparseHead
from stc_core.types import Pooling, Site


class GradedHead:
    """Pools the neurons that a head reads and computes its logits, with gradients.

    The logits are those of `SparseHead.logits`, its range included. `sites` are what it
    needs of the backbone.
    """

    def __init__(self, backbone: Backbone, head: SparseHead) -> None:
        self.backbone, self.head = backbone, head
        self.sites = sorted({feature.site for feature in head.features})
        device = backbone.device
        everything = np.full(len(head.features), np.inf)
        low = -everything if head.low is None else head.low
        high = everything if head.high is None else head.high
        self.low, self.high, self.mean, self.sd, self.weight, self.bias = (
            torch.from_numpy(np.asarray(part, np.float32)).to(device)
            for part in (low, high, head.mean, head.sd, head.weight, head.bias)
        )
        groups: dict[tuple[Site, Pooling], list[int]] = {}
        for place, (site, pooling, _) in enumerate(head.features):
            groups.setdefault((site, pooling), []).append(place)
        self._groups = groups
        order = [place for places in groups.values() for place in places]
        self._order = np.argsort(order).tolist()

    def __call__(self, ids: Tensor, mask: Tensor) -> Float[Tensor, "batch n_class"]:
        """The logits of padded ids (batch, pos)."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        hidden = self.backbone.graded(inputs, self.sites)
        return self.logits(self.features(hidden, mask.bool()))

    def features(
        self, hidden: Mapping[Site, Tensor], mask: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch n"]:
        """The pooled neurons of the head, in its order, from states (batch, pos, d)."""
        parts = []
        for (site, pooling), places in self._groups.items():
            index: Any = [self.head.features[place].index for place in places]
            # Only the columns that count are pooled.
            parts.append(pool(hidden[site][..., index], mask, pooling))
        return torch.cat(parts, 1)[:, self._order]

    def logits(self, X: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n_class"]:
        """The logits of pooled neurons."""
        X = X.clamp(self.low, self.high)
        return (X - self.mean) / self.sd @ self.weight.T + self.bias
