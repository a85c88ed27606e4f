"""What a classifier is compared with, each against an oracle of its own."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from helpers.metrics import whole_metrics
from helpers.toy_features import SITES, Toy, make, only
from stc_core.config import DataConfig, RunConfig
from stc_core.data.goal import Goal
from stc_core.data.task import Task
from stc_core.heads.least_squares import RIDGES
from stc_core.metrics.criteria import CRITERIA
from stc_core.metrics.scores import accuracy, macro_f1
from stc_core.recipes import comparisons
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.selection import baselines, dense_baselines, word_baseline
from stc_core.selection.baselines import baselines_of, score_baseline
from stc_core.selection.guess import Guess
from stc_core.types import PooledSite

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
    jobs = baselines_of(toy.read, texts, toy.task, toy.test, toy.probes(), **arguments)
    return {name: job() for name, job in jobs.items()}


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
    assert guesses["last_layer"].detail.startswith("layer 2: resid.2.mean")
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
    assert guess.detail.startswith("layer 2: mlp.2.max") and guess.layer == 2


def test_the_last_layer_that_was_read_says_which_it_is(toy):
    found = run(only(toy, "resid.0.mean", "mlp.1.max", "resid.1.mean"))
    assert found["last_layer"].detail.startswith("layer 1: resid.1.mean")
    row = score_baseline(toy.task.codes[toy.test], found["last_layer"])
    assert row["layer"] == 1
    assert "layer" not in score_baseline(toy.task.codes[toy.test], found["all_sites"])


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
    monkeypatch.setattr("stc_core.selection.dense_baselines.MOST_DENSE_ROWS", 100)
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
        row = score_baseline(y, guess)
        assert row["accuracy"] == accuracy(y, guess.codes)
        assert row["macro_f1"] == macro_f1(y, guess.codes)
        for metric in ("accuracy", "macro_f1"):
            low, high = row[f"{metric}_interval"]
            assert low <= row[metric] <= high
        assert row["detail"] == guess.detail


def test_each_table_of_words_is_made_once(toy, monkeypatch):
    """Not once for every C: that is most of the time on long texts."""
    made = []
    vectorizer = word_baseline._vectorizer
    monkeypatch.setattr(
        word_baseline, "_vectorizer", lambda name: made.append(name) or vectorizer(name)
    )
    baselines_of(toy.read, texts_of(toy), toy.task, toy.test, toy.probes())["tfidf"]()
    assert made[:2] == [word_baseline.WORDS, word_baseline.PARTS]
    assert len(made) == 3  # the winner again, on train and validation


def test_parts_of_words_help_where_words_are_never_the_same(toy):
    """Each text has its class as the beginning of a word of its own."""
    rng = np.random.default_rng(0)
    stems = ("refund", "parcel", "login")
    texts = [
        f"my {stems[code]}{''.join(rng.choice(list('abcdefgh'), 6))} please"
        for code in toy.task.codes
    ]
    guess = run(toy, texts)["tfidf"]
    assert guess.detail.startswith(word_baseline.PARTS)
    assert right(toy, guess) > 0.95


def test_of_very_long_texts_only_words_are_read(toy, monkeypatch):
    monkeypatch.setattr(word_baseline, "LONG_TEXTS", 100)
    guess = run(toy)["tfidf"]
    assert guess.detail.startswith(f"{word_baseline.WORDS}, C")
    assert right(toy, guess) == 1


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_a_logistic_head_wins_where_it_is_better(class_weight, monkeypatch):
    """The guess is that of scikit-learn's model on the same standardised columns."""
    toy = only(make(class_weight=class_weight, shares=(0.5, 0.3, 0.2)), "mlp.2.max")
    ridges = dense_baselines._ridge_choices
    monkeypatch.setattr(
        dense_baselines,
        "_ridge_choices",
        lambda *given: (choice._replace(score=0.0) for choice in ridges(*given)),
    )
    guess = run(toy)["best_site"]
    found = re.fullmatch(r"(\S+), logistic regression C (\S+)", guess.detail)
    assert found, guess.detail
    site, C = found.groups()
    X, rows = toy.read(PooledSite.parse(site)), toy.task.learned
    weight = compute_sample_weight(class_weight, toy.task.codes[rows])
    scaler = StandardScaler().fit(X[rows], sample_weight=weight)
    seen = np.clip(X, X[rows].min(axis=0), X[rows].max(axis=0))
    Z = np.asarray(scaler.transform(seen))
    oracle = LogisticRegression(
        C=float(C), class_weight=class_weight, tol=1e-6, max_iter=5000
    ).fit(Z[rows], toy.task.codes[rows])
    same = np.mean(guess.codes == oracle.predict(Z[toy.test]))
    assert same > 0.99  # it stops earlier


def test_logistic_heads_end_when_a_weaker_penalty_does_not_help(toy, monkeypatch):
    tried = []
    monkeypatch.setattr(Task, "score", lambda *given: 0.5)
    fitted = dense_baselines.fit_logistic

    def watched(model, *given):
        tried.append(model.C)
        return fitted(model, *given)

    monkeypatch.setattr(dense_baselines, "fit_logistic", watched)
    dense_baselines.site_guess(toy.read, toy.task, toy.test, [SITES[3]])
    assert list(dict.fromkeys(tried)) == list(dense_baselines.LOGISTIC_CS[:3])


