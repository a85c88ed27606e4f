"""Tuning a decoder to spell each level of labels at a layer of its own."""

import copy
from collections.abc import Sequence

import numpy as np
from torch import nn

from stc_core.activations.groups import shared_progress
from stc_core.classifiers.label_tree import Descent, Tree
from stc_core.classifiers.replying import ReplyingClassifier
from stc_core.classifiers.spelled import SpelledClassifier
from stc_core.classifiers.spelling import spelled_names, text_length
from stc_core.recipes.hierarchy.replies import Replies, part_length
from stc_core.recipes.hierarchy.training import (
    HierarchyTraining,
    LevelPlan,
    TrainedHierarchy,
)
from stc_core.recipes.hierarchy.word_module import WordHeadModule
from stc_core.tuning.blocks import TunableBackbone
from stc_core.tuning.session import keep_tuned, load_untuned


def text_room(training: HierarchyTraining) -> int:
    """The most tokens of a text that leave room for the longest path and reply.

    Every baseline gets the same.
    """
    base, tree = load_untuned(training.settings), training.levels.tree
    n_parts = len(training.corpus.columns.written)
    more = n_parts * (part_length(base, training.settings.hierarchy) + 1)
    room = text_length(base, spelled_names(tree, base), more=more)
    alone = [Tree((tree.names(n),), ((0,) * tree.sizes[n],)) for n in range(tree.depth)]
    return min([room, *(text_length(base, spelled_names(one, base)) for one in alone)])


def word_module_of(
    training: HierarchyTraining,
    tunable: TunableBackbone,
    tree: Tree,
    layers: Sequence[int],
    head: nn.Module,
) -> WordHeadModule:
    """A decoder with a copy of the word head for each level; tied levels share one."""
    wish = training.settings.hierarchy
    heads = [copy.deepcopy(head) for _ in layers]
    if wish.tied:
        heads = heads[:1] * len(layers)
    weights = wish.weights if len(wish.weights) == len(layers) else [1.0] * len(layers)
    names = spelled_names(tree, tunable.backbone)
    return WordHeadModule(
        tunable,
        tree,
        names,
        layers=layers,
        heads=heads,
        norm=wish.norm,
        weights=weights,
    )


def train_word_heads(
    training: HierarchyTraining,
    plan: LevelPlan,
    head: nn.Module,
    replies: Replies | None = None,
) -> tuple[TrainedHierarchy, SpelledClassifier]:
    """Tune the decoder, keep it in the run's folder `backbone`, and give its
    classifier.

    With `replies` it is a ReplyingClassifier, which writes them after the labels.
    """
    levels, settings = training.levels, training.settings
    room = text_room(training)
    tunable, what = training.prepared(plan, layer=plan.layers[-1], max_length=room)
    backbone = tunable.backbone
    module = word_module_of(training, tunable, levels.tree, plan.layers, head)
    leaves, tails = levels.tasks[-1], replies.tokens if replies else None
    history = training.train(module, backbone, leaves, name="hierarchy", tails=tails)
    kept = keep_tuned(
        training.writer.folder,
        what,
        module.tuned_tensors(),
        backbone=backbone,
        dtype=settings.dtype,
    )
    n_trainable = module.n_trainable()
    heads = [copy.deepcopy(one).requires_grad_(False) for one in module.heads]
    del tunable, module, backbone
    tuned = kept.open()
    given = (tuned, levels.tree, plan.layers, heads, levels.columns)
    norm = settings.hierarchy.norm
    if replies is None:
        classifier = SpelledClassifier(*given, norm=norm)
    else:
        more = {"parts": replies.parts, "length": replies.length}
        classifier = ReplyingClassifier(*given, norm=norm, **more)
    return TrainedHierarchy(tuned, (), history, n_trainable), classifier


def answer_rows(classifier: SpelledClassifier, training: HierarchyTraining) -> Descent:
    """The predicted paths of all rows; test rows are read apart from the others."""
    texts, groups = training.corpus.texts, training.levels.tasks[0].groups
    shares = shared_progress(training.writer.progress, list(map(len, groups)))
    answers = [
        classifier.answer(list(texts.at(rows)), progress=share)
        for rows, share in zip(groups, shares, strict=True)
    ]
    order = np.argsort(np.concatenate(groups))
    by_level = zip(*(answer.shares for answer in answers), strict=True)
    return Descent(
        np.concatenate([answer.nodes for answer in answers])[order],
        tuple(np.concatenate(parts)[order] for parts in by_level),
    )
