"""Penalties on the probe's coefficients W (n_class, d_feat): L1 and group L2.

Each knows its value, proximal map, dual norm and distance to optimality. A solver needs
nothing else.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from stc_core.errors import StcError

PenaltyName = str
"""The name of a penalty, a key of `PENALTIES`."""


@runtime_checkable
class Penalty(Protocol):
    """What the solver asks of a penalty.

    `is_norm`: value(c W) = |c| value(W), which the first strength of a path and the
    duality gap rest on. `shared`: all classes keep the same features. `one_row`:
    the value of the two rows (-w/2, w/2), the cheapest ones whose difference is w, over
    the value of the row w: two classes are solved as one row. Columns of W may be
    left out or come in another order.
    """

    is_norm: bool
    shared: bool
    one_row: float

    def value(self, W: Float[np.ndarray, "n_class d_feat"]) -> float: ...

    def prox(
        self,
        V: Float[np.ndarray, "n_class d_feat"],
        step: float | Float[np.ndarray, "n_class 1"],
    ) -> Float[np.ndarray, "n_class d_feat"]: ...

    def dual_norm(self, G: Float[np.ndarray, "n_class d_feat"]) -> float: ...

    def distance(
        self,
        W: Float[np.ndarray, "n_class d_feat"],
        G: Float[np.ndarray, "n_class d_feat"],
        lam: float,
    ) -> Float[np.ndarray, "rows d_feat"]: ...


class L1:
    """sum |W_kj|: every class keeps its own features."""

    is_norm = True
    shared = False
    one_row = 1.0

    def value(self, W: Float[np.ndarray, "n_class d_feat"]) -> float:
        """The sum of absolute values, in float64."""
        return float(np.abs(W).sum(dtype=np.float64))

    def prox(
        self,
        V: Float[np.ndarray, "n_class d_feat"],
        step: float | Float[np.ndarray, "n_class 1"],
    ) -> Float[np.ndarray, "n_class d_feat"]:
        """argmin_U |U - V|^2 / 2 + step * value(U): soft thresholding."""
        return V - np.clip(V, -step, step)

    def dual_norm(self, G: Float[np.ndarray, "n_class d_feat"]) -> float:
        """The largest <G, W> over all W with value(W) <= 1."""
        return float(np.abs(G).max(initial=0.0))

    def distance(
        self,
        W: Float[np.ndarray, "n_class d_feat"],
        G: Float[np.ndarray, "n_class d_feat"],
        lam: float,
    ) -> Float[np.ndarray, "rows d_feat"]:
        """The distance of -G to lam * subdifferential at W, one row per class.

        All zero exactly where W minimises a loss of gradient G plus lam * value.
        """
        off = np.maximum(np.abs(G) - lam, 0)
        return np.where(W == 0, off, np.abs(G + lam * np.sign(W)))


class GroupL2:
    """sum_j ||W_:j||_2: a feature is kept for all classes or for none."""

    is_norm = True
    shared = True
    one_row = 0.5**0.5

    def value(self, W: Float[np.ndarray, "n_class d_feat"]) -> float:
        """The sum of column norms, in float64."""
        return float(np.linalg.norm(W, axis=0).sum(dtype=np.float64))

    def prox(
        self,
        V: Float[np.ndarray, "n_class d_feat"],
        step: float | Float[np.ndarray, "n_class 1"],
    ) -> Float[np.ndarray, "n_class d_feat"]:
        """argmin_U |U - V|^2 / 2 + step * value(U): columns shrink towards zero.

        All classes share one step, the largest: different steps have no closed form.
        """
        step = float(np.max(step))
        norms = np.linalg.norm(V, axis=0)
        keep = np.maximum(norms - step, 0) / np.maximum(norms, np.finfo(V.dtype).tiny)
        return V * keep.astype(V.dtype)

    def dual_norm(self, G: Float[np.ndarray, "n_class d_feat"]) -> float:
        """The largest <G, W> over all W with value(W) <= 1."""
        return float(np.linalg.norm(G, axis=0).max(initial=0.0))

    def distance(
        self,
        W: Float[np.ndarray, "n_class d_feat"],
        G: Float[np.ndarray, "n_class d_feat"],
        lam: float,
    ) -> Float[np.ndarray, "rows d_feat"]:
        """The distance of -G to lam * subdifferential at W, one row for all classes.

        All zero exactly where W minimises a loss of gradient G plus lam * value.
        """
        norms = np.linalg.norm(W, axis=0)
        unit = W / np.where(norms > 0, norms, 1)
        off = np.maximum(np.linalg.norm(G, axis=0) - lam, 0)
        on = np.linalg.norm(G + lam * unit, axis=0)
        return np.where(norms > 0, on, off)[None]


def lambda_max(
    penalty: Penalty, gradient_at_zero: Float[np.ndarray, "n_class d_feat"]
) -> float:
    """The smallest strength for which W = 0 is optimal."""
    return penalty.dual_norm(gradient_at_zero)


PENALTIES: dict[PenaltyName, Penalty] = {"l1": L1(), "group": GroupL2()}
"""A new penalty is one more class here; a solver that cannot minimise it says so."""


def get_penalty(name: str) -> Penalty:
    """The penalty called `name`; StcError if there is none."""
    if name not in PENALTIES:
        known = " or ".join(map(repr, PENALTIES))
        raise StcError("penalty", expected=known, got=repr(name))
    return PENALTIES[name]
