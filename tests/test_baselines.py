"""What a classifier is compared with, each against an oracle of its own."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from toy import SITES, Toy, make, only

from stc_core.baselines import Guess, fit_baselines, scored
from stc_core.metrics import accuracy, macro_f1

WORDS = ("parcel late", "refund card", "login password")
FILLER = "the a my was not is again today please why".split()


def texts_of(toy: Toy) -> list[str]:
    """Each text has the words of its class among others."""
    rng = np.random.default_rng(0)
    return [
        " ".join([*rng.choice(FILLER, 4), WORDS[code], *rng.choice(FILLER, 3)])
        for code in toy.task.codes
    ]


def run(toy: Toy, texts: list[str] | None = None, **arguments) -> dict[str, Guess]:
    texts = texts or texts_of(toy)
    probes = toy.probes()
    return fit_baselines(toy.read, texts, toy.task, toy.test, probes, **arguments)


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make(shares=(0.3, 0.5, 0.2))


@pytest.fixture(scope="module")
def guesses(toy: Toy) -> dict[str, Guess]:
    return run(toy)


def right(toy: Toy, guess: Guess) -> float:
    return accuracy(toy.task.codes[toy.test], guess.codes)


def test_all_five_are_there_in_order(toy, guesses):
    names = ["majority", "tfidf", "last_layer", "best_site", "all_sites"]
    assert list(guesses) == names
    assert all(guess.codes.shape == toy.test.shape for guess in guesses.values())


def test_majority_is_the_most_frequent_label_that_was_learned(toy, guesses):
    learned = np.bincount(toy.task.codes[toy.task.learned])
    assert set(guesses["majority"].codes) == {int(learned.argmax())}
    assert guesses["majority"].detail == toy.task.classes[learned.argmax()]


def test_tfidf_reads_words(toy, guesses):
    assert right(toy, guesses["tfidf"]) == 1
    shuffled = list(np.random.default_rng(1).permutation(texts_of(toy)))
    assert right(toy, run(toy, shuffled)["tfidf"]) < 0.75


def test_the_best_site_is_the_telling_one(toy, guesses):
    assert guesses["best_site"].detail.startswith("mlp.2.max")
    assert right(toy, guesses["best_site"]) > 0.75


def test_the_last_layer_is_the_last_residual_alone(toy, guesses):
    """All other features can be anything."""
    assert guesses["last_layer"].detail.startswith("resid.2.mean")
    last = SITES[4]
    rng = np.random.default_rng(0)
    noise = {
        site: X if site == last else rng.standard_normal(X.shape).astype(np.float32)
        for site, X in toy.blocks.items()
    }
    again = run(toy._replace(blocks=noise))["last_layer"]
    np.testing.assert_array_equal(again.codes, guesses["last_layer"].codes)


def test_without_a_residual_the_last_layer_is_the_last_there_is(toy):
    guess = run(only(toy, "mlp.1.max", "mlp.2.max"))["last_layer"]
    assert guess.detail.startswith("mlp.2.max")


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_all_sites_is_ridge_on_all_columns_joined(class_weight, strength):
    """The dual form, by products of sites, equals the primal one."""
    shares = (0.5, 0.3, 0.2)
    toy = make(strength=strength, class_weight=class_weight, shares=shares)
    guess = run(toy)["all_sites"]
    ridge = float(guess.detail.rpartition(" ")[2])
    X = np.concatenate(list(toy.blocks.values()), axis=1)
    rows = toy.task.learned
    y = toy.task.codes[rows]
    weight = compute_sample_weight(class_weight, y)
    scaler = StandardScaler().fit(X[rows], sample_weight=weight)
    Z = np.asarray(scaler.transform(X))
    # An unweighted row's mean squared norm scales the penalty.
    alpha = ridge * (Z[rows] ** 2).sum() / len(rows)
    prior = weight @ np.eye(3)[y] / weight.sum()
    oracle = Ridge(alpha=alpha, fit_intercept=False)
    oracle.fit(Z[rows], np.eye(3)[y] - prior, sample_weight=weight)
    expected = (oracle.predict(Z[toy.test]) + prior).argmax(axis=1)
    np.testing.assert_array_equal(guess.codes, expected)
    assert f"{X.shape[1]} features" in guess.detail


def test_with_many_rows_all_sites_learns_from_some_of_them(toy, monkeypatch):
    monkeypatch.setattr("stc_core.baselines.MOST_ROWS", 100)
    guess = run(toy, seed=3)["all_sites"]
    assert "fitted on 100 rows" in guess.detail
    assert right(toy, guess) > right(toy, run(toy)["majority"])
    np.testing.assert_array_equal(guess.codes, run(toy, seed=3)["all_sites"].codes)


def test_test_labels_change_no_guess(toy, guesses):
    codes = toy.task.codes.copy()
    codes[toy.test] = (codes[toy.test] + 1) % 3
    other = toy._replace(task=toy.task._replace(codes=codes))
    for name, guess in run(other, texts_of(toy)).items():
        np.testing.assert_array_equal(guess.codes, guesses[name].codes)
        assert guess.detail == guesses[name].detail


def test_scores_and_their_intervals(toy, guesses):
    y = toy.task.codes[toy.test]
    for guess in guesses.values():
        row = scored(y, guess)
        assert row["accuracy"] == accuracy(y, guess.codes)
        assert row["macro_f1"] == macro_f1(y, guess.codes)
        for metric in ("accuracy", "macro_f1"):
            low, high = row[f"{metric}_interval"]
            assert low <= row[metric] <= high
        assert row["detail"] == guess.detail


def test_progress_counts_the_five(toy):
    seen: list[tuple[int, int]] = []
    run(toy, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 5) for i in range(1, 6)]
