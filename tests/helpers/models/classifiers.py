"""A tiny classifier of each class, random or fitted, for any number of labels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from helpers.models.tiny import TEXTS, WORDS, tiny_backbone
from stc_core.activations.features import dense_features
from stc_core.classifiers.attention import AttentionClassifier, TokenReadout
from stc_core.classifiers.attention_pooling import PARTS, Attention
from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.classifiers.hierarchical import HierarchicalClassifier
from stc_core.classifiers.label_tree import tree_of
from stc_core.classifiers.masked import MaskedClassifier
from stc_core.classifiers.replying import ReplyingClassifier
from stc_core.classifiers.spelled import SpelledClassifier
from stc_core.heads.head import SparseHead
from stc_core.heads.path_heads import path_head
from stc_core.types import Feature, Site

TOLD = {"access": "login", "money": "refund", "other": "price"}
OTHERS = [word for word in WORDS if word not in TOLD.values()]


def corpus(n: int, n_class: int) -> tuple[list[str], np.ndarray]:
    """Short texts, each with the word that tells its label."""
    rng = np.random.default_rng(n_class)
    labels = np.array([*TOLD])[np.arange(n) % n_class]
    rows = [[*rng.choice(OTHERS, 3), TOLD[label]] for label in labels]
    return [" ".join(rng.permutation(row)) for row in rows], labels


TWO, THREE = corpus(40, 2), corpus(48, 3)


def make(**settings: Any) -> SparsifyThenClassify:
    cheap: dict[str, Any] = {"max_layer": 1, "kinds": ("resid",), "poolings": ("mean",)}
    # Set afterwards, no type of a parameter is checked, as for a user.
    return SparsifyThenClassify(tiny_backbone("bert"), **cheap).set_params(**settings)


def classifier(n_class: int) -> BaseClassifier:
    """A random head on three neurons."""
    rng = np.random.default_rng(n_class)
    found, one = BaseClassifier(), np.ones(3, np.float32)
    features = tuple(Feature(Site(n, "resid"), "mean", n) for n in range(3))
    weight = rng.standard_normal((n_class, 3)).astype(np.float32)
    names = tuple("abcde"[:n_class])
    found.backbone_, found.classes_ = tiny_backbone("bert"), np.array(names)
    bias = np.zeros(n_class, np.float32)
    found.head_ = SparseHead(features, 0 * one, one, weight, bias, names)
    middle = found.features(TEXTS).mean(axis=0)
    found.head_ = found.head_._replace(mean=middle)
    return found


def attention_classifier(n_class: int) -> AttentionClassifier:
    backbone, d = tiny_backbone("bert"), 16
    torch.manual_seed(n_class)
    weight = torch.randn(n_class, len(PARTS) * d)
    line = TokenReadout(weight, torch.zeros(n_class), torch.zeros(2, 1, len(PARTS) * d))
    attention = Attention(2, d, 1)
    more: dict[str, Any] = {"layers": (1, 3), "classes": ["a", "b", "c"][:n_class]}
    middle = (
        AttentionClassifier(backbone, attention, line, **more)
        .logits(TEXTS)
        .mean(axis=0)
    )
    line = line._replace(bias=-torch.from_numpy(middle))
    return AttentionClassifier(backbone, attention, line, **more)


def paths(n_class: int) -> np.ndarray:
    known = [("a", "x"), ("b", "y"), ("b", "z"), ("b", "x"), ("a", "w")]
    return np.array(known[:n_class])


def random_head(layer: int, classes: tuple[str, ...]) -> SparseHead:
    """A random head on every dimension of a layer of the tiny BERT."""
    rng, features = (
        np.random.default_rng(layer),
        dense_features(tiny_backbone("bert"), layer),
    )
    weight = rng.standard_normal((len(classes), len(features))).astype(np.float32)
    zero = np.zeros(len(features), np.float32)
    return SparseHead(
        features, zero, zero + 1, weight, np.zeros(len(classes), np.float32), classes
    )


def hierarchical(n_class: int) -> HierarchicalClassifier:
    tree = tree_of(paths(n_class))
    own = [random_head(layer, tree.names(n)) for n, layer in enumerate((1, 3))]
    heads = [own[0], path_head(tree.lineage(1), own, (0.5,))]
    return HierarchicalClassifier(
        tiny_backbone("bert"),
        tree,
        heads,
        ("kind", "sort"),
        layers=(1, 3),
        alphas=((), (0.5,)),
    )


def masked(n_class: int) -> MaskedClassifier:
    """A hierarchy of the older kind, with final coarse answers."""
    tree = tree_of(paths(n_class))
    heads = [random_head(layer, tree.names(1)) for layer in (1, 3)]
    return MaskedClassifier(
        tiny_backbone("bert"), tree, heads, ("kind", "sort"), temperatures=[1.5]
    )


SPELLED = [("good", "good film"), ("good", "plot"), ("bad", "awful"), ("bad", "rude")]


def spelled(n_class: int) -> SpelledClassifier:
    torch.manual_seed(0)
    heads = [nn.Linear(16, 64) for _ in range(2)]
    tree = tree_of(np.array(SPELLED[:n_class]))
    backbone = tiny_backbone("llama")
    return SpelledClassifier(backbone, tree, (1, 3), heads, ("kind", "sort"), norm=True)


def replying(n_class: int) -> ReplyingClassifier:
    torch.manual_seed(0)
    heads = [nn.Linear(16, 64) for _ in range(3)]
    tree = tree_of(np.array(SPELLED[:n_class]))
    more: dict[str, Any] = {"norm": True, "parts": ("reply",), "length": 4}
    backbone = tiny_backbone("llama")
    return ReplyingClassifier(
        backbone, tree, (1, 2, 3), heads, ("kind", "sort"), **more
    )


def fitted(n_class: int) -> SparsifyThenClassify:
    return make().fit(*corpus(40, n_class))


OPENED: dict[str, Callable[[int], BaseClassifier]] = {
    one.__name__: one
    for one in (
        classifier,
        attention_classifier,
        hierarchical,
        masked,
        spelled,
        replying,
    )
}
ALL: dict[str, Callable[[int], BaseClassifier]] = {**OPENED, "fitted": fitted}
