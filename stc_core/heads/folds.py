"""Folds of rows, for models that judge rows which they have not seen.

Source: cross-fitting, e.g. Platt 1999, section 2.1, for the calibration of scores.
"""

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

FOLDS = 5


def stratified_folds(
    keys: Shaped[np.ndarray, " n"], codes: Int[np.ndarray, " n"], *, seed: int
) -> Int[np.ndarray, " n"]:
    """The fold of each row, 0 to FOLDS - 1; rows of equal keys are in the same fold.

    The keys of a class are given to the folds in turn, so the numbers of its keys in
    two folds differ by at most one.
    """
    keys = pd.factorize(keys)[0]
    places = np.unique(keys, return_index=True)[1]
    order = np.random.default_rng(seed).permutation(len(places))
    own = codes[places[order]]
    turn = pd.Series(own).groupby(own).cumcount().to_numpy()
    fold = np.empty(len(places), np.int64)
    fold[order] = (turn + own) % FOLDS  # small classes do not all begin with fold 0
    return fold[keys]
