"""LogME: the evidence of features for labels, a score that needs no training.

Source: You, Liu, Wang and Long 2021, "LogME: Practical Assessment of Pre-trained Models
for Transfer Learning", ICML, arXiv 2102.11005.
"""

import numpy as np
from jaxtyping import Float, Int

MOST_STEPS, LEAST_CHANGE = 1000, 1e-9
"""The fixed point ends when the evidence of a row changes by less than this."""


_LEAST = 1e-12
"""The bound of both precisions, and of what divides: features may all be constant."""


def log_me(X: Float[np.ndarray, "n d"], codes: Int[np.ndarray, " n"]) -> float:
    """The log of the maximum evidence for a row, mean over the one-hot classes.

    For each class y the model is y = X w + noise, with w ~ N(0, I / alpha) and noise ~
    N(0, I / beta); alpha and beta maximise log p(y | X). They are found by the fixed
    point of the paper's algorithm 1, on the singular value decomposition of X, which
    is made once (You et al. 2022, arXiv 2110.10545). Higher is better; scores of
    features of any width can be compared, for the same rows alone.
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
        alpha = min(max(used / max(norm, _LEAST), _LEAST), 1 / _LEAST)
        beta = min(max((n - used) / max(missed, _LEAST), _LEAST), 1 / _LEAST)
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
