"""The tree of labels, and that no way down it leaves it."""

import numpy as np
import pytest

from stc_core.classifiers.label_tree import (
    Tree,
    best_paths,
    conditional,
    descend,
    tree_of,
)

PATHS = np.array(
    [
        ("animal", "cat"),
        ("animal", "dog"),
        ("plant", "oak"),
        ("animal", "cat"),
        ("plant", "other"),
        ("animal", "other"),
    ]
)


def test_nodes_are_paths_so_a_shared_label_is_two():
    tree = tree_of(PATHS)
    assert tree.labels == (
        ("animal", "plant"),
        ("cat", "dog", "other", "oak", "other"),
    )
    assert tree.parents == ((0, 0), (0, 0, 0, 1, 1))
    assert tree.names(1) == ("cat", "dog", "animal › other", "oak", "plant › other")
    assert tree.path(4) == ("plant", "other")
    assert Tree.of(tree.record()) == tree


def test_codes_are_nodes_and_unknown_paths_are_minus_one():
    tree = tree_of(PATHS)
    assert tree.codes(PATHS)[:, 1].tolist() == [0, 1, 3, 0, 4, 2]
    strange = np.array([("plant", "cat"), ("stone", "cat")])
    assert tree.codes(strange).tolist() == [[1, -1], [-1, -1]]
    assert (tree.ancestors(0)[tree.codes(PATHS)[:, 1]] == tree.codes(PATHS)[:, 0]).all()


@pytest.mark.parametrize("depth", (2, 3, 4))
def test_every_way_is_a_path_and_shares_sum_up(depth: int):
    rng = np.random.default_rng(depth)
    paths = rng.integers(3, size=(40, depth)).astype(str)
    tree = tree_of(paths)
    logits = [rng.standard_normal((30, size)) * 3 for size in tree.sizes]
    found = descend(tree, logits)
    for level in range(1, depth):
        parents = np.array(tree.parents[level])[found.nodes[:, level]]
        assert (parents == found.nodes[:, level - 1]).all()
        above = np.stack(
            [
                found.shares[level][:, np.array(tree.parents[level]) == node].sum(1)
                for node in range(tree.sizes[level - 1])
            ],
            axis=1,
        )
        assert np.allclose(above, found.shares[level - 1])
    assert np.allclose([share.sum(1) for share in found.shares], 1)


def test_the_beginning_of_the_way_does_not_depend_on_its_end():
    rng = np.random.default_rng(0)
    tree = tree_of(PATHS)
    logits = [rng.standard_normal((20, size)) for size in tree.sizes]
    assert (
        descend(tree, logits[:1]).nodes[:, 0] == descend(tree, logits).nodes[:, 0]
    ).all()


def test_a_softmax_among_siblings_by_hand():
    tree = tree_of(PATHS)
    logits = np.log(np.array([[1.0, 2.0, 1.0, 3.0, 1.0]]))
    found = conditional(logits, tree.children(1))
    assert found[0] == pytest.approx([0.25, 0.5, 0.25, 0.75, 0.25])


def test_the_path_to_the_best_leaf_is_not_always_through_the_best_parent():
    tree = tree_of(PATHS)
    shares = np.array([[0.2, 0.2, 0.2, 0.4, 0.0], [0.1, 0.1, 0.6, 0.1, 0.1]])
    way = best_paths(tree, 1, shares)
    above = tree.ancestors(0)
    assert way.nodes[:, 1].tolist() == [3, 2]
    assert way.nodes[:, 0].tolist() == above[[3, 2]].tolist()
    summed = np.stack([shares[:, above == n].sum(axis=1) for n in range(2)], axis=1)
    np.testing.assert_allclose(way.shares[0], summed)
    assert way.nodes[0, 0] != summed[0].argmax()
    top = best_paths(tree, 0, summed)
    assert top.nodes[:, 0].tolist() == summed.argmax(axis=1).tolist()
    assert len(top.shares) == 1


def test_a_text_is_answered_as_finely_as_is_sure():
    tree = tree_of(PATHS)
    shares = np.array(
        [
            [0.2, 0.2, 0.2, 0.4, 0.0],
            [0.1, 0.1, 0.6, 0.1, 0.1],
            [0.3, 0.22, 0.0, 0.3, 0.18],
        ]
    )
    way = best_paths(tree, 1, shares)
    found = way.coarse_where_unsure(tree, 0.55).nodes
    assert found[0].tolist() == [0, -1]  # not the parent of the best leaf
    assert found[1].tolist() == way.nodes[1].tolist()
    assert found[2].tolist() == [int(way.shares[0][2].argmax()), -1]
    assert (way.coarse_where_unsure(tree, 0.0).nodes == way.nodes).all()
