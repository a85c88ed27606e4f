"""What a table asks for: the score that chooses, and the weights of its classes."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from stc_core.data.goal import Goal, choose_goal, class_weights, is_imbalanced


def test_balanced_rows_equal_scikit_learn():
    codes = np.array([0, 0, 0, 2, 2, 1])
    expected = compute_sample_weight("balanced", codes)
    found = class_weights(codes, 3, "balanced")[codes]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(class_weights(codes, 3, "none"), np.ones(3))


def test_tempered_weights_are_the_roots_and_one_on_average():
    codes = np.array([0] * 90 + [1] * 10)
    weight = class_weights(codes, 2, "tempered")
    assert weight[1] / weight[0] == pytest.approx(3)
    assert weight[codes].mean() == pytest.approx(1)


def test_a_class_with_no_row_changes_no_weight():
    codes = np.array([0, 0, 2])
    weights = class_weights(codes, 4, "balanced")
    np.testing.assert_allclose(weights[codes], [0.75, 0.75, 1.5])
    assert np.isfinite(weights).all()


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([460, 140], True),
        ([300, 140], False),
        ([900, 100], True),
        ([870, 130], True),
        ([50, 40, 45, 3], True),
        ([6, 1, 3, 2], False),  # so few rows may be chance
        ([100, 0], False),  # a class without rows is not learned
        ([], False),
    ],
)
def test_when_classes_are_imbalanced(counts, expected):
    assert is_imbalanced(np.array(counts, int)) is expected


def test_many_equal_classes_are_not_imbalanced():
    """Draws of 150 equal classes, as few as two rows each on average."""
    for n in (300, 1000, 5000):
        codes = np.random.default_rng(n).integers(0, 150, n)
        assert not is_imbalanced(np.bincount(codes, minlength=150))


RARE, EQUAL = np.array([0] * 180 + [1] * 10), np.arange(200) % 2


@pytest.mark.parametrize(
    ("codes", "asked", "expected"),
    [
        (EQUAL, {}, ("accuracy", "none")),
        (RARE, {}, ("macro_f1", "tempered")),
        (RARE, {"criterion": "accuracy"}, ("accuracy", "none")),
        (RARE, {"class_weight": "none"}, ("macro_f1", "none")),
        (EQUAL, {"class_weight": "balanced"}, ("macro_f1", "balanced")),
        (
            EQUAL,
            {"criterion": "average_precision"},
            ("average_precision", "tempered"),
        ),
        (
            EQUAL,
            {"criterion": "accuracy", "class_weight": "balanced"},
            ("accuracy", "balanced"),
        ),
    ],
)
def test_the_goal_follows_the_table_and_what_is_asked(codes, asked, expected):
    assert choose_goal(codes, 2, **asked) == Goal(*expected)
