"""A backbone with a head at each level's layer, as one trainable module."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from stc_core.backbone.class_guides import GUIDE, Guide, guides_of
from stc_core.classifiers.label_tree import Tree
from stc_core.heads.head import SparseHead
from stc_core.tuning.blocks import TunableBackbone
from stc_core.tuning.readout import Readout

NEVER = -1e9
"""The logit of a node that is not under the parent."""


class ClassHeadModule(Readout):
    """Coarse heads are the guides inside the backbone, the finest head is at the top.

    Labels are nodes of the finest level. The loss is the weighted mean of one
    cross-entropy for each level: that of a coarse level among the siblings of the true
    node, that of the finest level among all leaves. The logits are those of all leaves,
    so the largest one names a whole path, whatever the coarse heads say. The heads
    begin as linear probes of the frozen layers.
    """

    def __init__(
        self,
        tunable: TunableBackbone,
        tree: Tree,
        heads: Sequence[SparseHead],
        *,
        weights: Sequence[float],
        class_weights: Sequence[Float[np.ndarray, " _"]],
    ) -> None:
        guides = guides_of(tunable.backbone.model)
        assert len(guides) == len(heads) - 1 == tree.depth - 1, (len(guides), tree)
        for guide, head in zip(guides, heads, strict=False):
            _begin(guide, head)
        super().__init__(
            tunable.backbone, heads[-1], [*tunable.parts, *guides], tunable.blocks
        )
        self._guides, self._coarse = list(guides), list(heads[:-1])
        self._weights = [weight / sum(weights) for weight in weights]
        for level in range(tree.depth):
            under = torch.from_numpy(tree.children(level))
            self.register_buffer(f"under_{level}", under)
            self.register_buffer(
                f"above_{level}", torch.from_numpy(tree.ancestors(level))
            )
        losses = (
            nn.CrossEntropyLoss(torch.from_numpy(weights)) for weights in class_weights
        )
        self.losses = nn.ModuleList(losses)
        self.to(tunable.backbone.device)

    def forward(
        self, labels: Tensor | None = None, **inputs: Tensor
    ) -> dict[str, Tensor]:
        """Logits of all nodes of the finest level, and the loss."""
        top = super().forward(**inputs)["logits"]
        levels = [*(cast(Tensor, guide.logits).float() for guide in self._guides), top]
        found = {"logits": top}
        return (
            found if labels is None else {"loss": self._loss(levels, labels), **found}
        )

    def _loss(self, levels: Sequence[Tensor], leaves: Tensor) -> Tensor:
        losses = []
        parent = torch.zeros_like(leaves)
        for level, logits in enumerate(levels):
            true, among = self._at("above", level)[leaves], logits
            if level < len(levels) - 1:
                among = logits.masked_fill(~self._at("under", level)[parent], NEVER)
            losses.append(self._weights[level] * self.losses[level](among, true))
            parent = true
        return torch.stack(losses).sum()

    def _at(self, name: str, level: int) -> Tensor:
        return cast(Tensor, getattr(self, f"{name}_{level}"))

    def tuned_tensors(self) -> dict[str, Tensor]:
        """The tuned tensors of the backbone, and all of its guides."""
        held = {
            name: tensor
            for name, tensor in self.model.state_dict().items()
            if GUIDE in name.split(".")
        }
        return {**held, **super().tuned_tensors()}

    def level_heads(self) -> tuple[SparseHead, ...]:
        """The present heads of the levels, the finest last."""
        coarse = [
            _linear(guide, head)
            for guide, head in zip(self._guides, self._coarse, strict=True)
        ]
        return (*coarse, self.linear_head())


def _begin(guide: Guide, head: SparseHead) -> None:
    with torch.no_grad():
        guide.head.weight.copy_(torch.from_numpy(head.weight))
        guide.head.bias.copy_(torch.from_numpy(head.bias))
        cast(Tensor, guide.mean).copy_(torch.from_numpy(np.array(head.mean)))
        cast(Tensor, guide.sd).copy_(torch.from_numpy(np.array(head.sd)))


def _linear(guide: Guide, head: SparseHead) -> SparseHead:
    """The head as the guide reads: of tuned states, so without the frozen range."""
    return head.without_range()._replace(
        weight=guide.head.weight.detach().float().cpu().numpy(),
        bias=guide.head.bias.detach().float().cpu().numpy(),
    )
