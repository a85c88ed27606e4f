"""Scores of methods from probabilities that are written by hand."""

import numpy as np
import pytest

from stc_core.interpret.faithfulness.scores import (
    LEFT_OUT,
    RANDOM,
    READOUT,
    Erased,
    score_methods,
)


def erased(without: list[float], tops: list[int]) -> Erased:
    rows = np.repeat(np.array(without)[:, None], 5, axis=1)
    return Erased(rows, rows - 0.1, np.array(tops))


def test_the_scores_and_the_worst_texts():
    found = score_methods(
        np.array([0.9, 0.8, 0.7]),
        {
            READOUT: erased([0.8, 0.8, 0.2], [0, 1, 2]),
            LEFT_OUT: erased([0.3, 0.7, 0.4], [0, 1, 1]),
            RANDOM: erased([0.0, 0.0, 0.0], [1, 1, 1]),
        },
        places=np.array([4, 7, 9]),
        n_parts=np.array([2, 4, 6]),
        missing={"gradient_input": "no gradients"},
    )
    ours, left_out, _ = found.methods
    assert ours.comprehensiveness.mean == pytest.approx((0.1 + 0 + 0.5) / 3)
    assert ours.sufficiency.mean == pytest.approx((0.2 + 0.1 + 0.6) / 3)
    assert left_out.ahead.mean == pytest.approx((0.5 + 0.1 - 0.2) / 3)
    assert ours.ahead == (0, 0, 0)
    assert found.same_top == pytest.approx(2 / 3)
    assert found.mean_parts == 4
    assert [case.place for case in found.cases] == [4, 7]
    assert found.cases[0].best == pytest.approx(0.6)
    assert found.cases[0].method == LEFT_OUT
    record = found.record()
    assert record["methods"][1]["comprehensiveness"].keys() == {"mean", "low", "high"}
    assert record["cases"][0]["place"] == 4
    assert record["missing"] == {"gradient_input": "no gradients"}
