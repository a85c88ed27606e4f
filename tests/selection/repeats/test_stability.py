"""The selection on halves: the telling columns come again, noise does not."""

from typing import Any

import numpy as np
import pytest

from helpers.frames import stability as record_of
from helpers.toy_features import SITES, WIDTH, Toy, make
from stc_core.analysis.inside.stability import (
    chosen_times,
    overlap_rows,
    stable_choice,
    stable_neurons,
)
from stc_core.errors import StcError
from stc_core.selection.folds import Fold, stratified_halves
from stc_core.selection.ranking import JointColumns, importances_of, rank_columns
from stc_core.selection.repeats import draws as draws_module
from stc_core.selection.repeats import stability as stability_module
from stc_core.selection.repeats.overlap import jaccard
from stc_core.selection.repeats.stability import (
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
    assert [one.n_selections for one in found.repeats.values()] == [10, 10, 10]
    for repeat in found.repeats.values():
        assert (repeat.frequency[:n] == 1).all()
        assert 0 < found.chance < repeat.overlap <= 1
    assert found.overlap < 1
    # The more rows two selections share, the more neurons they share.
    assert found.repeats["seeds"].overlap > found.overlap
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
    (scores,) = importances_of(alone, 2)
    assert len(scores) == WIDTH * len(SITES)
    assert ranked[0] == scores.argmax()
    (of_layer_1,) = importances_of(alone, 1)
    assert of_layer_1[columns.layer == 2].max() == 0


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
    monkeypatch.setattr(draws_module, "MOST_ROWS", 60)
    found = measure(toy, list(toy.telling)).repeats
    assert found["halves"].rows == 30
    assert found["seeds"].rows == 48
    assert 20 < found["bootstrap"].rows < 45


def test_the_sentences_hold_the_numbers():
    said = " ".join(stable_neurons(record_of()))
    assert "on 10 random halves of the rows, 10 bootstrap samples of the rows" in said
    assert "These 40 are always chosen; the other 684 are interchangeable" in said
    assert "40 were chosen at least 9 times of 10 of each kind" in said
    assert "share 18.0 %, 30.0 % and 40.0 % of their neurons" in said
    assert "would share 1.1 %" in said
    assert "one of many sets" in said
    sure = stable_neurons(record_of(always=700))
    assert "one of many sets" not in " ".join(sure)


def test_a_record_of_halves_alone_has_sentences_and_no_table():
    record = record_of()
    del record["repeats"], record["layers"], record["sites"]
    said = " ".join(stable_neurons(record))
    assert "on 10 random halves of the rows." in said
    assert "at least 9 times of 10." in said
    assert overlap_rows(record) == []


def test_how_often_a_neuron_is_chosen_is_told_for_each_kind():
    repeats = {
        "halves": {"frequency": [0.9, 0.0], "n_selections": 10},
        "seeds": {"frequency": [1.0, 0.3], "n_selections": 10},
    }
    halves = {**repeats["halves"]}
    assert chosen_times({**halves, "repeats": repeats}) == ["9, 10 of 10", "0, 3 of 10"]
    assert chosen_times(halves) == ["9 of 10", "0 of 10"]


@pytest.mark.parametrize(("always", "start"), [(0, "None"), (724, "All"), (1, "One")])
def test_the_number_of_stable_neurons_is_in_words(always: int, start: str):
    assert stable_neurons(record_of(always=always))[1].startswith(f"**{start} ")


def test_each_part_has_a_row_and_an_overlap_of_nothing_is_a_dash():
    layer, site = overlap_rows(record_of())
    assert layer[0] == "layer 3"
    assert site == ("mlp.3", "90", "7", "18.0 %", "30.0 %", "–", "2.0 %")


def test_parts_add_up_and_a_part_without_choices_has_no_overlap(toy: Toy):
    noise = [Feature(SITES[0].site, SITES[0].pooling, index) for index in range(7)]
    found = measure(toy, [*toy.telling, *noise])
    for parts in (found.sites, found.layers):
        assert sum(part.kept for part in parts) == found.kept
        assert sum(part.always for part in parts) == found.always
    telling = {part.name: part for part in found.sites}["mlp.2"]
    assert telling.always == len(toy.telling)
    few = measure(toy, list(toy.telling), size=3)
    assert [part.name for part in few.sites] == ["mlp.2"]
    assert few.sites[0].overlap == dict.fromkeys(("halves", "bootstrap", "seeds"), 1.0)
    # Random sets of 3 of the 10 columns share 3 / (2 * 10 - 3) of their union.
    assert few.sites[0].chance == pytest.approx(3 / 17)


def test_a_row_drawn_twice_counts_as_two_equal_rows(toy: Toy):
    """The importances of a bootstrap sample are those of a table with its rows."""
    rows = draws_module.draw_repeats(toy.task, toy.task.learned)["bootstrap"][0]
    assert len(np.unique(rows)) < len(rows)
    repeated = {site: block[rows] for site, block in toy.blocks.items()}
    there = np.arange(len(rows))
    other = toy.task._replace(
        codes=toy.task.codes[rows], train=there, validation=there[:0]
    )
    here = toy.task._replace(train=np.unique(rows), validation=there[:0])
    columns = JointColumns(
        toy.read, here, toy.probes(), folds=[Fold(rows, there[:0])], trusting=10**6
    )
    whole = JointColumns(repeated.__getitem__, other, toy.probes(), folds=[])
    columns._moments = whole._moments = {
        site: (np.zeros(WIDTH, np.float32), np.ones(WIDTH, np.float32))
        for site in toy.blocks
    }
    columns.trust = np.repeat(whole.trust, 2, axis=0)
    expected = importances_of(whole, 2)[-1]
    np.testing.assert_allclose(importances_of(columns, 2)[0], expected, rtol=1e-3)


def test_jaccard_of_pairs_and_of_all():
    a, b, c = np.eye(4, dtype=bool)[[0, 1, 2]]
    chosen = np.stack([a | b, a | b, b | c, c])
    assert jaccard(chosen, in_pairs=True) == pytest.approx((1 + 1 / 2) / 2)
    shares = [1, 1 / 3, 0, 1 / 3, 0, 1 / 2]
    assert jaccard(chosen) == pytest.approx(np.mean(shares))
    assert jaccard(np.zeros((4, 3), bool)) is None


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
    assert found.chosen["accuracy_stable"] == option.accuracy
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
    # The classifier may read words, too; the neurons alone are compared.
    metrics["chosen"] = {**chosen, "accuracy_stable": 0.79}
    assert "accuracy of 79.0 %, and all" in stable_choice(metrics)[0]
    metrics["chosen"] = {}
    assert stable_choice(metrics) == []
