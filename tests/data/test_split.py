"""The split: shares, strata, groups and seeds."""

import numpy as np
import pandas as pd
import pytest

from stc_core.data.split import complete_split, split_rows

SHARES = {"validation_share": 0.15, "test_share": 0.2}


def per_class(split: np.ndarray, labels: np.ndarray, name: str) -> list[int]:
    return [int(((labels == c) & (split == name)).sum()) for c in np.unique(labels)]


def test_shares_hold_in_every_class():
    labels = np.repeat(["a", "b", "c"], [100, 400, 20])
    split = split_rows(np.arange(520), labels, **SHARES, seed=0)
    assert per_class(split, labels, "test") == [20, 80, 4]
    assert per_class(split, labels, "validation") == [15, 60, 3]
    assert per_class(split, labels, "train") == [65, 260, 13]


@pytest.mark.parametrize(
    ("n", "counts"),
    [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (4, (2, 1, 1)), (7, (5, 1, 1))],
)
def test_tiny_classes_are_in_train_then_test_then_validation(n, counts):
    labels = np.array([0] * 50 + [1] * n)
    split = split_rows(np.arange(50 + n), labels, **SHARES, seed=3)
    got = [per_class(split, labels, s)[1] for s in ("train", "validation", "test")]
    assert tuple(got) == counts


@pytest.mark.parametrize("seed", range(5))
def test_equal_texts_stay_together(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 150, 400)
    labels = np.where(rng.random(400) < 0.1, "noise", "abc")  # groups of both labels
    split = split_rows(groups, labels, **SHARES, seed=seed)
    assert all(len(set(split[groups == g])) == 1 for g in set(groups))
    assert set(labels[split == "train"]) == set(labels)
    assert 0.1 < (split == "test").mean() < 0.3


def test_one_text_repeated_is_all_train():
    labels = np.array(["a"] * 6 + ["b"] * 6)
    groups = np.array([0] * 6 + list(range(1, 7)))
    split = split_rows(groups, labels, **SHARES, seed=0)
    assert set(split[:6]) == {"train"}


def test_the_larger_of_two_groups_is_learnt_from():
    split = split_rows(np.array([5] * 8 + [9]), np.array(["a"] * 9), **SHARES, seed=1)
    assert split.tolist() == ["train"] * 8 + ["test"]


def test_a_class_owned_by_others_is_still_in_train():
    groups = np.array([0, 0, 1, 2, 3])
    labels = np.array(["a", "b", "a", "a", "a"])
    for seed in range(20):
        split = split_rows(groups, labels, **SHARES, seed=seed)
        assert split[1] == "train"


def test_seed_decides_and_nothing_else():
    labels, groups = np.array(["a", "b"] * 100), np.arange(200)
    first = split_rows(groups, labels, **SHARES, seed=7)
    assert (first == split_rows(groups, labels, **SHARES, seed=7)).all()
    assert (first != split_rows(groups, labels, **SHARES, seed=8)).any()


def test_given_splits_stay():
    given = np.array(["train"] * 80 + ["test"] * 20, dtype=object)
    labels, groups = np.array(["a", "b"] * 50), np.arange(100)
    split = complete_split(given, groups, labels, **SHARES, seed=0)
    assert (split[80:] == "test").all()
    assert per_class(split[:80], labels[:80], "validation") == [6, 6]
    assert per_class(split[:80], labels[:80], "test") == [0, 0]
    assert (given[:80] == "train").all()
    given[:5] = "validation"
    assert (complete_split(given, groups, labels, **SHARES, seed=0) == given).all()


def test_a_test_text_that_is_in_train_too_does_not_change_the_split():
    labels, is_test = np.arange(60) % 2, np.arange(60) < 10
    given = np.where(is_test, "test", "train").astype(object)
    found = []
    for shared in (range(60, 70), range(59, 49, -1)):  # no text, or the last ones
        numbers = np.array([*shared, *range(10, 60)])
        groups = pd.factorize(numbers)[0]
        found.append(complete_split(given, groups, labels, **SHARES, seed=0))
    np.testing.assert_array_equal(found[0], found[1])


def test_no_rows():
    assert len(split_rows(np.array([], int), np.array([], str), **SHARES, seed=0)) == 0
