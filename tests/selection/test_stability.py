"""The selection on halves: the telling columns come again, noise does not."""

from typing import Any

import numpy as np
import pytest

from helpers.frames import stability as record_of
from helpers.toy_features import SITES, WIDTH, Toy, make
from stc_core.analysis.summary import stable_choice, stable_neurons
from stc_core.errors import StcError
from stc_core.selection import stability as stability_module
from stc_core.selection.folds import stratified_halves
from stc_core.selection.ranking import JointColumns, importances_of, rank_columns
from stc_core.selection.stability import (
    Stability,
    keep_stable,
    measure_stability,
)
from stc_core.selection.stc import NO_ROWS, fit_stc
from stc_core.types import Feature


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make()


def measure(toy: Toy, features: list[Feature], **arguments) -> Stability:
    found = measure_stability(
        toy.read, toy.task, toy.probes(), features, depth=2, **arguments
    )
    assert found is not None
    return found


def test_telling_columns_are_always_chosen_and_noise_rarely(toy: Toy):
    noise = [Feature(SITES[0].site, SITES[0].pooling, index) for index in range(7)]
    found = measure(toy, [*toy.telling, *noise])
    n = len(toy.telling)
    assert (found.frequency[:n] == 1).all()
    assert found.frequency[n:].mean() < 0.5
    assert found.always >= n
    assert found.kept == n + 7
    assert found.n_selections == 10
    assert 0 < found.chance < found.overlap < 1
    # Random sets of 10 of 50 columns share 10 / (2 * 50 - 10) of their union.
    assert found.chance == pytest.approx(10 / 90, abs=0.02)


def test_halves_are_disjoint_whole_and_stratified(toy: Toy):
    task, rows = toy.task, np.sort(toy.task.learned)
    first, second = stratified_halves(task.codes, rows, seed=3)
    assert not set(first) & set(second)
    assert set(first) | set(second) == set(rows)
    for code in range(len(task.classes)):
        sizes = [(task.codes[half] == code).sum() for half in (first, second)]
        assert abs(sizes[0] - sizes[1]) <= 1
    assert abs(len(first) - len(second)) <= 1
    assert set(stratified_halves(task.codes, rows, seed=4)[0]) != set(first)


def test_only_learned_rows_count(toy: Toy):
    other = {site: block.copy() for site, block in toy.blocks.items()}
    for block in other.values():
        block[toy.test] = 1e3
    changed = toy._replace(blocks=other)
    features = list(toy.telling)
    first, second = (measure(one, features) for one in (toy, changed))
    assert first.record() == second.record()


def test_the_importances_are_those_of_the_ranking(toy: Toy):
    columns = JointColumns(toy.read, toy.task, toy.probes())
    ranked = rank_columns(columns, [2])[2].final
    alone = JointColumns(toy.read, toy.task, toy.probes(), folds=())
    scores = importances_of(alone, 2)
    assert len(scores) == WIDTH * len(SITES)
    assert ranked[0] == scores.argmax()
    assert importances_of(alone, 1)[columns.layer == 2].max() == 0


def test_few_rows_and_rare_classes_are_not_split(toy: Toy, monkeypatch):
    features = list(toy.telling)
    monkeypatch.setattr(stability_module, "FEWEST_ROWS", 1000)
    arguments = toy.read, toy.task, toy.probes(), features
    assert measure_stability(*arguments, depth=2) is None
    monkeypatch.undo()
    codes = toy.task.codes.copy()
    codes[codes == 2] = 1
    codes[toy.task.train[0]] = 2
    rare = toy.task._replace(codes=codes)
    assert measure_stability(toy.read, rare, toy.probes(), features, depth=2) is None


def test_more_rows_than_the_most_are_drawn(toy: Toy, monkeypatch):
    monkeypatch.setattr(stability_module, "MOST_ROWS", 60)
    assert measure(toy, list(toy.telling)).half == 30


def test_the_sentences_hold_the_numbers():
    said = " ".join(stable_neurons(record_of()))
    assert "on 10 random halves of the rows (300 rows each)" in said
    assert "40 of the 724 neurons were chosen at least 9 times" in said
    assert "share 18.0 % of their neurons" in said
    assert "would share 1.1 %" in said
    assert "one of many sets" in said
    sure = stable_neurons(record_of(always=700))
    assert "one of many sets" not in " ".join(sure)


def test_only_stable_columns_are_kept_and_their_score_stands_beside_the_other(toy: Toy):
    fitted = fit_stc(toy.read, toy.task, toy.probes(), reported=toy.test)
    arguments = toy.read, toy.task, toy.probes(), fitted
    found = keep_stable(*arguments, share=0.9, reported=toy.test)
    kept = set(found.head.features)
    assert kept >= set(toy.telling)
    assert len(kept) < len(fitted.head.features)
    measured = measure(toy, list(kept), size=len(fitted.head.features))
    assert (measured.frequency >= 0.9).all()
    option = found.option
    assert option is not None
    assert option.neurons == len(kept)
    right = found.held_logits.argmax(axis=1) == toy.task.codes[found.held]
    assert option.accuracy == pytest.approx(right.mean())
    assert fitted.option is not None
    assert found.chosen["accuracy_before"] == fitted.option.accuracy
    assert found.chosen["neurons_before"] == len(fitted.head.features)
    assert found.options[-1] is option
    assert [one.neurons for one in found.options[:-1]] == [
        one.neurons for one in fitted.options
    ]
    again = keep_stable(*arguments, share=0.9, reported=toy.test)
    assert again.head.features == found.head.features


def test_each_fold_chooses_its_own_stable_columns(toy: Toy):
    """No held row takes part in the choice by which it is judged."""
    fitted = fit_stc(toy.read, toy.task, toy.probes())
    found = keep_stable(
        toy.read, toy.task, toy.probes(), fitted, share=0.6, reported=NO_ROWS
    )
    assert len(found.fold_heads) == 5
    assert len({head.features for head in found.fold_heads}) > 1


def test_a_share_that_no_column_reaches_is_refused():
    noise = make(strength=0.0)
    fitted = fit_stc(noise.read, noise.task, noise.probes(), budget=1)
    with pytest.raises(StcError, match=r"stable.*neurons are left"):
        keep_stable(
            noise.read,
            noise.task,
            noise.probes(),
            fitted,
            share=1.0,
            reported=NO_ROWS,
        )


def test_the_sentence_on_stable_neurons_tells_both_scores():
    chosen = {"stable": 0.9, "neurons_before": 1669, "accuracy_before": 0.82}
    metrics: Any = {
        "chosen": chosen,
        "neurons": {"selected": 134},
        "validation": {"accuracy": 0.8},
    }
    (said,) = stable_choice(metrics)
    assert "only the 134 neurons that at least 90.0 % of the halves choose" in said
    assert "accuracy of 80.0 %, and all 1,669 have 82.0 %" in said
    metrics["chosen"] = {}
    assert stable_choice(metrics) == []
