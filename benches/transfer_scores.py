"""Scores of features by the literature: how well could a classifier read them?

They need no training of a classifier. `bench_rank` compares them with our own score.
"""

import numpy as np
from jaxtyping import Float, Int
from sklearn.covariance import ledoit_wolf

MOST_STEPS, LEAST_CHANGE = 1000, 1e-9
"""The fixed point ends when the evidence of a row changes by less than this."""


def h_score(X: Float[np.ndarray, "n d"], codes: Int[np.ndarray, " n"]) -> float:
    """The regularised H-score: the variance between classes, as whitened features.

    It is tr(S^-1 (1 - a) B), where S is the covariance of the features shrunk by Ledoit
    and Wolf, a the strength of that shrinkage, and B the covariance of the class means.
    Between 0 and the number of classes less 1. Source: Ibrahim, Ponomareva and Mazumder
    2021, "Newer is not always better", arXiv 2110.06893, section 3; Bao et al. 2019.
    """
    centred = np.asarray(X, np.float64) - np.mean(X, axis=0, dtype=np.float64)
    shrunk, strength = ledoit_wolf(centred, assume_centered=True)
    counts = np.bincount(codes)
    sums = np.stack(
        [centred[codes == code].sum(axis=0) for code in np.flatnonzero(counts)]
    )
    roots = sums / np.sqrt(counts[counts > 0] * len(centred))[:, None]  # B = roots^T @
    solved = np.linalg.solve(shrunk, roots.T)
    return float((1 - strength) * np.einsum("kd,dk->", roots, solved))


def log_me(X: Float[np.ndarray, "n d"], codes: Int[np.ndarray, " n"]) -> float:
    """The log of the maximum evidence for a row, mean over the one-hot classes.

    For each class y the model is y = X w + noise, with w ~ N(0, I / alpha) and noise ~
    N(0, I / beta); alpha and beta maximise log p(y | X). Source: You et al. 2021,
    "LogME", ICML, arXiv 2102.11005, algorithm 1 and its fixed point; the singular
    value decomposition as in You et al. 2022, arXiv 2110.10545, algorithm 3.
    """
    U, s, _ = np.linalg.svd(np.asarray(X, np.float64), full_matrices=False)
    known = np.unique(codes)
    scores = [_evidence(U, s**2, (codes == k).astype(float), X.shape[1]) for k in known]
    return float(np.mean(scores))


def _evidence(
    U: Float[np.ndarray, "n r"],
    eigen: Float[np.ndarray, " r"],
    y: Float[np.ndarray, " n"],
    width: int,
) -> float:
    """The maximum over alpha and beta of log p(y), divided by the number of rows."""
    n, along = len(y), (U.T @ y) ** 2
    outside = max(float(y @ y - along.sum()), 0.0)
    alpha = beta = 1.0
    last = -np.inf
    for _ in range(MOST_STEPS):
        share = alpha + beta * eigen
        norm = float((beta**2 * eigen * along / share**2).sum())  # of the mean of w
        missed = outside + float((along * (alpha / share) ** 2).sum())
        found = _log_evidence(alpha, beta, share, norm, missed, n, width)
        if abs(found - last) < LEAST_CHANGE:
            break
        last = found
        used = float((beta * eigen / share).sum())
        alpha = used / max(norm, 1e-300)
        beta = (n - used) / max(missed, 1e-300)
    return found


def _log_evidence(
    alpha: float,
    beta: float,
    share: Float[np.ndarray, " r"],
    norm: float,
    missed: float,
    n: int,
    width: int,
) -> float:
    """log p(y) / n of one class; `share` are the eigenvalues of alpha I + beta X^T X.

    The other eigenvalues, up to `width`, are alpha.
    """
    logs = np.log(share).sum() + (width - len(share)) * np.log(alpha)
    fit = n * np.log(beta) + width * np.log(alpha) - n * np.log(2 * np.pi)
    return float(0.5 * (fit - beta * missed - alpha * norm - logs) / n)
