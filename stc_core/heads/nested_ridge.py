"""Ridge models of the first m columns of a matrix, for many m and many penalties."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from stc_core.heads.least_squares import MOST_TINY, centred, solve_positive


def nested_scores(
    Z: Float[np.ndarray, "n d"],
    others: Float[np.ndarray, "m d"],
    codes: Int[np.ndarray, " n"],
    *,
    n_class: int,
    sample_weight: Float[np.ndarray, " n"],
    sizes: Sequence[int],
    ridges: Sequence[float],
) -> Iterator[Float[np.ndarray, "n_ridges m n_class"]]:
    """For each size, the class scores that its models give to `others`.

    `sizes` ascend. The models are those of `least_squares.solve_ridge` on the first
    `size` columns of Z. Up to n columns they come from the Gram matrix of the columns,
    beyond from the inner products of the rows, to which each size adds its own columns:
    so a large size costs no more than the rows allow. Z is overwritten.
    """
    prior = np.bincount(codes, sample_weight, n_class) / sample_weight.sum()
    rest = others - sample_weight @ Z / sample_weight.sum(dtype=Z.dtype)
    A, Y, total = centred(
        Z, codes, n_class=n_class, sample_weight=sample_weight, overwrite=True
    )
    mean_norms = np.cumsum(np.einsum("ij,ij->j", A, A, dtype=np.float64)) / total
    few = max((size for size in sizes if size <= len(A)), default=0)
    gram, gram_y = A[:, :few].T @ A[:, :few], A[:, :few].T @ Y
    rows, cross, start = None, None, 0
    for size in sizes:
        penalties = [max(r * mean_norms[size - 1], MOST_TINY) for r in ridges]
        if size <= few:
            left, known, right = gram[:size, :size], rest[:, :size], gram_y[:size]
        else:
            part = A[:, start:size]
            rows = part @ part.T if rows is None else rows + part @ part.T
            more = rest[:, start:size] @ part.T
            cross = more if cross is None else cross + more
            left, known, right, start = rows, cross, Y, size
        scores = [known @ solve_positive(left, one, right) for one in penalties]
        yield np.stack(scores) + prior.astype(np.float32)