def test_each_site_is_read_once_for_all_ridges(toy):
    """For the choice, and again for the refit."""
    seen: list[PooledSite] = []

    def read(pooled_site: PooledSite) -> np.ndarray:
        seen.append(pooled_site)
        return toy.read(pooled_site)

    jobs = baselines_of(read, texts_of(toy), toy.task, toy.test, toy.probes())
    assert not seen
    jobs["all_sites"]()
    assert seen == list(SITES) * 2


@pytest.mark.parametrize("criterion", CRITERIA)
def test_choices_are_made_by_the_score_of_the_goal(criterion, monkeypatch):
    """By it every C is chosen, and every ridge of a site and of all sites."""
    toy = make(shares=(0.8, 0.1, 0.1))
    task = toy.task._replace(goal=Goal(criterion, "tempered"))
    toy = toy._replace(task=task)
    asked, score = [], Task.score

    def watched(self, rows, scores):
        asked.append(self.goal.criterion)
        return score(self, rows, scores)

    jobs = baselines_of(toy.read, texts_of(toy), toy.task, toy.test, toy.probes())
    monkeypatch.setattr(Task, "score", watched)
    monkeypatch.setattr(dense_baselines, "LOGISTIC_CS", (0.01, 0.1))
    for job in jobs.values():
        job()
    n_sites = 1 + len(SITES) + 1  # the last one, the leaders, all together
    n_words, n_logistic = 2 * len(word_baseline.TFIDF_CS), 2 * 2
    assert asked == [criterion] * (n_words + n_logistic + len(RIDGES) * n_sites)


def test_the_leaders_have_the_best_score_of_the_goal(toy):
    probes = toy.probes()
    turned = [
        p._replace(val_score=np.full_like(p.val_score, i)) for i, p in enumerate(probes)
    ]
    assert baselines._leaders(turned, n=1)[0].pooled_site == probes[-1].pooled_site
    assert baselines._leaders(probes, n=1)[0].pooled_site == SITES[3]


def baselines_added(folder: Path, jobs) -> tuple[Run, list[Any]]:
    """A run that these baselines joined, and metrics.json when each was called."""
    config = RunConfig(data=DataConfig(path="none.csv"))
    seen: list[Any] = []

    def watched(job):
        def call() -> Guess:
            seen.append(Run(folder).metrics)
            return job()

        return call

    with RunWriter(folder, config) as writer:
        writer.phase("report")
        comparisons.add_baselines(
            writer,
            whole_metrics(test={"accuracy": 0.5}),
            {name: watched(job) for name, job in jobs.items()},
            np.array([0, 1, 1, 1]),
        )
        return writer.finish(), seen


def good() -> Guess:
    return Guess(np.array([0, 1, 1, 0]), "three of four")


def raising(error: BaseException):
    def job() -> Guess:
        raise error

    return job


def test_our_scores_are_written_before_any_baseline_is_fitted(tmp_path):
    run, seen = baselines_added(tmp_path, {"majority": good, "tfidf": good})
    assert [list(metrics["baselines"]) for metrics in seen] == [[], ["majority"]]
    assert all(metrics["test"]["accuracy"] == 0.5 for metrics in seen)
    assert run.done and run.metrics["baselines"].keys() == {"majority", "tfidf"}
    assert run.metrics["baselines"]["tfidf"]["accuracy"] == 0.75
    assert run.metrics["missing"] == {}


def test_a_baseline_that_fails_is_noted_and_the_run_is_done(tmp_path):
    jobs = {"tfidf": raising(MemoryError("no room")), "all_sites": good}
    run, _ = baselines_added(tmp_path, jobs)
    assert run.done and list(run.metrics["baselines"]) == ["all_sites"]
    assert run.metrics["missing"] == {"tfidf": "MemoryError: no room"}
    assert "Baseline tfidf failed: MemoryError: no room" in run.log_tail()


def test_a_baseline_that_is_interrupted_leaves_the_run_done(tmp_path):
    jobs = {"a": good, "b": raising(KeyboardInterrupt()), "c": good}
    run, _ = baselines_added(tmp_path, jobs)
    assert run.done and list(run.metrics["baselines"]) == ["a"]
    assert list(run.metrics["missing"]) == ["b", "c"]
    assert "without the baselines b, c" in run.log_tail()


def test_the_lead_is_that_on_the_same_texts():
    y = np.array([0, 1] * 50)
    guess = Guess(np.where(np.arange(100) < 60, y, 1 - y), "")
    ours = np.where(np.arange(100) < 80, y, 1 - y)
    found = score_baseline(y, guess, ours=ours)
    low, high = found["lead_interval"]
    assert low < 0.2 < high
    assert 0.1 < low and high < 0.3  # narrower than of two samples: .05 to .35
    assert "lead_interval" not in score_baseline(y, guess)


def test_a_score_without_an_interval_says_why():
    y = np.array([0, 1] * 20 + [2])
    found = score_baseline(y, Guess(y, ""), n_class=3)
    assert found["macro_f1_interval"] is None
    assert found["macro_f1_reason"] == "1 of 3 classes has fewer than 4 texts"
    assert found["accuracy_interval"][1] == 1.0
    assert "macro_f1_reason" not in score_baseline(y[:40], Guess(y[:40], ""))
