"""Which rows of a run have answers of classifiers that had not seen them."""

from collections.abc import Iterable

from stc_core.runs.metrics import RunMetrics


def unseen_splits(splits: Iterable[str], metrics: RunMetrics) -> set[str]:
    """The splits whose predictions come from classifiers made without the row.

    `splits` holds the split of each row of the run. Test rows are unseen, and so are
    those of validation. In a small run the training rows are, too: then `validation` in
    the metrics counts more rows than that split has.
    """
    n_validation = sum(split == "validation" for split in splits)
    is_cross_fitted = metrics["validation"]["n"] > n_validation
    return {"test", "validation"} | ({"train"} if is_cross_fitted else set())
