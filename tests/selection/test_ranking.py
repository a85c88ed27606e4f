"""One ridge model of all columns ranks them, against plain models of scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from helpers.toy_features import NAMES, Toy, make
from stc_core.data.task import Task
from stc_core.heads.least_squares import importance
from stc_core.selection import ranking
from stc_core.selection.folds import Fold
from stc_core.selection.importance import descending_order, keep_mass
from stc_core.selection.ranking import JointColumns, most_kept, rank_columns
from stc_core.selection.salience import Salience
from stc_core.selection.stc import fit_stc
from stc_core.types import Feature, PooledSite


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make()


def columns_of(toy: Toy, **arguments) -> JointColumns:
    return JointColumns(toy.read, toy.task, toy.probes(), **arguments)


def all_values(toy: Toy) -> np.ndarray:
    return np.concatenate([toy.blocks[site] for site in sorted(toy.blocks)], axis=1)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("depth", [1, 2])
def test_it_ranks_by_the_weights_of_a_plain_ridge_model(class_weight, depth):
    toy = make(class_weight=class_weight, shares=(0.6, 0.25, 0.15))
    columns = columns_of(toy)
    found = rank_columns(columns, [depth])[depth]
    task, learned = toy.task, np.sort(toy.task.learned)
    Z = StandardScaler().fit(
        all_values(toy)[learned], sample_weight=task.weights(learned)
    )
    read = np.flatnonzero(columns.layer <= depth)
    plain = np.asarray(Z.transform(all_values(toy)))
    fits = [*(fold.fit for fold in columns.folds), learned]
    for number, (fit, order) in enumerate(
        zip(fits, (*found.by_fold, found.final), strict=True)
    ):
        trust = columns.trust_of(np.arange(len(columns.layer)), number)
        Z = (plain * trust)[:, read]
        weight = task.weights(fit)
        mean = weight @ Z[fit] / weight.sum()
        alpha = weight @ ((Z[fit] - mean) ** 2).sum(axis=1) / weight.sum()
        model = Ridge(alpha=ranking.RANKING_RIDGE * alpha)
        model.fit(Z[fit], np.eye(3)[task.codes[fit]], sample_weight=weight)
        expected = read[descending_order(importance(model.coef_))]
        assert order[:12].tolist() == expected[:12].tolist()
        assert sorted(order) == sorted(expected)


def test_columns_are_numbered_in_computing_order(toy):
    columns = columns_of(toy)
    assert columns.sites == sorted(toy.blocks)
    site = columns.sites[3]
    assert columns.at(34) == Feature(site.site, site.pooling, 4)
    some = np.array([0, 9, 10, 34, 49])
    np.testing.assert_array_equal(columns.values(some), all_values(toy)[:, some])


def test_equal_texts_are_in_one_fold_and_each_row_is_held_once():
    toy = make()
    twice = {
        site: np.repeat(X[: len(X) // 2], 2, axis=0) for site, X in toy.blocks.items()
    }
    codes = np.repeat(toy.task.codes[: len(toy.task.codes) // 2], 2)
    toy = toy._replace(blocks=twice, task=toy.task._replace(codes=codes))
    folds = columns_of(toy).folds
    held = np.concatenate([fold.held for fold in folds])
    assert sorted(held) == sorted(toy.task.learned)
    for fold in folds:
        assert not set(fold.fit // 2) & set(fold.held // 2)


def test_many_rows_are_judged_by_validation_alone(toy, monkeypatch):
    monkeypatch.setattr("stc_core.selection.folds.MOST_CROSS_FITTED", 100)
    (fold,) = columns_of(toy).folds
    np.testing.assert_array_equal(fold.fit, toy.task.train)
    np.testing.assert_array_equal(fold.held, toy.task.validation)


def test_a_row_of_a_class_that_a_fold_does_not_know_judges_nothing(toy):
    codes = toy.task.codes.copy()
    alone = toy.task.learned[0]
    codes[alone] = 3
    task = toy.task._replace(codes=codes, classes=(*toy.task.classes, "rare"))
    columns = JointColumns(toy.read, task, toy.probes())
    held = np.concatenate([fold.held for fold in columns.folds])
    assert set(task.learned) - set(held) == {alone}


@pytest.mark.parametrize("eta", [0.2, 0.9])
def test_a_given_share_is_taken_of_each_layer_and_judged_by_validation(toy, eta):
    probes, columns = toy.probes(), columns_of(toy, eta=eta)
    for layer in range(3):
        group = [p for p in probes if p.pooled_site.site.layer == layer]
        group.sort(key=lambda probe: probe.pooled_site)
        scores = np.concatenate([importance(p.path.coef[p.best]) for p in group])
        own = columns.counts[columns.layer == layer]
        np.testing.assert_array_equal(
            np.flatnonzero(own), np.sort(keep_mass(scores, eta))
        )
    ranked = rank_columns(columns, [2])[2].final
    assert set(ranked) <= set(np.flatnonzero(columns.counts))
    (fold,) = columns.folds
    assert isinstance(fold, Fold)
    np.testing.assert_array_equal(fold.held, toy.task.validation)


def test_the_best_site_is_trusted_in_full_and_no_other_more(toy):
    columns = columns_of(toy)
    best = columns.sites.index(PooledSite.parse(NAMES[3]))
    assert columns.trust.shape == (6, 5)
    assert (columns.trust[:, best] == 1).all()
    others = np.delete(columns.trust, best, axis=1)
    assert others.max() < 0.2 and others.min() >= 0.05**2 - 1e-6


def test_no_fold_knows_the_labels_of_its_held_rows(toy):
    """Other labels there leave its trust and its ranking as they are."""
    columns = columns_of(toy)
    before = rank_columns(columns, [2])[2].by_fold[0]
    codes = toy.task.codes.copy()
    held = columns.folds[0].held
    codes[held] = np.random.default_rng(0).permutation(codes[held])
    other = JointColumns(toy.read, toy.task._replace(codes=codes), toy.probes())
    other.folds = columns.folds  # which are made in proportion to the classes
    fits = [*(fold.fit for fold in columns.folds), toy.task.learned]
    other.trust = ranking._trust(toy.read, other.task, other.sites, fits)
    np.testing.assert_array_equal(other.trust[0], columns.trust[0])
    assert (other.trust[1:] != columns.trust[1:]).any()
    np.testing.assert_array_equal(rank_columns(other, [2])[2].by_fold[0], before)


def test_without_a_label_to_know_the_held_rows_know_none():
    """Trust in the best of many sites would know the labels that it was measured on."""
    leads = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        sites = [PooledSite.parse(f"mlp.{layer}.mean") for layer in range(1, 25)]
        blocks = {
            site: rng.standard_normal((80, 30)).astype(np.float32) for site in sites
        }
        task = toy_task(rng.integers(0, 2, 80))
        flat = [Salience(site, np.ones(30), 0.5) for site in sites]
        found = fit_stc(blocks.__getitem__, task, flat, budget=64)
        guess = found.held_logits.argmax(axis=1)
        leads.append(np.mean(guess == task.codes[found.held]) - 0.5)
    assert np.mean(leads) < 0.08  # .16 and more with the trust of all rows


def toy_task(codes: np.ndarray) -> Task:
    n = len(codes)
    rows = np.arange(n)
    return Task(codes, ("a", "b"), rows[: n - 12], rows[n - 12 :])


@pytest.mark.parametrize("kind", ["one row", "copies of one text"])
def test_a_class_that_is_in_one_fold_alone_is_no_fault(kind):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 20)).astype(np.float32)
    codes = np.zeros(30, int)
    codes[: 1 if kind == "one row" else 6] = 1
    X[codes == 1] = X[0] + 3
    site = PooledSite.parse("mlp.1.mean")
    flat = [Salience(site, np.ones(20), 0.5)]
    found = fit_stc(lambda _: X.copy(), toy_task(codes), flat)
    assert len(found.head.features) and np.isfinite(found.held_logits).all()
    guess = found.head.logits(
        X[:, [feature.index for feature in found.head.features]]
    ).argmax(axis=1)
    assert np.mean(guess == codes) > 0.9


def test_alternating_classes_are_sampled_alike(monkeypatch):
    """Every second row of a table of pairs would be of one class."""
    monkeypatch.setattr(ranking, "MOST_RANKED", 50)
    monkeypatch.setattr(ranking, "MOST_TRUSTING", 50)
    rng = np.random.default_rng(0)
    codes = np.arange(100) % 2
    X = rng.standard_normal((100, 40)).astype(np.float32)
    X[:, 7] += 3 * codes
    site = PooledSite.parse("mlp.1.mean")
    flat = [Salience(site, np.ones(40), 0.5)]
    columns = JointColumns(lambda _: X.copy(), toy_task(codes), flat)
    assert rank_columns(columns, [1])[1].final[0] == 7


def test_sites_no_better_than_chance_are_trusted_alike():
    """Nor by a last bit: one such site would be trusted alone."""
    toy = make()
    blocks = {site: np.zeros_like(X) for site, X in toy.blocks.items()}
    columns = JointColumns(blocks.__getitem__, toy.task, toy.probes())
    assert (columns.trust == 1).all()


def test_where_one_class_is_frequent_no_site_is_trusted_alone():
    """Nine in ten rows are of one class: accuracies would hardly differ."""
    toy = make(2, strength=2.0, shares=(0.9, 0.1))
    blocks = dict(toy.blocks)
    telling, other = (PooledSite.parse(name) for name in (NAMES[3], NAMES[4]))
    noise = np.random.default_rng(1).standard_normal(blocks[telling].shape)
    blocks[other] = blocks[telling] + (0.3 * noise * blocks[telling].std(0)).astype("f")
    columns = JointColumns(blocks.__getitem__, toy.task, toy.probes())
    assert columns.trust[-1, columns.sites.index(other)] > 0.5


def test_at_most_so_many_rank_and_a_budget_raises_it(toy, monkeypatch):
    monkeypatch.setattr(ranking, "MOST_KEPT", (6, 6))
    columns = columns_of(toy)
    found = rank_columns(columns, [1, 2])
    assert len(found[2].final) == 6 and len(found[1].final) == 3
    wide = columns_of(toy, budget=20)
    assert len(rank_columns(wide, [2])[2].final) == 20


def test_many_rows_are_ranked_on_a_part(toy, monkeypatch):
    monkeypatch.setattr(ranking, "MOST_RANKED", 150)
    found = rank_columns(columns_of(toy), [2])[2]
    best = set(map(columns_of(toy).at, found.final[:3].tolist()))
    assert best == set(toy.telling)


def test_columns_that_do_not_vary_do_not_rank(toy):
    blocks = {site: X.copy() for site, X in toy.blocks.items()}
    site = PooledSite.parse(NAMES[2])
    blocks[site][:] = 7.0
    columns = JointColumns(blocks.__getitem__, toy.task, toy.probes())
    kept = rank_columns(columns, [2])[2].final
    assert all(columns.sites[number // 10] != site for number in kept)


def test_a_depth_where_nothing_varies_ranks_nothing(toy):
    """As the first token of an encoder before its first block."""
    blocks = dict(toy.blocks)
    blocks[PooledSite.parse(NAMES[0])] = np.zeros_like(
        blocks[PooledSite.parse(NAMES[0])]
    )
    columns = JointColumns(blocks.__getitem__, toy.task, toy.probes())
    found = rank_columns(columns, [0, 2])
    assert len(found[0].final) == 0 and len(found[2].final) == 40
    fitted = fit_stc(blocks.__getitem__, toy.task, toy.probes())
    assert {option.layer for option in fitted.options} == {1, 2}


def test_more_classes_have_more_neurons():
    assert most_kept(2) == most_kept(16) == 4096
    assert most_kept(32) == most_kept(200) == 8192


def test_only_the_neurons_of_a_probe_count_by_their_number(toy):
    """The weights of the probes say nothing, unless a share of them is asked for."""
    flat = [Salience(site, np.ones(10), 0.4) for site in toy.blocks]
    one, two = columns_of(toy), JointColumns(toy.read, toy.task, flat)
    np.testing.assert_array_equal(
        rank_columns(one, [2])[2].final, rank_columns(two, [2])[2].final
    )
