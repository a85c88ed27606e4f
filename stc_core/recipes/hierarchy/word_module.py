"""A decoder that learns to spell each level of labels at its layer, as one module."""

import copy
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from stc_core.backbone.loading import hub
from stc_core.classifiers.label_tree import Tree
from stc_core.classifiers.spelling import Names, Speller
from stc_core.recipes.hierarchy.teacher_forcing import read_scripts, script_of
from stc_core.tuning.blocks import TunableBackbone
from stc_core.tuning.language_model import language_model
from stc_core.tuning.readout import Readout, learn


class WordHeadModule(Readout):
    """One teacher-forced sequence: text, coarse name, finer name, each with its end.

    The replies (`tails`) have their own heads and layers, too.

    The loss is the weighted mean of one cross-entropy over all words for each level,
    each from its own head at its own layer, in a single forward. Labels are nodes of
    the finest level. Outside training the logits are those of the constrained
    spelling, so the largest one names a whole path.
    """

    def __init__(
        self,
        tunable: TunableBackbone,
        tree: Tree,
        names: Names,
        *,
        layers: Sequence[int],
        heads: Sequence[nn.Module],
        norm: bool,
        weights: Sequence[float],
    ) -> None:
        nn.Module.__init__(self)
        self.model = tunable.backbone.model
        self.heads = nn.ModuleList(heads)
        self.to(tunable.backbone.device)
        self._backbone, self._blocks = tunable.backbone, list(tunable.blocks)
        self._speller = Speller(
            tunable.backbone, tree, names, layers, list(self.heads), norm=norm
        )
        self._weights = [weight / sum(weights) for weight in weights]
        for part in [*tunable.parts, *self.heads]:
            learn(part)

    def forward(
        self,
        labels: Tensor | None = None,
        tails: Tensor | None = None,
        **inputs: Tensor,
    ) -> dict[str, Tensor]:
        """The loss if labels are given; outside training the logits of whole paths.

        `tails` (batch, part, pos) are padded with -1.
        """
        mask = inputs["attention_mask"].bool()
        ids = [
            row[real].cpu().numpy()
            for row, real in zip(inputs["input_ids"], mask, strict=True)
        ]
        found = {}
        if labels is not None:
            found["loss"] = self._loss(ids, labels, tails)
        if not self.training:
            found["logits"] = self._paths(ids)
        return found

    def _loss(
        self, ids: Sequence[np.ndarray], leaves: Tensor, tails: Tensor | None
    ) -> Tensor:
        names, tree = self._speller.names, self._speller.tree
        after = [() for _ in ids] if tails is None else [_real(row) for row in tails]
        scripts = [
            script_of(one, leaf, tail, tree=tree, names=names)
            for one, leaf, tail in zip(ids, leaves.tolist(), after, strict=True)
        ]
        parts = range(len(self._weights))
        losses = [
            weight * nn.functional.cross_entropy(said.logits, said.tokens)
            for weight, said in zip(
                self._weights, read_scripts(self._speller, scripts, parts), strict=True
            )
        ]
        return torch.stack(losses).sum()

    def _paths(self, ids: Sequence[np.ndarray]) -> Tensor:
        tree = self._speller.tree
        way = self._speller.descend(ids, tree.depth)
        logits = np.log(way.shares[-1] + 1e-12)
        logits[np.arange(len(ids)), way.nodes[:, -1]] = 1.0
        return torch.from_numpy(logits).float().to(self._backbone.device)


def _real(tails: Tensor) -> list[np.ndarray]:
    """The tokens of each part of one row, without padding."""
    return [tail[tail >= 0].cpu().numpy() for tail in tails]


def copied_word_head(name: str) -> nn.Module | None:
    """A copy of the language-model head of a decoder, in float32, that does not learn.

    None if the files have no such head.
    """
    model: Any = language_model(hub.resolve(name), causal=True)
    if model is None:
        return None
    head = copy.deepcopy(cast(nn.Module, model.get_output_embeddings()))
    return head.requires_grad_(False)
