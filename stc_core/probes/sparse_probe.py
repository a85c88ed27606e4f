"""One sparse probe as a scikit-learn classifier."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from stc_core.errors import StcError
from stc_core.probes.solver import Path, fit_path


class SparseProbe(ClassifierMixin, BaseEstimator):
    """Multinomial logistic regression, sparse on standardised features.

    Minimises C * sum_i w_i log-loss_i + penalty(W), with W on the standardised scale
    and intercepts without penalty. `coef_` and `intercept_` apply to raw features, with
    one row for two classes as in scikit-learn. `dual_gap_` is relative to the
    objective. `kkt_` is the largest violation of optimality relative to 1 / C; if it
    stays above `tol`, a ConvergenceWarning is given.
    """

    def __init__(
        self, penalty: Any = "l1", *, C=1.0, class_weight=None, tol=1e-4, max_iter=500
    ) -> None:
        self.penalty = penalty
        self.C = C
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X, y, sample_weight=None) -> "SparseProbe":
        """Fit the probe and return it."""
        checked = validate_data(self, X, y, dtype=[np.float64, np.float32])
        X, y = np.asarray(checked[0]), np.asarray(checked[1])
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise StcError("SparseProbe", expected="at least 2 classes", got="1 class")
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        path = fit_path(
            X,
            codes,
            penalty=self.penalty,
            Cs=np.array([self.C], float),
            class_weight=self._class_weights(codes, sample_weight),
            sample_weight=sample_weight,
            n_class=len(self.classes_),
            tol=self.tol,
            max_iter=self.max_iter,
        )
        self._store(path)
        return self

    def _class_weights(self, codes, sample_weight) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        return compute_class_weight(
            self.class_weight,
            classes=self.classes_,
            y=self.classes_[codes],
            sample_weight=sample_weight,
        )

    def _store(self, path: Path) -> None:
        W, b = path.coef[0].astype(np.float64) / path.sd, path.intercept[0]
        b = b - W @ path.mean
        is_binary = len(self.classes_) == 2
        self.coef_ = W[1:] - W[:1] if is_binary else W
        self.intercept_ = b[1:] - b[:1] if is_binary else b
        self.n_iter_ = int(path.n_iter[0])
        self.dual_gap_, self.kkt_ = float(path.gap[0]), float(path.kkt[0])
        if self.kkt_ > self.tol:
            warnings.warn(
                f"SparseProbe stopped after {self.n_iter_} steps at a violation of "
                f"{self.kkt_:.1e} / C (tol {self.tol:.0e}); the objective is within "
                f"{self.dual_gap_:.1e} of the optimum. Raise max_iter or lower C.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def decision_function(self, X) -> Float[np.ndarray, "..."]:
        """Logits; for two classes only the logit of the second, of shape (n)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        Z = X @ self.coef_.T + self.intercept_
        return Z[:, 0] if len(self.classes_) == 2 else Z

    def predict(self, X) -> Shaped[np.ndarray, " n"]:
        """The most probable class of each row."""
        Z = self.decision_function(X)
        best = (Z > 0).astype(int) if Z.ndim == 1 else Z.argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X) -> Float[np.ndarray, "n n_class"]:
        """Probabilities, columns in the order of `classes_`."""
        Z = self.decision_function(X)
        if Z.ndim == 1:
            Z = np.stack([-Z / 2, Z / 2], axis=1)
        P = np.exp(Z - Z.max(axis=1, keepdims=True))
        return P / P.sum(axis=1, keepdims=True)
