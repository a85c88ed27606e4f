"""A decoder that learns to spell each level of labels at its layer, as one module."""

import copy
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from stc_core import hub
from stc_core.axes import Site
from stc_core.checkpoint import quiet
from stc_core.packing import make_batch
from stc_core.readout import Readout, learn
from stc_core.spelling import Names, Speller
from stc_core.tree import Tree
from stc_core.tuning import Graft


class Scribe(Readout):
    """One teacher-forced sequence: text, coarse name, finer name, each with its end.

    The loss is the weighted mean of the levels' cross-entropies over all words, each by
    its own head at its own layer, in a single forward. Labels are nodes of the finest
    level; outside training the logits are those of the constrained spelling, so that
    their largest is the whole path.
    """

    def __init__(
        self,
        graft: Graft,
        tree: Tree,
        names: Names,
        *,
        layers: Sequence[int],
        heads: Sequence[nn.Module],
        norm: bool,
        weights: Sequence[float],
    ) -> None:
        nn.Module.__init__(self)
        self.model = graft.backbone.model
        self.heads = nn.ModuleList(heads)
        self.to(graft.backbone.device)
        self._backbone, self._blocks = graft.backbone, list(graft.blocks)
        self._speller = Speller(
            graft.backbone, tree, names, layers, list(self.heads), norm=norm
        )
        self._sites = [Site(layer, "resid") for layer in layers]
        self._weights = [weight / sum(weights) for weight in weights]
        for part in [*graft.parts, *self.heads]:
            learn(part)

    def forward(
        self, labels: Tensor | None = None, **inputs: Tensor
    ) -> dict[str, Tensor]:
        """The loss if labels are given, and outside training the logits of paths."""
        mask = inputs["attention_mask"].bool()
        ids = [
            row[real].cpu().numpy()
            for row, real in zip(inputs["input_ids"], mask, strict=True)
        ]
        found = {}
        if labels is not None:
            found["loss"] = self._loss(ids, labels)
        if not self.training:
            found["logits"] = self._paths(ids)
        return found

    def _loss(self, ids: Sequence[np.ndarray], leaves: Tensor) -> Tensor:
        names, tree = self._speller.names, self._speller.tree
        rows, spans = [], []
        for one, leaf in zip(ids, leaves.tolist(), strict=True):
            row, where = [*one.tolist(), names.end], []
            for level in range(tree.depth):
                name = names.tokens[level][tree.ancestors(level)[leaf]]
                where.append((len(row), len(row) + len(name) + 1))
                row += [*name, names.end]
            rows.append(np.array(row, np.int32))
            spans.append(where)
        device = self._backbone.device
        batch = make_batch(rows, self._backbone.config, device=device, packed=False)
        states = self._backbone.graded(batch.inputs, self._sites)
        losses = []
        for level, site in enumerate(self._sites):
            at = [
                (place, token)
                for place, row in enumerate(batch.order)
                for token in range(*spans[row][level])
            ]
            place, token = torch.tensor(at, device=device).T
            words = self._speller.logits(level, states[site][place, token - 1])
            true = batch.inputs["input_ids"][place, token]
            loss = nn.functional.cross_entropy(words, true)
            losses.append(self._weights[level] * loss)
        return torch.stack(losses).sum()

    def _paths(self, ids: Sequence[np.ndarray]) -> Tensor:
        tree = self._speller.tree
        way = self._speller.descend(ids, tree.depth)
        logits = np.log(way.shares[-1] + 1e-12)
        logits[np.arange(len(ids)), way.nodes[:, -1]] = 1.0
        return torch.from_numpy(logits).float().to(self._backbone.device)


def word_head(name: str) -> nn.Module | None:
    """A copy of the language-model head of a decoder, in float32, that does not learn.

    None where the files have no such head.
    """
    folder = hub.resolve(name)
    try:
        with quiet():
            found: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, SafetensorError):
        return None
    model, report = found
    if report["missing_keys"]:
        return None
    head = copy.deepcopy(cast(nn.Module, model.get_output_embeddings()))
    return head.requires_grad_(False)
