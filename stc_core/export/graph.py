"""A classifier as one torch module for a tracer: from token ids to probabilities.

It computes what the classifier computes, from the same parts: the model's own forward,
the poolings, the head. Texts are padded on the right.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.packing import add_decoder_inputs
from stc_core.backbone.pooling import pool
from stc_core.classifiers.attention import AttentionClassifier
from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.hierarchical import HierarchicalClassifier
from stc_core.classifiers.pretrained.sequence_classifier import SequenceClassifier
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.types import PooledSite, Site

_States = dict[Site, Tensor]


class GraphOutput(NamedTuple):
    """The answers of a graph; `label` is the place of the predicted label.

    For a hierarchy they are those of the finest level.
    """

    logits: Float[Tensor, "batch n_class"]
    probabilities: Float[Tensor, "batch n_class"]
    label: Int[Tensor, " batch"]


class ClassifierGraph(nn.Module):
    """The backbone and a read-out, as one module on padded ids and their mask."""

    def __init__(
        self, backbone: Backbone, sites: Sequence[Site], read_out: nn.Module
    ) -> None:
        super().__init__()
        self.backbone, self.sites = backbone, list(dict.fromkeys(sites))
        self.model, self.read_out = backbone.model, read_out

    def forward(
        self,
        input_ids: Int[Tensor, "batch pos"],
        attention_mask: Int[Tensor, "batch pos"],
        word_logits: Float[Tensor, "batch n_class"] | None = None,
    ) -> GraphOutput:
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if getattr(self.backbone.config, "is_encoder_decoder", False):
            add_decoder_inputs(inputs, self.backbone.config)
        states = self.backbone.graded(inputs, self.sites, traced=True)
        mask = attention_mask.bool()
        if word_logits is None:
            return self.read_out(states, mask)
        return self.read_out(states, mask, word_logits)


def graph_of(classifier: BaseClassifier) -> ClassifierGraph:
    """The graph of a classifier; StcError if it is more than one forward.

    That of a classifier that reads words takes what they add to the logits as a third
    input: a graph has no words, only tokens.
    """
    backbone = classifier.backbone_
    if isinstance(classifier, AttentionClassifier):
        return ClassifierGraph(backbone, classifier.sites, _Attended(classifier))
    if isinstance(classifier, SequenceClassifier):
        raise StcError(
            "ONNX graph",
            expected="a classifier that was trained here",
            got="a model of transformers with its own head",
            remedy="Export that model itself, for example with optimum.",
        )
    if isinstance(classifier, HierarchicalClassifier) and not classifier.heads_:
        raise StcError(
            "ONNX graph",
            expected="a classifier that reads a text in one forward",
            got="a decoder that spells its labels, token by token",
            remedy="Pack it as a bundle, or train with --heads class.",
        )
    sites = [feature.site for feature in classifier.head_.features]
    return ClassifierGraph(backbone, sites, _Sparse(classifier.head_))


class _HeadLogits(nn.Module):
    """The logits of a sparse head, from the states of its sites."""

    def __init__(self, head: SparseHead) -> None:
        super().__init__()
        places: dict[PooledSite, list[int]] = {}
        for place, feature in enumerate(head.features):
            pooled_site = PooledSite(feature.site, feature.pooling)
            places.setdefault(pooled_site, []).append(place)
        self.pooled_sites = list(places)
        order = [place for part in places.values() for place in part]
        for number, part in enumerate(places.values()):
            columns = [head.features[place].index for place in part]
            self.register_buffer(f"columns_{number}", torch.tensor(columns))
        values = {"mean": head.mean, "sd": head.sd, **head.range}
        for name, value in values.items():
            self.register_buffer(name, _tensor(value[order]))
        self.has_range = bool(head.range)
        self.line = nn.Linear(len(order), len(head.bias))
        with torch.no_grad():
            self.line.weight.copy_(_tensor(head.weight[:, order]))
            self.line.bias.copy_(_tensor(head.bias))

    def forward(self, states: _States, mask: Tensor) -> Tensor:
        parts = [
            pool(states[site].float(), mask, pooling)[
                :, self.get_buffer(f"columns_{number}")
            ]
            for number, (site, pooling) in enumerate(self.pooled_sites)
        ]
        x = torch.cat(parts, dim=1)
        if self.has_range:
            low, high = self.get_buffer("low"), self.get_buffer("high")
            x = torch.minimum(torch.maximum(x, low), high)
        return self.line((x - self.get_buffer("mean")) / self.get_buffer("sd"))


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _flat(logits: Tensor) -> GraphOutput:
    return GraphOutput(logits, logits.softmax(1), logits.argmax(1))


class _Sparse(nn.Module):
    def __init__(self, head: SparseHead) -> None:
        super().__init__()
        self.logits = _HeadLogits(head)

    def forward(
        self, states: _States, mask: Tensor, word_logits: Tensor | None = None
    ) -> GraphOutput:
        logits = self.logits(states, mask)
        return _flat(logits if word_logits is None else logits + word_logits)


class _Attended(nn.Module):
    def __init__(self, classifier: AttentionClassifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.attention = classifier.attention_

    def forward(self, states: _States, mask: Tensor) -> GraphOutput:
        of_layers = [states[site] for site in self.classifier.sites]
        return _flat(self.classifier.graded_logits(of_layers, mask))
