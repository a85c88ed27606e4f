"""How much the model uses each neuron, measured before any neuron is chosen.

A neuron's use is the mean absolute effect of its mean ablation on a head of the last
layer, to first order: the gradient of the margin times the distance from the mean,
summed over the tokens (attribution patching: Nanda 2023; Syed et al. 2023, arXiv
2310.10348). One backward pass gives it for all neurons of a text.
"""

from collections.abc import Sequence
from copy import copy

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from stc_core.activations.reference import (
    Reference,
    TextBatch,
    read_reference,
    text_batches,
)
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.hooks import Edit
from stc_core.data.task import Task
from stc_core.heads.head import SparseHead
from stc_core.selection.folds import stratified_order
from stc_core.selection.use.last_layer import fit_last_layer
from stc_core.types import PooledSite, Progress, Site, silent

MOST_ATTRIBUTED = 120
"""At most so many texts of a fit are read, forwards and backwards."""


class ModelUse:
    """The use of each neuron on rows of a task; `weight` is its weight in a ranking.

    Only the texts and labels of the rows that are asked about take part. What was
    measured once is kept.
    """

    def __init__(
        self,
        backbone: Backbone,
        texts: Sequence[str],
        task: Task,
        *,
        weight: float,
        progress: Progress = silent,
    ) -> None:
        self.backbone, self.texts, self.task = backbone, texts, task
        self.weight, self.progress = weight, progress
        self._known: dict[bytes, dict[Site, np.ndarray]] = {}
        self._only: np.ndarray | None = None

    def measured_on(self, rows: Int[np.ndarray, " n"]) -> "ModelUse":
        """The use on these rows, whatever rows it is asked about later."""
        found = copy(self)
        found._only = rows
        return found

    def of(
        self, rows: Int[np.ndarray, " n"], sites: Sequence[PooledSite]
    ) -> Float[np.ndarray, " d"]:
        """The use of the columns of these pooled sites, one site after another.

        A neuron has the same use under every pooling. At most MOST_ATTRIBUTED of the
        rows are read, each class in proportion.
        """
        rows = np.unique(rows if self._only is None else self._only)
        key = rows.tobytes()
        if key not in self._known:
            self._known[key] = self._measured(rows, sites)
        return np.concatenate([self._known[key][one.site] for one in sites])

    def _measured(
        self, rows: Int[np.ndarray, " n"], pooled_sites: Sequence[PooledSite]
    ) -> dict[Site, np.ndarray]:
        some = stratified_order(self.task.codes, rows, seed=0, each=2)[:MOST_ATTRIBUTED]
        read = [int(row) for row in np.sort(some)]
        texts = [self.texts[row] for row in read]
        classes = self.task.classes
        labels = [classes[int(code)] for code in self.task.codes[read]]
        sites = sorted({one.site for one in pooled_sites})
        reference = read_reference(self.backbone, texts, sites)
        head = fit_last_layer(self.backbone, classes, texts, labels)
        totals = {
            site: np.zeros(self.backbone.widths[site], np.float32) for site in sites
        }
        batches = text_batches(self.backbone, texts)
        for done, batch in enumerate(batches, start=1):
            for site, effects in effects_by_gradient(
                self.backbone, head, reference, batch
            ).items():
                totals[site] += effects.abs().sum(0).cpu().numpy()
            self.progress(done, len(batches))
        return {site: total / len(texts) for site, total in totals.items()}


def effects_by_gradient(
    backbone: Backbone, head: SparseHead, reference: Reference, batch: TextBatch
) -> dict[Site, Float[Tensor, "batch width"]]:
    """What the distance of each neuron from its mean adds to the margin, by gradient.

    The margin is the logit of the class that `head` gives to the text, less the mean of
    all logits; `head` reads the mean of the last layer. The sites are those of the
    reference. A site on which the margin does not depend has zeros.
    """
    states: dict[Site, Tensor] = {}
    sites = sorted(reference.mean, key=backbone.sites.index)

    def keep(site: Site, hidden: Tensor) -> Tensor:
        # The graph begins at the first site: below, nothing is differentiated.
        own = hidden.detach().requires_grad_() if site == sites[0] else hidden
        states[site] = own
        return own

    top = Site(backbone.n_layers, "resid")
    with torch.enable_grad():
        edit = Edit(frozenset(sites), keep)
        hidden = backbone.graded(batch.inputs, [top], edit=edit)[top]
        pooled = hidden.float().mean(1)
        weight, bias = (
            torch.from_numpy(part).to(pooled) for part in (head.weight, head.bias)
        )
        mean, sd = (torch.from_numpy(part).to(pooled) for part in (head.mean, head.sd))
        logits = (pooled - mean) / sd @ weight.T + bias
        margin = logits - logits.mean(1, keepdim=True)
        wanted = [states[site] for site in sites]
        found = torch.autograd.grad(margin.amax(1).sum(), wanted, allow_unused=True)
    out = {}
    for site, state, gradient in zip(sites, wanted, found, strict=True):
        usual = reference.mean[site][batch.kinds_at(backbone, site).cpu()].to(state)
        shape = *batch.kinds.shape, -1
        far = state.detach().reshape(shape) - usual
        slope = torch.zeros_like(far) if gradient is None else gradient.reshape(shape)
        out[site] = (slope * far).sum(1).float()
    return out


def weigh_use(
    importance: Float[np.ndarray, " d"], use: Float[np.ndarray, " d"], weight: float
) -> Float[np.ndarray, " d"]:
    """The geometric mean of importance and squared use, with this weight of use.

    Importance is a squared weight, so the use is squared, too. A column without
    importance or without use has 0, unless the other one has all the weight.
    """
    scaled = use / max(float(use.max()), 1e-30)
    scores = importance ** (1 - weight) * scaled ** (2 * weight)
    return np.where(importance > 0, scores, 0).astype(np.float32)
