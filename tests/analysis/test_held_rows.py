"""Which splits have answers of classifiers that had not seen them."""

import pytest

from helpers.metrics import whole_metrics
from stc_core.analysis.held_rows import unseen_splits


@pytest.mark.parametrize(
    ("n", "expected"),
    [(2, {"test", "validation"}), (6, {"test", "validation", "train"})],
)
def test_training_rows_are_unseen_where_all_rows_are_held(n, expected):
    splits = ["train"] * 4 + ["validation"] * 2 + ["test"]
    metrics = whole_metrics(validation={"accuracy": 0.5, "macro_f1": 0.5, "n": n})
    assert unseen_splits(splits, metrics) == expected
