"""The paper's recipe on features whose telling columns are known."""

import numpy as np
import pytest

from helpers.toy_features import Toy, make, only
from stc_core.config import SPIN_CS
from stc_core.heads.least_squares import importance
from stc_core.metrics.scores import accuracy
from stc_core.selection.importance import keep_mass
from stc_core.selection.spin import _Trial, fit_spin
from stc_core.selection.stc import Fitted
from stc_core.types import PooledSite

ETAS = (0.1, 0.5, 0.8)
CS = np.array(SPIN_CS)


def fit(toy: Toy, **arguments) -> Fitted:
    probes = toy.probes(Cs=CS)
    return fit_spin(toy.read, toy.task, probes, etas=ETAS, **arguments)


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make(strength=4.0)


@pytest.fixture(scope="module")
def fitted(toy: Toy) -> Fitted:
    return fit(toy)


def test_one_kind_and_one_pooling_are_chosen(fitted):
    assert {f.site.kind for f in fitted.head.features} == {fitted.chosen["kind"]}
    assert {f.pooling for f in fitted.head.features} == {fitted.chosen["pooling"]}
    assert (fitted.chosen["kind"], fitted.chosen["pooling"]) == ("mlp", "max")


def test_the_telling_neurons_are_found(toy, fitted):
    head = fitted.head
    order = np.argsort(-head.importance)
    assert head.features[order[0]] in toy.telling
    assert fitted.chosen["eta"] in ETAS and fitted.chosen["C"] in SPIN_CS


def test_neurons_are_kept_by_mass_in_their_layer(toy, fitted):
    probes = {p.pooled_site: p for p in toy.probes(Cs=CS)}
    for site, pooling, index in fitted.head.features:
        probe = probes[PooledSite(site, pooling)]
        score = importance(probe.path.coef[probe.best])
        assert index in keep_mass(score, float(fitted.chosen["eta"]))


def test_every_neuron_has_a_weight(fitted):
    assert (fitted.head.weight != 0).any(axis=0).all()


def test_fewer_layers_win_a_tie():
    """Only mlp.1 and mlp.2 are there, and mlp.1 says it all."""
    toy = only(make(strength=30.0), "mlp.1.max", "mlp.2.max")
    first, second = toy.blocks
    toy = toy._replace(blocks={first: toy.blocks[second], second: toy.blocks[first]})
    found = fit(toy)
    assert found.chosen["layers"] == 1 and found.head.layer == 1
    depth = [p for p in found.points if p.curve == "depth"]
    assert [p.layer for p in depth] == [1, 2]
    assert depth[0].accuracy == 1.0


def test_held_logits_are_the_head_s_own(toy, fitted):
    """There is no refit and no temperature."""
    X = np.stack(
        [
            toy.blocks[PooledSite(f.site, f.pooling)][:, f.index]
            for f in fitted.head.features
        ],
        axis=1,
    )[toy.task.validation]
    np.testing.assert_allclose(
        fitted.head.logits(X), fitted.held_logits, rtol=1e-3, atol=1e-4
    )
    y = toy.task.codes[toy.task.validation]
    best = max(p.accuracy for p in fitted.points if p.curve == "depth")
    assert accuracy(y, fitted.held_logits.argmax(axis=1)) == best
    assert fitted.chosen["temperature"] == 1.0


def test_nothing_is_learned_from_other_rows(toy, fitted):
    codes = toy.task.codes.copy()
    codes[toy.test] = (codes[toy.test] + 1) % 3
    other = fit(toy._replace(task=toy.task._replace(codes=codes)))
    assert other.head.features == fitted.head.features
    assert other.points == fitted.points
    np.testing.assert_array_equal(other.head.weight, fitted.head.weight)


@pytest.mark.parametrize("K", [2, 4])
def test_any_number_of_classes(K):
    toy = make(K, strength=4.0)
    found = fit(toy)
    assert found.head.weight.shape == (K, len(found.head.features))
    assert found.head.classes == toy.task.classes
    y = toy.task.codes[toy.task.validation]
    assert accuracy(y, found.held_logits.argmax(axis=1)) > 0.85


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_choices_are_made_by_the_score_of_the_goal(class_weight, monkeypatch):
    """The winner has the best of that score; on rare classes the two differ."""
    shares = (0.86, 0.07, 0.07)
    toy = make(strength=1.5, shares=shares, class_weight=class_weight, seed=3)
    trials: list[_Trial] = []
    init = _Trial.__init__

    def watched(self, *arguments):
        init(self, *arguments)
        trials.append(self)

    monkeypatch.setattr(_Trial, "__init__", watched)
    found = fit(toy)
    by = [t.macro_f1 if class_weight else t.accuracy for t in trials]
    other = [t.accuracy if class_weight else t.macro_f1 for t in trials]
    assert [t.score for t in trials] == by and by != other
    depth = [p for p in found.points if p.curve == "depth"]
    scores = [p.macro_f1 if class_weight else p.accuracy for p in depth]
    assert found.chosen["layers"] == 1 + int(np.argmax(scores))


def test_progress_ends_at_its_total(toy):
    seen: list[tuple[int, int]] = []
    fit(toy, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
