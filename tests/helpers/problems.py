"""Problems of probes, and how far a solution is from their optimum."""

import numpy as np

from stc_core.probes.problem import Path
from stc_core.types import PooledSite

SITES = [PooledSite.parse(f"resid.{i}.{p}") for i in range(3) for p in ("max", "mean")]


def make(K: int, n: int = 240, d: int = 15, seed: int = 0):
    """Correlated features of different scales, labels from a noisy linear rule."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) @ (np.eye(d) + 0.3 * rng.standard_normal((d, d)))
    y = (1.2 * X[:, :K] + rng.gumbel(size=(n, K))).argmax(axis=1)
    return X * rng.uniform(0.01, 10, d) + rng.uniform(-5, 5, d), y


def kkt(path: Path, i: int, X, y, penalty, weight=None) -> float:
    """Largest violation relative to 1 / C, in float64, of the K rows."""
    Xs = (X - path.mean) / path.sd
    Z = Xs @ path.coef[i].T + path.intercept[i]
    P = np.exp(Z - Z.max(axis=1, keepdims=True))
    R = P / P.sum(axis=1, keepdims=True) - np.eye(Z.shape[1])[y]
    R = R * (1 if weight is None else weight[:, None])
    lam = 1 / path.Cs[i]
    far = penalty.distance(path.coef[i].astype(float), R.T @ Xs, lam).max()
    return max(far, np.abs(R.sum(axis=0)).max()) / lam


def blocks() -> tuple[dict[PooledSite, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(["no", "yes", "so"], 60)
    signal = np.repeat(np.eye(3), 60, axis=0)
    return {
        site: (
            rng.standard_normal((180, 8))
            + site.site.layer * np.pad(signal, [(0, 0), (0, 5)])
        ).astype(np.float16)
        for site in SITES
    }, y


def dense(X: np.ndarray, codes: np.ndarray) -> float:
    """The definition, matrix by matrix, in float64."""
    X = X.astype(np.float64)
    classes = np.unique(codes)
    means = np.stack([X[codes == y].mean(0) for y in classes])
    centre = means.mean(0)
    within = np.mean([np.cov(X[codes == y].T, bias=True) for y in classes], axis=0)
    between = np.mean([np.outer(m - centre, m - centre) for m in means], axis=0)
    inverse = np.linalg.pinv(between, rcond=1e-10, hermitian=True)
    return float(np.trace(within @ inverse)) / len(classes)
