"""A selection that weighs use has the score of the default one beside it."""

from typing import Any, cast

import numpy as np

from helpers.toy_features import make
from stc_core.analysis.inside.stability import ranking_choice
from stc_core.runs.metrics import RunMetrics
from stc_core.selection.stc import fit_stc
from stc_core.selection.use.attribution import ModelUse
from stc_core.selection.use.beside import beside_default


class Known(ModelUse):
    """The model uses two columns that tell little, and hardly any other."""

    def __init__(self) -> None:
        self.weight = 0.9

    def of(self, rows, sites):
        found = np.full(10 * len(sites), 1e-3, np.float32)
        found[[3, 44]] = 1.0
        return found


def test_the_default_ranking_is_scored_by_the_same_held_rows():
    toy = make()
    arguments: tuple[Any, Any, Any] = (toy.read, toy.task, toy.probes())
    by_use = fit_stc(*arguments, use=Known(), budget=2)
    plain = fit_stc(*arguments, budget=2)
    found = beside_default(*arguments, by_use, weight=0.9, budget=2)
    assert found.head is by_use.head
    assert by_use.option and plain.option
    assert found.chosen["accuracy_by_use"] == by_use.option.accuracy
    assert found.chosen["accuracy_by_reading"] == plain.option.accuracy
    assert plain.option.accuracy > by_use.option.accuracy
    assert found.chosen["neurons_by_use"] == found.chosen["neurons_by_reading"] == 2
    assert found.chosen["ridge"] == by_use.chosen["ridge"]


def test_the_sentence_tells_both_scores():
    chosen = {
        "use_weight": 0.5,
        "neurons_by_use": 1024,
        "accuracy_by_use": 0.808,
        "neurons_by_reading": 2048,
        "accuracy_by_reading": 0.804,
    }
    (said,) = ranking_choice(cast(RunMetrics, {"chosen": chosen}))
    assert "uses by 0.5. The 1,024 neurons that it keeps have" in said
    assert "80.8 % on held-out rows; 2,048 ranked only" in said
    assert "have 80.4 %" in said
    assert ranking_choice(cast(RunMetrics, {"chosen": {"ridge": 1.0}})) == []
