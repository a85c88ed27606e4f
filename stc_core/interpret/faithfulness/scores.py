"""The faithfulness of several attributions of the same texts, as records."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.metrics.faithfulness import (
    ERASED_SHARES,
    MeanInterval,
    aopc,
    bootstrap_mean,
)

READOUT, LEFT_OUT, RANDOM = "readout", "leave_one_out", "random"
ATTRIBUTIONS: dict[str, str] = {
    READOUT: "Exact split of the readout (ours)",
    "gradient_input": "Gradient × input",
    "gradient_from_mean": "Gradient × distance from mean",
    "integrated_gradients": "Integrated gradients",
    LEFT_OUT: "Leaving one out",
    RANDOM: "Random order",
}
"""Each attribution that is compared, and what people call it."""
MOST_CASES = 20


class Erased(NamedTuple):
    """Probabilities of each text's class, at each share of its parts.

    `without` the strongest parts by one attribution, and with these `alone`. `top` is
    the number of the strongest part.
    """

    without: Float[np.ndarray, "n n_shares"]
    alone: Float[np.ndarray, "n n_shares"]
    top: Int[np.ndarray, " n"]


class MethodScores(NamedTuple):
    """Comprehensiveness (more is better) and sufficiency (less is better) of a method.

    Both are means over the texts of the area over the perturbation curve, in
    probability. `ahead` is the comprehensiveness less that of the exact split, text by
    text. `curve_without` and `curve_alone` are the mean losses at each share.
    """

    method: str
    comprehensiveness: MeanInterval
    sufficiency: MeanInterval
    ahead: MeanInterval
    curve_without: tuple[float, ...]
    curve_alone: tuple[float, ...]


class HardCase(NamedTuple):
    """A text whose explanation is far behind the best one: its place among the texts,
    our comprehensiveness, the best one, and the method that has it."""

    place: int
    ours: float
    best: float
    method: str


class PartScores(NamedTuple):
    """The faithfulness over words or over neurons.

    `missing` says why a method was not measured. `same_top` is the share of the texts
    whose strongest part by the exact split is that of leaving one out; None if that was
    not measured. `cases` are the texts on which ours is furthest behind.
    """

    n_texts: int
    mean_parts: float
    methods: tuple[MethodScores, ...]
    missing: dict[str, str]
    same_top: float | None
    cases: tuple[HardCase, ...]

    def record(self) -> dict[str, Any]:
        """The scores as JSON has them."""
        methods = [
            {
                **one._asdict(),
                "comprehensiveness": one.comprehensiveness._asdict(),
                "sufficiency": one.sufficiency._asdict(),
                "ahead": one.ahead._asdict(),
            }
            for one in self.methods
        ]
        cases = [case._asdict() for case in self.cases]
        return {
            **self._asdict(),
            "shares": list(ERASED_SHARES),
            "methods": methods,
            "cases": cases,
        }


def score_methods(
    whole: Float[np.ndarray, " n"],
    erased: Mapping[str, Erased],
    *,
    places: Int[np.ndarray, " n"],
    n_parts: Int[np.ndarray, " n"],
    missing: Mapping[str, str],
) -> PartScores:
    """The scores of each method, from the probabilities before and after.

    `whole` are those of the whole texts, which stand at `places`; `n_parts` is the
    number of words or neurons of each.
    """
    lost = {name: aopc(whole, one.without) for name, one in erased.items()}
    kept = {name: aopc(whole, one.alone) for name, one in erased.items()}
    methods = tuple(
        MethodScores(
            name,
            bootstrap_mean(lost[name]),
            bootstrap_mean(kept[name]),
            bootstrap_mean(lost[name] - lost[READOUT]),
            tuple((whole[:, None] - one.without).mean(axis=0).tolist()),
            tuple((whole[:, None] - one.alone).mean(axis=0).tolist()),
        )
        for name, one in erased.items()
    )
    same = None
    if LEFT_OUT in erased:
        same = float((erased[READOUT].top == erased[LEFT_OUT].top).mean())
    return PartScores(
        len(whole),
        float(n_parts.mean()),
        methods,
        dict(missing),
        same,
        _hard_cases(lost, places),
    )


def _hard_cases(
    lost: Mapping[str, Float[np.ndarray, " n"]], places: Int[np.ndarray, " n"]
) -> tuple[HardCase, ...]:
    """The texts on which another method takes away most more than ours."""
    others = [name for name in lost if name not in (READOUT, RANDOM)]
    if not others:
        return ()
    values = np.stack([lost[name] for name in others])
    best = values.argmax(axis=0)
    gap = values.max(axis=0) - lost[READOUT]
    worst = np.argsort(-gap, kind="stable")[:MOST_CASES]
    return tuple(
        HardCase(
            int(places[at]),
            float(lost[READOUT][at]),
            float(values[best[at], at]),
            others[best[at]],
        )
        for at in worst
        if gap[at] > 0
    )
