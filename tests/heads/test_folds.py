"""Folds of rows: each class in proportion, equal rows together."""

import numpy as np
import pytest

from stc_core.heads.folds import FOLDS, stratified_folds


def test_classes_are_spread_over_the_folds():
    codes = np.repeat([0, 1, 2], [50, 7, 2])
    folds = stratified_folds(np.arange(59), codes, seed=3)
    for code in range(3):
        counts = np.bincount(folds[codes == code], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("keys", [np.arange(40) // 2, np.array(list("ab" * 20))])
def test_equal_rows_are_in_one_fold(keys):
    folds = stratified_folds(keys, np.arange(40) // 20, seed=0)
    for key in np.unique(keys):
        assert len(set(folds[keys == key])) == 1
