"""A backbone under attention and a linear head, as one trainable module."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout

from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.attention_pooling import Attention
from stc_core.heads.head import SparseHead
from stc_core.tuning.blocks import TunableBackbone
from stc_core.tuning.language_model import (
    WordHead,
    hidden_words,
    next_words,
    read_whole,
)
from stc_core.tuning.readout import Readout, learn
from stc_core.types import Feature, Site

RATES = {"layers": 5e-2, "attention": 1e-2, "head": 1e-3, "words": 1e-3}
"""Learning rates of the new parts: the scores of the layers must move far in few
steps."""
DROPOUT = 0.3
"""Share of the text's vector that is dropped while the head learns."""


class WordLoss(NamedTuple):
    """A head over words, and how much its loss weighs beside that of the classes."""

    head: WordHead
    weight: float


class AttentionModule(Readout):
    """logits = bias + weight (vector of the text under attention - mean) / sd.

    Begins with equal shares of layers and tokens and with `head`, a linear model of
    the vectors that these give. If `tunable` has blocks that learn, the topmost open
    ones of them do. With a `word_loss` the loss is the sum of that of the classes and
    that of the words, from one forward. A backbone that reads both ways then hides some
    words, and the classifier does not see them either while it learns.
    """

    def __init__(
        self,
        backbone: Backbone,
        sites: Sequence[Site],
        attention: Attention,
        head: SparseHead,
        tunable: TunableBackbone | None = None,
        *,
        class_weight: Float[np.ndarray, " n_class"] | None = None,
        word_loss: WordLoss | None = None,
    ) -> None:
        parts = tunable.parts if tunable else []
        super().__init__(backbone, head, parts, (), class_weight=class_weight)
        self.attention = attention.to(backbone.device)
        learn(self.attention)
        self.words = word_loss.head if word_loss else None
        self._weight = word_loss.weight if word_loss else 0.0
        self._sites = tuple(sites)
        blocks = list(dict.fromkeys(tunable.blocks)) if tunable else []
        self._tuned = [
            (block, [p for p in block.parameters() if p.requires_grad])
            for block in blocks
        ]
        self._names = frozenset(super().learned())
        self.open(len(blocks))

    @property
    def n_tuned(self) -> int:
        """How many blocks learn when all are open."""
        return len(self._tuned)

    def open(self, n: int) -> None:
        """From now on the topmost `n` of the tuned blocks learn, and those below do
        not."""
        closed = len(self._tuned) - n
        for place, (_, parameters) in enumerate(self._tuned):
            for parameter in parameters:
                parameter.requires_grad_(place >= closed)
        self._blocks = [block for block, _ in self._tuned[closed:]]
        self.train(self.training)

    def learned(self) -> dict[str, nn.Parameter]:
        """The parameters that learn when every block is open, by name."""
        return {n: p for n, p in self.named_parameters() if n in self._names}

    def train(self, mode: bool = True) -> "AttentionModule":
        super().train(mode)
        if self.words is not None:
            self.words.train(mode)
        return self

    def forward(
        self, labels: Tensor | None = None, **inputs: Tensor
    ) -> dict[str, Tensor]:
        """Logits of a padded batch, and the loss if its labels are given."""
        said = labels is not None and self.training and self._weight > 0
        with nullcontext() if self._blocks else torch.no_grad():
            hidden, words = self._read(inputs, said=said)
        mask = inputs["attention_mask"].bool()
        found = self.attention([hidden[site] for site in self._sites], mask)
        mean, sd = cast(Tensor, self.mean), cast(Tensor, self.sd)
        x = dropout((found.vectors - mean) / sd, DROPOUT, self.training)
        logits = (x * self.head.weight).sum(-1) + self.head.bias
        if labels is None:
            return {"logits": logits}
        loss = self.loss(logits, labels)
        if words is not None:
            loss = loss + self._weight * words
        return {"loss": loss, "logits": logits}

    def _read(
        self, inputs: dict[str, Tensor], *, said: bool
    ) -> tuple[dict[Site, Tensor], Tensor | None]:
        """The states of the sites, and the loss of the words if `said` gives them."""
        backbone, sites = self._backbone, self._sites
        if not said:
            return backbone.graded(inputs, sites), None
        assert self.words is not None
        if backbone.causal:
            hidden, last = read_whole(backbone, inputs, sites)
            return hidden, next_words(self.words, last, inputs).loss
        found, hidden = hidden_words(backbone, self.words, inputs, sites=sites)
        return hidden, found.loss

    def trained(self) -> Attention:
        """A copy of the present attention, whose parameters are frozen."""
        now = self.attention.state_dict()
        return Attention.of({name: tensor.detach() for name, tensor in now.items()})

    def groups(
        self, rate: float | None = None, *, top: float = 0.0, ratio: float = 1.0
    ) -> list[dict[str, Any]]:
        """Groups of parameters with their learning rates; `rate` is that of the
        attention.

        The topmost block learns at the rate `top`, each block below at 1 / `ratio` of
        the rate of the block above it.
        """
        scale = 1.0 if rate is None else rate / RATES["attention"]
        own = self.attention
        parts = {
            "layers": [own.scores, own.gamma],
            "attention": [own.inner.weight, own.query],
            "head": list(self.head.parameters()),
        }
        found: list[dict[str, Any]] = [
            {"params": parameters, "lr": scale * RATES[name]}
            for name, parameters in parts.items()
        ]
        for depth, (_, parameters) in enumerate(reversed(self._tuned)):
            found.append({"params": parameters, "lr": top / ratio**depth})
        if self.words is not None:
            said = [p for p in self.words.parameters() if p.requires_grad]
            found.append({"params": said, "lr": RATES["words"]})
        return found


def vector_features(backbone: Backbone, sites: Sequence[Site]) -> tuple[Feature, ...]:
    """Features that name the coordinates of a text's vector, at the highest layer
    read."""
    top = max(sites)
    return tuple(Feature(top, "mean", i) for i in range(3 * backbone.widths[top]))
