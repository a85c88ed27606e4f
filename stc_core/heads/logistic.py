"""Logistic regression of a task's classes, as baselines use it."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from stc_core.data.task import Task


def fit_logistic(
    model: LogisticRegression, X: Any, task: Task, rows: Int[np.ndarray, " some"]
) -> LogisticRegression:
    """The model, fitted to the classes of `rows` with their weights.

    X has their features, dense or sparse.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "(?i).*line search")
        return model.fit(X, task.codes[rows], sample_weight=task.weights(rows))


def logistic_scores(
    model: LogisticRegression, X: Any, task: Task
) -> Float[np.ndarray, "n n_class"]:
    """The class scores of a fitted model; -inf for classes that it has not seen."""
    margins = np.asarray(model.decision_function(X), np.float32)
    if margins.ndim == 1:
        margins = np.stack([-margins / 2, margins / 2], axis=1)
    scores = np.full((len(margins), len(task.classes)), -np.inf, np.float32)
    scores[:, model.classes_.astype(int)] = margins
    return scores
