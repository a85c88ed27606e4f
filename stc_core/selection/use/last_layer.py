"""A head on the last layer alone: what reaches it went through the whole model."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from stc_core.activations.extract import extract_features
from stc_core.backbone.backbone import Backbone
from stc_core.data.task import Task
from stc_core.heads.head import SparseHead, mean_and_sd
from stc_core.heads.least_squares import RIDGES
from stc_core.heads.leave_one_out import leave_one_out
from stc_core.heads.ridge import fit_ridge_head
from stc_core.selection.folds import stratified_order
from stc_core.types import Feature, Site


def fit_last_layer(
    backbone: Backbone,
    classes: tuple[str, ...],
    texts: Sequence[str],
    labels: Sequence[str],
) -> SparseHead:
    """A ridge head on the mean of the last layer, of these classes.

    The ridge has the best closed-form leave-one-out accuracy. It reads nothing below
    the last layer, so any effect on it went through the model.
    """
    site = Site(backbone.n_layers, "resid")
    features = [Feature(site, "mean", column) for column in range(backbone.d_model)]
    X = extract_features(backbone, list(texts), features)
    codes = np.array([classes.index(label) for label in labels])
    rows = np.arange(len(codes))
    task = Task(codes, classes, rows, rows[:0])
    mean, sd = mean_and_sd(X)
    Z = (X - mean) / sd
    scores = leave_one_out(
        Z @ Z.T,
        codes,
        n_class=len(classes),
        sample_weight=task.weights(rows),
        ridges=RIDGES,
    )
    right = [(of_ridge.argmax(axis=1) == codes).mean() for of_ridge in scores]
    ridge = RIDGES[int(np.flatnonzero(np.array(right) == max(right))[-1])]
    return fit_ridge_head(X, task, features, rows=rows, ridge=ridge)


def some_of_each(labels: Sequence[str], most: int) -> Int[np.ndarray, " some"]:
    """At most so many places, each class in proportion, ascending."""
    codes = np.unique(np.asarray(labels, str), return_inverse=True)[1]
    order = stratified_order(codes, np.arange(len(codes)), seed=0, each=2)
    return np.sort(order[:most])
