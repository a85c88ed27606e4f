"""SparseProbe in scikit-learn's manner, and probes over sites in threads."""

import threading
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_info

from helpers.hard_inputs import HARD
from helpers.problems import SITES, blocks
from stc_core.errors import StcError
from stc_core.probes.fit import fit_probes
from stc_core.probes.sparse_probe import SparseProbe
from stc_core.types import PooledSite


@parametrize_with_checks([SparseProbe(), SparseProbe("group")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learn_accepts_it(estimator, check) -> None:
    check(estimator)


def make(K: int, n: int = 200, d: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(K)
    X = rng.standard_normal((n, d)) * rng.uniform(0.1, 10, d) + 3
    Z = (X - 3) / X.std(axis=0)
    return X, (1.5 * Z[:, :K] + rng.gumbel(size=(n, K))).argmax(axis=1)


@pytest.mark.parametrize("K", [2, 4])
def test_probabilities_equal_saga_on_standardised_features(K: int) -> None:
    X, y = make(K)
    Z = StandardScaler().fit_transform(X)
    saga = LogisticRegression(
        C=0.3, l1_ratio=1, solver="saga", tol=1e-9, max_iter=20_000
    ).fit(Z, y)
    ours = SparseProbe(C=0.3, tol=1e-7).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), saga.predict_proba(Z), atol=1e-5)
    assert ours.coef_.shape == saga.coef_.shape


def test_stopping_early_is_said() -> None:
    X, y = make(4)
    with pytest.warns(ConvergenceWarning, match="Raise max_iter"):
        probe = SparseProbe(C=100, max_iter=1).fit(X, y)
    assert probe.kkt_ > probe.tol and probe.dual_gap_ > 0


def test_probes_come_in_order_and_do_not_depend_on_threads() -> None:
    features, y = blocks()
    rows = np.random.default_rng(1).permutation(180)
    seen: list[tuple[int, int]] = []
    calls = {
        threads: fit_probes(
            features.__getitem__,
            y,
            rows[:120],
            rows[120:],
            pooled_sites=SITES,
            threads=threads,
            progress=lambda done, total: seen.append((done, total)),
        )
        for threads in (1, 3)
    }
    assert [r.pooled_site for r in calls[3]] == SITES
    assert seen[:6] == [(i, 6) for i in range(1, 7)]
    for one, three in zip(calls[1], calls[3], strict=True):
        np.testing.assert_array_equal(one.path.coef, three.path.coef)
        assert one.best == three.best
    best = [r.val_accuracy[r.best] for r in calls[1]]
    assert best[4] > best[0] + 0.2  # layer 2 knows the labels, layer 0 does not


def test_each_result_is_told_as_soon_as_it_is_there() -> None:
    features, y = blocks()
    rows, told = np.arange(180), []
    fitted = fit_probes(
        features.__getitem__,
        y,
        rows[:120],
        rows[120:],
        pooled_sites=SITES,
        threads=1,
        progress=lambda done, total: told.append(done),
        on_result=lambda probe: told.append(probe.pooled_site),
    )
    sites = [probe.pooled_site for probe in fitted]
    assert told[1::2] == sites and told[::2] == list(range(1, 7))


def test_scores_are_those_of_the_stored_probe() -> None:
    features, y = blocks()
    rows = np.random.default_rng(1).permutation(180)
    (result,) = fit_probes(
        features.__getitem__, y, rows[:120], rows[120:], pooled_sites=SITES[-1:]
    )
    X = features[SITES[-1]].astype(np.float64)
    path, i = result.path, result.best
    logits = (X - path.mean) / path.sd @ path.coef[i].T + path.intercept[i]
    guess = np.array(["no", "so", "yes"])[logits.argmax(axis=1)]
    right = (guess == y)[rows[120:]].mean()
    assert right == pytest.approx(result.val_accuracy[i])


def test_blas_is_left_as_it_was_and_one_thread_meanwhile() -> None:
    features, y = blocks()
    rows = np.arange(180)
    during: list[int] = []

    def read(site: PooledSite) -> np.ndarray:
        during.extend(
            p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"
        )
        return features[site]

    before, threads = threadpool_info(), set(threading.enumerate())
    fit_probes(read, y, rows, rows, pooled_sites=SITES[:2], threads=2)
    assert set(during) <= {1}
    assert threadpool_info() == before
    for thread in set(threading.enumerate()) - threads:
        thread.join(60)  # a pool lets its workers end by themselves
        assert not thread.is_alive()


def test_an_error_in_one_site_ends_the_rest() -> None:
    features, y = blocks()

    def read(site: PooledSite) -> np.ndarray:
        if site == SITES[1]:
            raise StcError("resid.0.mean", expected="a readable file")
        return features[site]

    rows = np.arange(180)
    with pytest.raises(StcError, match="readable"):
        fit_probes(read, y, rows, rows, pooled_sites=SITES)


@pytest.mark.parametrize("C", [0.1, 100.0])
@pytest.mark.parametrize("hard", HARD)
def test_on_hard_inputs_it_converges_or_says_how_far_it_is(hard: str, C: float) -> None:
    X, y = HARD[hard]()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        probe = SparseProbe(C=C, tol=1e-2, max_iter=30).fit(X, y)
    assert {one.category for one in said} <= {ConvergenceWarning}
    assert bool(said) == (probe.kkt_ > probe.tol)
    assert C > 1 or not said
    P = probe.predict_proba(X)
    assert np.isfinite(P).all() and np.allclose(P.sum(axis=1), 1)
