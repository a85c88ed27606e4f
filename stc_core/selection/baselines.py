"""Baselines to compare with: the same rows and the same head, without selection."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from stc_core.data.task import Read, Task
from stc_core.metrics.intervals import accuracy_interval, macro_f1_interval
from stc_core.metrics.paired import lead_intervals
from stc_core.metrics.scores import accuracy, macro_f1
from stc_core.probes.fit import ProbeResult
from stc_core.selection.dense_baselines import all_sites_guess, site_guess
from stc_core.selection.guess import Guess
from stc_core.selection.word_baseline import word_guess


def baselines_of(
    read: Read,
    texts: Sequence[str],
    task: Task,
    test: Int[np.ndarray, " n_test"],
    probes: Sequence[ProbeResult],
    *,
    seed: int = 0,
) -> dict[str, Callable[[], Guess]]:
    """Five baselines by name, each fitted when it is called.

    majority: the most frequent class. tfidf: words, pairs and parts of words, logistic
    regression. last_layer: the best pooling of the last residual site read. best_site:
    the best pooled site of all. all_sites: every pooled site, no selection.

    All choices are made by the score of the task's goal. The baselines on activations
    have the poolings, the standardisation, the ridge path, the held rows and the refit
    of the `stc` head, and on one site also logistic regression: see `dense_baselines`.
    The words are chosen on validation.
    """
    residual = [p for p in probes if p.pooled_site.site.kind == "resid"] or list(probes)
    deepest = max(p.pooled_site.site.layer for p in residual)
    last = [p for p in residual if p.pooled_site.site.layer == deepest]
    leaders = _leaders(probes)

    def best_of(some: Sequence[ProbeResult]) -> Guess:
        return site_guess(read, task, test, [probe.pooled_site for probe in some])

    def last_layer() -> Guess:
        guess = best_of(last)
        return guess._replace(detail=f"layer {deepest}: {guess.detail}", layer=deepest)

    return {
        "majority": lambda: _majority(task, test),
        "tfidf": lambda: word_guess(texts, task, test),
        "last_layer": last_layer,
        "best_site": lambda: best_of(leaders),
        "all_sites": lambda: all_sites_guess(read, task, test, probes, seed=seed),
    }


def score_baseline(
    y: Int[np.ndarray, " n"],
    guess: Guess,
    *,
    ours: Int[np.ndarray, " n"] | None = None,
    n_class: int | None = None,
) -> dict[str, Any]:
    """Accuracy and macro-F1 with 95 % intervals, and the baseline's details.

    `n_class` is the number of classes, of which some may have no row in y. If macro-F1
    has no interval, it is None, and `macro_f1_reason` says why. `ours` holds the
    classes that the classifier gives to the same texts. With them the result also has
    the intervals of the classifier's lead on the same texts (`lead_intervals`).
    """
    details: dict[str, Any] = {"detail": guess.detail}
    if ours is not None:
        details |= lead_intervals(y, guess.codes, ours, n_class=n_class)
    if guess.layer is not None:
        details |= {"layer": guess.layer}
    right = accuracy(y, guess.codes)
    of_f1 = macro_f1_interval(y, guess.codes, n_class=n_class)
    if of_f1.reason:
        details["macro_f1_reason"] = of_f1.reason
    return {
        "accuracy": right,
        "accuracy_interval": accuracy_interval(right, len(y)),
        "macro_f1": macro_f1(y, guess.codes),
        "macro_f1_interval": of_f1.bounds,
        **details,
    }


def _majority(task: Task, test: np.ndarray) -> Guess:
    common = int(np.bincount(task.codes[task.learned]).argmax())
    return Guess(np.full(len(test), common), task.classes[common])


def _leaders(probes: Sequence[ProbeResult], n: int = 5) -> list[ProbeResult]:
    """The probes of the `n` best pooled sites; the ridge head decides among them."""

    def score(probe: ProbeResult) -> float:
        return -probe.val_score[probe.best]

    return sorted(probes, key=score)[:n]
