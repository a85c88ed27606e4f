"""Do words help the chosen neurons? If so, the classifier reads both.

The rows that judge are those that judged the neurons, in the same folds: each fold
ranks its neurons and its words without its held rows.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stc_core.data.task import Task
from stc_core.heads.least_squares import near_ridges
from stc_core.heads.parallel import in_threads
from stc_core.metrics.resampling import resample_scores
from stc_core.metrics.scores import fit_temperature, last_best
from stc_core.selection.folds import Fold, stratified_order
from stc_core.selection.frontier import Option
from stc_core.selection.search import DepthSearch
from stc_core.selection.stc import NO_ROWS, Fitted, WordChoice
from stc_core.selection.words.candidates import (
    Candidates,
    find_candidates,
    inverse_frequency,
)
from stc_core.selection.words.joint import (
    JointHead,
    NeuronValues,
    fit_joint_head,
    joint_scores,
    neuron_products,
    ranked_words,
    tf_idf,
    word_products,
)
from stc_core.types import Feature, WordUse

WORD_SHARES = (0.1, 0.3, 1.0)
MOST_JOINT_ROWS = 6000
"""Words are ranked and judged by models of at most so many rows."""
CLEAR = 1.0
"""Words must gain more than so many standard errors of the paired difference."""


class _Part(NamedTuple):
    """The columns of the words of a fold, and what each is multiplied by."""

    columns: Int[np.ndarray, " n_words"]
    scale: Float[np.ndarray, " n_words"]  # for a share of 1


def add_words(
    search: DepthSearch,
    option: Option,
    fitted: Fitted,
    texts: Sequence[str],
    *,
    how: WordUse,
) -> Fitted:
    """`fitted`, the classifier of `option`, with words if `how` says so.

    `texts` are those of all rows of the task. The neurons stay; their weights are
    fitted again together with those of the words.
    """
    if how == "off":
        return fitted
    task = search.task
    candidates = find_candidates(texts, task.learned)
    if candidates is None:
        return fitted
    ridges = near_ridges(option.ridge)
    scores, parts = _held_scores(search, option, candidates, ridges)
    choice = _choice(task, fitted, scores, ridges)
    found = fitted._replace(word_choice=choice)
    if how == "auto" and choice.gain <= CLEAR * choice.error:
        return found
    return _with_words(search, option, found, candidates, parts)


def _held_scores(
    search: DepthSearch,
    option: Option,
    candidates: Candidates,
    ridges: Sequence[float],
) -> tuple[Float[np.ndarray, "n_shares n_ridges n_held n_class"], list[_Part]]:
    """The scores of the held rows by joint models, and the words of each fold.

    Last come those of the final model.
    """
    task = search.task
    folds = [*search.columns.folds, Fold(task.learned, NO_ROWS)]

    def judge(number: int) -> tuple[_Part, np.ndarray]:
        place = -1 if number == len(folds) - 1 else number
        fold = folds[number]
        part, tried = _fold_scores(
            _neurons(search, option, place),
            candidates,
            task,
            fold._replace(fit=_some(task, fold.fit)),
            ridges,
        )
        return part, np.stack(list(tried))

    found = in_threads(judge, range(len(folds)))
    scores = np.concatenate([of_fold for _, of_fold in found], axis=2)
    return scores, [part for part, _ in found]


def _some(task: Task, rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " some"]:
    """At most MOST_JOINT_ROWS of these rows, ascending, each class in proportion."""
    if len(rows) <= MOST_JOINT_ROWS:
        return np.sort(rows)
    return np.sort(stratified_order(task.codes, rows, seed=0)[:MOST_JOINT_ROWS])


def _neurons(search: DepthSearch, option: Option, number: int) -> NeuronValues:
    """The neurons of the option by the ranking of a fold; -1: the final one."""
    kept = _kept(search, option, number)
    return NeuronValues(search.raw(kept), search.columns.trust_of(kept, number))


def _kept(search: DepthSearch, option: Option, number: int) -> np.ndarray:
    ranking = (*search.by_fold, search.rank)[number]
    return np.sort(ranking[: option.neurons])


def _fold_scores(
    neurons: NeuronValues,
    candidates: Candidates,
    task: Task,
    fold: Fold,
    ridges: Sequence[float],
) -> tuple[_Part, Iterator[Float[np.ndarray, "n_ridges m n_class"]]]:
    """The words that rank in a fold, and the scores of its held rows by share."""
    own, norm_of_neurons = neuron_products(neurons, task, fold.fit, fold.held)
    fitted = candidates.at(fold.fit)
    frequency = inverse_frequency(fitted)
    every = tf_idf(fitted, frequency)
    columns = np.sort(ranked_words(own, every, task, fold.fit))
    held = tf_idf(candidates.at(fold.held), frequency)
    words, norm = word_products(
        every[:, columns], held[:, columns], task.weights(fold.fit)
    )
    scale = frequency[columns] * (norm_of_neurons / norm) ** 0.5
    tried = joint_scores(own, words, task, fold.fit, shares=WORD_SHARES, ridges=ridges)
    return _Part(columns, scale.astype(np.float32)), tried


def _choice(
    task: Task,
    fitted: Fitted,
    scores: Float[np.ndarray, "n_shares n_ridges n_held n_class"],
    ridges: Sequence[float],
) -> WordChoice:
    """The share and the ridge with the best score on the held rows, and its gain."""
    held = fitted.held
    flat = scores.reshape(-1, *scores.shape[2:])
    best = last_best(np.array([task.score(held, one) for one in flat]))
    share, ridge = divmod(best, len(ridges))
    without = task.score(held, fitted.held_logits)
    gain = task.score(held, flat[best]) - without
    error = _paired_error(task, held, fitted.held_logits, flat[best])
    return WordChoice(WORD_SHARES[share], ridges[ridge], gain, error)


def _paired_error(
    task: Task,
    rows: Int[np.ndarray, " n"],
    before: Float[np.ndarray, "n n_class"],
    after: Float[np.ndarray, "n n_class"],
) -> float:
    """The standard error of the difference of two scores of the same rows.

    For a score other than accuracy and macro-F1 it is that of the accuracy.
    """
    name = "macro_f1" if task.goal.criterion == "macro_f1" else "accuracy"
    guesses = np.stack([before.argmax(axis=1), after.argmax(axis=1)])
    drawn = resample_scores(task.codes[rows], guesses, name).inside
    return float(np.std(drawn[:, 1] - drawn[:, 0], ddof=1))


def _with_words(
    search: DepthSearch,
    option: Option,
    fitted: Fitted,
    candidates: Candidates,
    parts: Sequence[_Part],
) -> Fitted:
    """The classifier on its neurons and on words, with new fold heads."""
    task, choice = search.task, fitted.word_choice
    assert choice is not None

    def fit(number: int, rows: Int[np.ndarray, " k"]) -> tuple[JointHead, np.ndarray]:
        return fit_joint_head(
            _neurons(search, option, number),
            candidates,
            parts[number].columns,
            task,
            _features(search, _kept(search, option, number)),
            rows=rows,
            scale=parts[number].scale * np.float32(choice.share**0.5),
            ridge=choice.ridge,
        )

    judges, held_logits = [], []
    for number, fold in enumerate(search.columns.folds):
        judge, _ = fit(number, fold.fit)
        X = _neurons(search, option, number).X[fold.held]
        values = candidates.at(fold.held)[:, parts[number].columns]
        held_logits.append(judge.head.logits(X) + values @ judge.words.weight.T)
        judges.append(judge)
    held = np.concatenate(held_logits).astype(np.float32)
    temperature = fit_temperature(held, task.codes[search.held])
    judges = [judge.cooled(temperature) for judge in judges]
    final, trust = fit(-1, task.learned)
    final = final.cooled(temperature)
    chosen = {"ridge": choice.ridge, "temperature": temperature}
    return fitted._replace(
        head=final.head,
        words=final.words,
        trust=trust,
        held_logits=held / temperature,
        fold_heads=tuple(judge.head for judge in judges),
        fold_words=tuple(judge.words for judge in judges),
        chosen={**fitted.chosen, **chosen, "word_share": choice.share},
    )


def _features(search: DepthSearch, kept: Int[np.ndarray, " k"]) -> list[Feature]:
    return list(map(search.columns.at, kept.tolist()))
