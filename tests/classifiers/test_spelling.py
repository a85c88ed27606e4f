"""Names spelled at inner layers: the same as plain full forwards without a cache."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.classifiers.label_tree import tree_of
from stc_core.classifiers.spelling import Speller, spelled_names, text_length, trie_of
from stc_core.errors import StcError
from stc_core.types import Site

PATHS = np.array(
    [
        ("good", "good film"),
        ("good", "good plot"),
        ("good", "long film scene"),
        ("bad film", "awful"),
        ("bad", "awful"),
        ("bad", "awful plot"),
        ("bad", "slow"),
    ]
)
FAMILIES = ("gpt2", "llama", "opt", "mistral", "gpt_neo", "qwen3", "bloom")


def speller(family: str, layers=(1, 3), *, norm: bool = False) -> Speller:
    backbone, tree = tiny_backbone(family), tree_of(PATHS)
    torch.manual_seed(0)
    width = 8 if family == "opt" else backbone.d_model
    heads = [nn.Linear(backbone.d_model, 64), nn.Linear(width, 64)]
    if norm and family == "opt":
        heads[0] = nn.Linear(width, 64)
    return Speller(
        backbone, tree, spelled_names(tree, backbone), layers, heads, norm=norm
    )


def plain(spell: Speller, layers: tuple[int, ...], ids: np.ndarray):
    """The path and its probability by whole forwards of a lone text, token by token."""
    backbone, tree, end = spell.stages.backbone, spell.tree, spell.names.end
    seen = [*ids.tolist(), end]
    node, path, total = 0, [], 1.0
    for level, layer in enumerate(layers):
        nodes = np.flatnonzero(tree.children(level)[node])
        names = {n: [*spell.names.tokens[level][n], end] for n in nodes}
        done: list[int] = []
        while len(names) > 1 or len(done) < len(next(iter(names.values()))):
            options = sorted({name[len(done)] for name in names.values()})
            site = Site(layer, "resid")
            whole = np.array([*seen, *done], np.int32)
            state = backbone.token_activations([whole], [site])[0][site][-1:]
            p = spell.logits(level, state)[0, options].double().softmax(0)
            best = options[int(p.argmax())]
            total *= float(p.max())
            done.append(best)
            names = {n: t for n, t in names.items() if t[: len(done)] == done}
        (node,) = names
        path.append(int(node))
        seen += done
    return path, total


@torch.inference_mode()
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_what_plain_full_forwards_say(family: str, norm: bool):
    spell = speller(family, norm=norm)
    ids = spell.stages.backbone.tokenize(TEXTS[:20]).ids
    way = spell.descend(ids, 2)
    for row, one in enumerate(ids):
        path, total = plain(spell, (1, 3), one)
        assert way.nodes[row].tolist() == path
        assert way.probabilities()[row, 1] == pytest.approx(total, abs=1e-4)
    assert len(np.unique(way.nodes[:, 1])) > 2


def test_shares_sum_up_and_a_coarse_answer_begins_the_full_one():
    spell = speller("llama")
    ids = spell.stages.backbone.tokenize(TEXTS[:33]).ids
    full, coarse = spell.descend(ids, 2), spell.descend(ids, 1)
    assert (full.nodes[:, :1] == coarse.nodes).all()
    assert np.allclose(full.shares[0], coarse.shares[0], atol=1e-5)
    parents = np.array(spell.tree.parents[1])
    assert (parents[full.nodes[:, 1]] == full.nodes[:, 0]).all()
    for node in range(3):
        under = full.shares[1][:, parents == node].sum(1)
        assert np.allclose(under, full.shares[0][:, node])
    assert np.allclose(full.shares[0].sum(1), 1)


def test_a_coarse_answer_runs_no_upper_block():
    spell = speller("gpt2")
    ids = spell.stages.backbone.tokenize(TEXTS[:5]).ids
    spell.descend(ids, 1)
    n = sum(len(one) + 1 for one in ids)
    assert spell.block_tokens[1] == 0
    assert n <= spell.block_tokens[0] <= n + 5 * 3
    spell.descend(ids, 2)
    assert spell.block_tokens[1] > 0


def test_names_that_cannot_be_told_apart_are_refused():
    with pytest.raises(StcError, match="different for each sibling"):
        trie_of([(5, 6), (5, 6)], [0, 1], end=3)
    with pytest.raises(StcError, match="different for each sibling"):
        trie_of([()], [0], end=3)
    same = tree_of(np.array([("zzz", "a"), ("yyy", "b")]))  # both unknown words
    with pytest.raises(StcError, match="different for each sibling"):
        spelled_names(same, tiny_backbone("gpt2"))


def test_texts_leave_room_for_their_labels():
    backbone = tiny_backbone("gpt2")  # 48 positions
    names = spelled_names(tree_of(PATHS), backbone)
    assert names.longest == (2 + 1) + (3 + 1)
    assert text_length(backbone, names) == 48 - 7 - 1
    long = copy.copy(names)._replace(tokens=((tuple(range(45)),),))
    with pytest.raises(StcError, match="leave room"):
        text_length(backbone, long)
