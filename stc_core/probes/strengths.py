"""The strengths of the penalty along a path of C, from strong to weak."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from stc_core.errors import StcError


def ascending(
    Cs: Float[np.ndarray, " n_C"] | None,
) -> Float[np.ndarray, " n_C"] | None:
    """The Cs in ascending order; StcError if one is not positive."""
    if Cs is None:
        return None
    Cs = np.sort(np.asarray(Cs, float))
    if len(bad := Cs[~(Cs > 0)]):
        raise StcError("C", expected="a positive number", got=str(bad[0]))
    return Cs


class Strengths(NamedTuple):
    """The wanted Cs or, if they are None, the number and the ratio of the strengths."""

    Cs: Float[np.ndarray, " n_C"] | None
    n_C: int
    lambda_ratio: float

    def steps(self, top: float) -> list[tuple[float, bool]]:
        """(lambda, wanted), from strong to weak; unwanted ones only warm up the next.

        `top` is the strength at which all coefficients become 0.
        """
        if self.Cs is None:
            lams = 0.5 * top * np.geomspace(1, self.lambda_ratio, self.n_C)
            return [(float(lam), True) for lam in lams]
        steps: list[tuple[float, bool]] = []
        previous = top
        for C in self.Cs:
            n_between = int(np.log(max(previous * C, 1)) / np.log(3))
            between = (
                np.geomspace(previous, 1 / C, n_between + 2)[1:-1] if n_between else []
            )
            steps += [(float(lam), False) for lam in between] + [(1 / float(C), True)]
            previous = min(previous, 1 / C)
        return steps
