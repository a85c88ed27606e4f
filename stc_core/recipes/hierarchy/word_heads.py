"""Tuning a decoder to spell each level of labels at a layer of its own."""

import copy
from collections.abc import Sequence

from torch import nn

from stc_core.classifiers.label_tree import Tree
from stc_core.classifiers.replying import ReplyingClassifier
from stc_core.classifiers.spelled import SpelledClassifier
from stc_core.classifiers.spelling import spelled_names, text_length
from stc_core.recipes.hierarchy.replies import Replies, part_length
from stc_core.recipes.hierarchy.training import (
    HierarchyTraining,
    Plan,
    TrainedHierarchy,
)
from stc_core.recipes.hierarchy.word_module import WordHeadModule
from stc_core.tuning.blocks import TunableBackbone
from stc_core.tuning.session import keep_tuned, load_untuned


def room_of(course: HierarchyTraining) -> int:
    """Tokens of a text that leave room for the longest path, for every rival too."""
    base, tree = load_untuned(course.settings), course.levels.tree
    n_parts = len(course.corpus.columns.written)
    more = n_parts * (part_length(base, course.settings.hierarchy) + 1)
    room = text_length(base, spelled_names(tree, base), more=more)
    alone = [Tree((tree.names(n),), ((0,) * tree.sizes[n],)) for n in range(tree.depth)]
    return min([room, *(text_length(base, spelled_names(one, base)) for one in alone)])


def scribe_of(
    course: HierarchyTraining,
    graft: TunableBackbone,
    tree: Tree,
    layers: Sequence[int],
    head: nn.Module,
) -> WordHeadModule:
    """A decoder with a copy of the word head for each level, one copy if tied."""
    wish = course.settings.hierarchy
    heads = [copy.deepcopy(head) for _ in layers]
    if wish.tied:
        heads = heads[:1] * len(layers)
    weights = wish.weights if len(wish.weights) == len(layers) else [1.0] * len(layers)
    names = spelled_names(tree, graft.backbone)
    return WordHeadModule(
        graft,
        tree,
        names,
        layers=layers,
        heads=heads,
        norm=wish.norm,
        weights=weights,
    )


def train_word_heads(
    course: HierarchyTraining,
    plan: Plan,
    head: nn.Module,
    replies: Replies | None = None,
) -> tuple[TrainedHierarchy, SpelledClassifier]:
    """The tuned decoder, kept in the run's folder `backbone`, and its classifier.

    With `replies` that is an author, who learned to write them after the labels.
    """
    levels, settings = course.levels, course.settings
    room = room_of(course)
    graft, what = course.prepared(plan, layer=plan.layers[-1], max_length=room)
    backbone = graft.backbone
    scribe = scribe_of(course, graft, levels.tree, plan.layers, head)
    history = course.train(
        scribe,
        backbone,
        levels.codes[:, -1],
        name="hierarchy",
        tails=replies.tokens if replies else None,
    )
    kept = keep_tuned(
        course.writer.folder,
        what,
        scribe.tuned_tensors(),
        backbone=backbone,
        dtype=settings.dtype,
    )
    n_trainable = scribe.n_trainable()
    heads = [copy.deepcopy(one).requires_grad_(False) for one in scribe.heads]
    del graft, scribe, backbone
    found = kept.open()
    norm, given = settings.hierarchy.norm, (levels.tree, plan.layers, heads)
    if replies is None:
        lexicon = SpelledClassifier(found, *given, levels.columns, norm=norm)
    else:
        more = {"parts": replies.parts, "length": replies.length}
        lexicon = ReplyingClassifier(found, *given, levels.columns, norm=norm, **more)
    return TrainedHierarchy(found, (), history, n_trainable), lexicon
