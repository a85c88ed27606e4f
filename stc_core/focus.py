"""A backbone under attention and a linear head, as one trainable module."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout

from stc_core.attention import Attention
from stc_core.axes import Feature, Site
from stc_core.backbone import Backbone
from stc_core.head import SparseHead
from stc_core.readout import Readout, learn

RATES = {"layers": 5e-2, "attention": 1e-2, "head": 1e-3}
"""Learning rates of what is new: the layers' scores have far to go in few steps."""
DROPOUT = 0.3
"""Of the text's vector, while the head learns."""


class Focus(Readout):
    """logits = bias + weight (vector of the text under attention - mean) / sd.

    Begins with equal shares of layers and tokens and with `head`, a linear model of
    the vectors that these give. Blocks of the backbone learn if they are given.
    """

    def __init__(
        self,
        backbone: Backbone,
        sites: Sequence[Site],
        attention: Attention,
        head: SparseHead,
        parts: Sequence[nn.Module] = (),
        *,
        class_weight: Float[np.ndarray, " n_class"] | None = None,
    ) -> None:
        super().__init__(backbone, head, parts, parts, class_weight=class_weight)
        self.attention = attention.to(backbone.device)
        learn(self.attention)
        self._sites, self._frozen = tuple(sites), not parts

    def forward(
        self, labels: Tensor | None = None, **inputs: Tensor
    ) -> dict[str, Tensor]:
        """Logits of a padded batch, and the loss if its labels are given."""
        with torch.no_grad() if self._frozen else nullcontext():
            hidden = self._backbone.graded(inputs, self._sites)
        mask = inputs["attention_mask"].bool()
        found = self.attention([hidden[site] for site in self._sites], mask)
        mean, sd = cast(Tensor, self.mean), cast(Tensor, self.sd)
        x = dropout((found.vectors - mean) / sd, DROPOUT, self.training)
        logits = (x * self.head.weight).sum(-1) + self.head.bias
        if labels is None:
            return {"logits": logits}
        return {"loss": self.loss(logits, labels), "logits": logits}

    def groups(self, rate: float | None = None) -> list[dict[str, Any]]:
        """What learns, with its learning rates; `rate` is that of the attention."""
        scale = 1.0 if rate is None else rate / RATES["attention"]
        own = self.attention
        parts = {
            "layers": [own.scores, own.gamma],
            "attention": [own.inner.weight, own.query],
            "head": list(self.head.parameters()),
        }
        return [
            {"params": parameters, "lr": scale * RATES[name]}
            for name, parameters in parts.items()
        ]


def vector_features(backbone: Backbone, sites: Sequence[Site]) -> tuple[Feature, ...]:
    """Names for the coordinates of a text's vector, at the highest layer it reads."""
    top = max(sites)
    return tuple(Feature(top, "mean", i) for i in range(3 * backbone.widths[top]))
