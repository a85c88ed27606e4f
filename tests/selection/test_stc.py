"""The preset `stc` on features whose telling columns are known."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from helpers.toy_features import NAMES, Toy, make
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.heads.least_squares import RIDGES
from stc_core.heads.ridge import fit_ridge_head
from stc_core.metrics.scores import accuracy, fit_temperature
from stc_core.selection.ranking import JointColumns, rank_columns
from stc_core.selection.salience import Salience
from stc_core.selection.search import DepthSearch, choose_size
from stc_core.selection.stc import Fitted, fit_option, fit_stc
from stc_core.types import Feature, PooledSite


def fit(toy: Toy, **arguments) -> Fitted:
    return fit_stc(toy.read, toy.task, toy.probes(), **arguments)


def columns(toy: Toy, fitted: Fitted) -> np.ndarray:
    """Raw values of the selected features on all rows."""
    return values(toy, fitted.head)


def values(toy: Toy, head: SparseHead) -> np.ndarray:
    """Raw values of the features of a head on all rows."""
    return np.stack(
        [
            toy.blocks[PooledSite(feature.site, feature.pooling)][:, feature.index]
            for feature in head.features
        ],
        axis=1,
    )


def grid(*rows: float) -> np.ndarray:
    """The same validation score for every ridge, one row per count of neurons."""
    return np.repeat(np.array(rows)[:, None], len(RIDGES), axis=1)


COUNTS = [1, 2, 4, 8, 16, 32]
RISING = grid(0.3, 0.4, 0.5, 0.9, 0.9, 0.9)


def test_the_fewest_that_do_as_well_are_chosen():
    """The neighbours count too, so the first of the good ones is not yet it."""
    assert COUNTS[choose_size(COUNTS, RISING, 0.0)[0]] == 16


def test_what_is_within_the_noise_is_as_good():
    chosen = [choose_size(COUNTS, RISING, error)[0] for error in (0.0, 2.0, 8.0)]
    assert chosen[0] > chosen[1] > chosen[2] == 0


def test_one_lucky_cell_is_not_believed():
    scores = grid(0.5, 0.5, 0.5, 0.8, 0.8, 0.8)
    scores[0, 3] = 0.9
    assert COUNTS[choose_size(COUNTS, scores, 0.0)[0]] == 16


def test_the_larger_ridge_wins_a_tie():
    assert choose_size(COUNTS, grid(*[0.5] * 6), 0.0) == (0, len(RIDGES) - 1)


def test_the_best_ridge_is_chosen():
    scores = RISING.copy()
    scores[:, 2] += 0.05
    scores[:, 1:4] += 0.01
    assert choose_size(COUNTS, scores, 0.0)[1] == 2


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make()


@pytest.fixture(scope="module")
def fitted(toy: Toy) -> Fitted:
    return fit(toy)


def test_probes_with_no_weights_are_an_error(toy):
    empty = [
        probe._replace(path=probe.path._replace(coef=0 * probe.path.coef))
        for probe in toy.probes()
    ]
    with pytest.raises(StcError, match="no site predicts the labels"):
        fit_stc(toy.read, toy.task, empty)


@pytest.mark.parametrize("K", [2, 3, 4])
def test_the_telling_neurons_are_found_and_weigh_most(K):
    toy = make(K, strength=4.0)
    found = fit(toy)
    head = found.head
    order = np.argsort(-head.importance)
    strongest = {head.features[j] for j in order[: K - 1]}
    assert strongest <= set(toy.telling)
    X = columns(toy, found)[toy.test]
    assert accuracy(toy.task.codes[toy.test], head.logits(X).argmax(axis=1)) > 0.85
    assert head.classes == toy.task.classes and head.weight.shape[0] == K


@pytest.mark.parametrize("budget", [1, 3, 7])
def test_a_budget_is_used_up_and_never_passed(toy, budget):
    found = fit(toy, budget=budget)
    assert len(found.head.features) == budget
    neurons = [p.neurons for p in found.points if p.curve == "neurons"]
    assert max(neurons) == budget


def test_a_budget_of_the_telling_neurons_finds_them():
    toy = make(4, strength=4.0)
    assert set(fit(toy, budget=4).head.features) == set(toy.telling)


def test_a_budget_above_all_takes_all(toy):
    found = fit(toy, budget=10**6)
    assert len(found.head.features) == 10 * len(toy.blocks)


def test_neurons_are_in_computing_order(fitted):
    assert list(fitted.head.features) == sorted(set(fitted.head.features))


def test_the_curves_are_in_order(toy, fitted):
    neurons = [p.neurons for p in fitted.points if p.curve == "neurons"]
    depths = [p.layer for p in fitted.points if p.curve == "depth"]
    assert neurons == sorted(set(neurons))
    assert depths == sorted(set(depths)) and set(depths) <= {0, 1, 2}
    assert len(fitted.head.features) in neurons
    assert all(0 <= p.accuracy <= 1 and p.ridge in RIDGES for p in fitted.points)
    wide = {p.layer: p.neurons for p in fitted.points if p.curve == "depth"}
    assert all(n <= len(fitted.head.features) for n in wide.values())


def test_the_deepest_point_is_the_head_s_own_selection(fitted):
    chosen = next(
        p
        for p in fitted.points
        if p.curve == "neurons" and p.neurons == len(fitted.head.features)
    )
    deepest = [p for p in fitted.points if p.curve == "depth"][-1]
    assert (deepest.neurons, deepest.accuracy, deepest.ridge) == (
        chosen.neurons,
        chosen.accuracy,
        chosen.ridge,
    )


def test_the_logits_of_held_rows_are_the_chosen_point_s(toy, fitted):
    assert sorted(fitted.held) == sorted(toy.task.learned)
    y = toy.task.codes[fitted.held]
    assert fitted.held_logits.shape == (len(y), 3)
    chosen = next(p for p in fitted.points if p.neurons == len(fitted.head.features))
    right = accuracy(y, fitted.held_logits.argmax(axis=1))
    assert right == pytest.approx(chosen.accuracy, abs=1.5 / len(y))  # a near tie


def test_the_heads_of_the_folds_say_what_is_told_of_the_held_rows(toy, fitted):
    """Each has neurons of its own, and the rows that it judges change none of it."""
    assert len(fitted.fold_heads) == 5 and set(fitted.fold) == set(range(5))
    for number, head in enumerate(fitted.fold_heads):
        own = fitted.fold == number
        logits = head.logits(values(toy, head)[fitted.held[own]])
        np.testing.assert_allclose(logits, fitted.held_logits[own], atol=1e-5)
        assert list(head.features) == sorted(set(head.features))
    assert len({head.features for head in fitted.fold_heads}) > 1
    # Other labels of the rows that the first head judges.
    judged = fitted.held[fitted.fold == 0]
    columns_now = JointColumns(toy.read, toy.task, toy.probes())
    codes = toy.task.codes.copy()
    codes[judged] = (codes[judged] + 1) % 3
    columns_now.task = toy.task._replace(codes=codes)
    depth, option = max(columns_now.depths), fitted.option
    assert option is not None
    ranking = rank_columns(columns_now, [depth])[depth]
    again = fit_option(DepthSearch(columns_now, ranking), option)
    first = again.fold_heads[0].cooled(1 / float(again.chosen["temperature"]))
    before = fitted.fold_heads[0].cooled(1 / float(fitted.chosen["temperature"]))
    assert first.features == before.features
    np.testing.assert_allclose(first.weight, before.weight, atol=1e-4)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_nothing_is_learned_from_other_rows(class_weight):
    """Neither the labels nor the features of the test rows change a number."""
    toy = make(class_weight=class_weight, shares=(0.5, 0.3, 0.2))
    codes = toy.task.codes.copy()
    codes[toy.test] = (codes[toy.test] + 1) % 3
    blocks = {site: X.copy() for site, X in toy.blocks.items()}
    for X in blocks.values():
        X[toy.test] = 1e6
    other = toy._replace(blocks=blocks, task=toy.task._replace(codes=codes))
    one, two = fit(toy), fit(other)
    assert one.head.features == two.head.features
    assert one.points == two.points and one.chosen == two.chosen
    np.testing.assert_array_equal(one.head.weight, two.head.weight)
    np.testing.assert_array_equal(one.head.bias, two.head.bias)
    np.testing.assert_array_equal(one.held_logits, two.held_logits)


def test_balanced_weights_help_the_rare_class():
    shares = (0.9, 0.1)
    recalls = []
    for class_weight in (None, "balanced"):
        toy = make(2, strength=1.0, shares=shares, class_weight=class_weight)
        found = fit(toy, budget=2)
        rare = toy.test[toy.task.codes[toy.test] == 1]
        guess = found.head.logits(columns(toy, found)[rare]).argmax(axis=1)
        recalls.append(np.mean(guess == 1))
    assert recalls[1] > recalls[0]


def test_the_order_of_the_probes_changes_nothing(toy, fitted):
    again = fit_stc(toy.read, toy.task, toy.probes()[::-1])
    assert again.head.features == fitted.head.features
    np.testing.assert_array_equal(again.head.weight, fitted.head.weight)


def test_progress_ends_at_its_total(toy):
    seen: list[tuple[int, int]] = []
    fit(toy, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total in seen} == {len(seen)}


def head_data(toy: Toy) -> tuple[np.ndarray, list[Feature]]:
    site = PooledSite.parse(NAMES[3])
    X = toy.blocks[site]
    return X, [Feature(site.site, site.pooling, i) for i in range(X.shape[1])]


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("ridge", [0.1, 3.0])
def test_the_head_guesses_as_scikit_learn_s_ridge(class_weight, ridge):
    toy = make(class_weight=class_weight, shares=(0.6, 0.25, 0.15))
    X, _ = head_data(toy)
    train = toy.task.train
    y = toy.task.codes[train]
    weight = np.ones(len(y))
    if class_weight:
        weight = compute_sample_weight(class_weight, y)
    scaler = StandardScaler().fit(X[train], sample_weight=weight)
    Z = np.asarray(scaler.transform(X))
    alpha = ridge * X.shape[1]  # a standardised row has as much mean squared norm
    oracle = Ridge(alpha=alpha).fit(Z[train], np.eye(3)[y], sample_weight=weight)
    head = fit_ridge_head(X, toy.task, (), rows=train, ridge=ridge)
    scores = oracle.predict(np.clip(Z, Z[train].min(axis=0), Z[train].max(axis=0)))
    sharpness = head.logits(X).std() / scores.std()
    np.testing.assert_allclose(head.logits(X) / sharpness, scores, atol=1e-3)


def test_trust_divides_the_penalty_by_its_square(toy):
    """As if each standardised column were scaled by its trust."""
    X, _ = head_data(toy)
    train = toy.task.train
    trust = np.linspace(0.1, 1, X.shape[1]).astype(np.float32)
    head = fit_ridge_head(X, toy.task, (), rows=train, ridge=2.0, trust=trust)
    Z = np.asarray(StandardScaler().fit(X[train]).transform(X)) * trust
    oracle = Ridge(alpha=2.0 * (trust**2).sum())
    oracle.fit(Z[train], np.eye(3)[toy.task.codes[train]])
    scores = oracle.predict(np.clip(Z, Z[train].min(axis=0), Z[train].max(axis=0)))
    sharpness = head.logits(X).std() / scores.std()
    np.testing.assert_allclose(head.logits(X) / sharpness, scores, atol=1e-3)


def test_the_temperature_is_that_of_rows_that_chose_nothing(toy, fitted):
    y = toy.task.codes[fitted.held]
    temperature = fitted.chosen["temperature"]
    raw = fitted.held_logits * temperature
    assert fit_temperature(raw, y) == pytest.approx(temperature, rel=1e-4)
    X = columns(toy, fitted)
    last = fit_ridge_head(
        X,
        toy.task,
        fitted.head.features,
        rows=toy.task.learned,
        ridge=fitted.chosen["ridge"],
        trust=fitted.trust,
    )
    np.testing.assert_allclose(
        fitted.head.logits(X) * temperature, last.logits(X), rtol=1e-4, atol=1e-4
    )


def test_with_labels_by_chance_the_held_rows_say_so():
    """Chosen outside the folds, the best neurons of many would seem to know them."""
    toy = make(2, strength=0.0)
    rng = np.random.default_rng(0)
    blocks = {
        site: rng.standard_normal((len(X), 400), np.float32)
        for site, X in toy.blocks.items()
    }
    task = toy.task
    probes = [Salience(site, np.ones(400), 0.5) for site in blocks]
    found = fit_stc(blocks.__getitem__, task, probes)
    right = accuracy(task.codes[found.held], found.held_logits.argmax(axis=1))
    assert right < 0.68  # the best of some hundred choices by 220 rows; else near 1
