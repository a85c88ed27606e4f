"""Ridge models that read chosen neurons and words together.

Words are read as TF-IDF. How much they count beside the neurons is `share`: the mean
squared norm of the words of a text over that of its neurons, which the penalty sees.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix

from stc_core.data.task import Task
from stc_core.heads.head import SparseHead, mean_and_sd, value_range
from stc_core.heads.least_squares import MOST_TINY, solve_positive
from stc_core.heads.ridge import fit_ridge_head
from stc_core.heads.word_readout import WordReadout
from stc_core.selection.importance import keep_top
from stc_core.selection.words.candidates import Candidates, size_of
from stc_core.types import Feature

MOST_WORDS = 2048
"""The most words and pairs that a classifier reads."""
WORD_RANKING_SHARE, WORD_RANKING_RIDGE = 0.3, 1.0
"""Of the model that ranks the words."""
_FREQUENT = 0.02


class NeuronValues(NamedTuple):
    """The raw values of kept neurons on all rows, and the trust in each."""

    X: Float[np.ndarray, "n k"]
    trust: Float[np.ndarray, " k"]


class Products(NamedTuple):
    """Inner products of the fitted rows with each other and with the other rows.

    Both less the mean of the fitted rows; the mean squared norm of these is 1.
    """

    fit: Float[np.ndarray, "n n"]
    others: Float[np.ndarray, "m n"]


def neuron_products(
    neurons: NeuronValues,
    task: Task,
    fit: Int[np.ndarray, " n"],
    others: Int[np.ndarray, " m"],
) -> tuple[Products, float]:
    """The products of the neurons as a head reads them, and their mean squared norm."""
    X, rest = neurons.X[fit], neurons.X[others]
    weight = task.weights(fit)
    mean, sd = mean_and_sd(X, weight)
    scale = neurons.trust / sd
    rest = (np.clip(rest, *value_range(X)) - mean) * scale
    Z = (X - mean) * scale
    return _centred(Z @ Z.T, rest @ Z.T, weight)


def word_products(
    fit: csr_matrix, others: csr_matrix, weight: Float[np.ndarray, " n"]
) -> tuple[Products, float]:
    """The products of the words, and their mean squared norm."""
    return _centred(_times(fit, fit), _times(others, fit), weight)


def _times(a: csr_matrix, b: csr_matrix) -> Float[np.ndarray, "n m"]:
    """a @ b.T. Words of many texts are multiplied as dense columns, which is faster."""
    n_texts, n_words = size_of(b)
    frequent = np.bincount(b.indices, minlength=n_words) > _FREQUENT * n_texts
    rare = np.flatnonzero(~frequent)
    dense_a, dense_b = (one[:, np.flatnonzero(frequent)].toarray() for one in (a, b))
    return dense_a @ dense_b.T + (a[:, rare] @ b[:, rare].T).toarray()


def _centred(
    products: Float[np.ndarray, "n n"],
    others: Float[np.ndarray, "m n"],
    weight: Float[np.ndarray, " n"],
) -> tuple[Products, float]:
    share = (weight / weight.sum()).astype(np.float32)
    mean = products @ share
    products = products - mean - mean[:, None] + share @ mean
    others = others - (others @ share)[:, None] - mean
    norm = max(float(share @ np.diag(products)), MOST_TINY)
    return Products(products / norm, others / norm), norm


def ranked_words(
    neurons: Products, words: csr_matrix, task: Task, rows: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " k"]:
    """The columns of at most MOST_WORDS words, the most important ones first.

    The importance is that of a joint model of all neurons and words: the sum over the
    classes of the squared weights on TF-IDF.
    """
    weight = task.weights(rows)
    none = csr_matrix((0, size_of(words)[1]), dtype=words.dtype)
    of_words, _ = word_products(words, none, weight)
    both = neurons.fit + WORD_RANKING_SHARE * of_words.fit
    dual = _dual(both, task, rows, WORD_RANKING_RIDGE)
    share = (weight / weight.sum()).astype(np.float32)
    dual = dual - share[:, None] * dual.sum(axis=0)
    weights = words.T @ dual
    return keep_top((weights**2).sum(axis=1), MOST_WORDS)


def _dual(
    products: Float[np.ndarray, "n n"],
    task: Task,
    rows: Int[np.ndarray, " n"],
    ridge: float,
) -> Float[np.ndarray, "n n_class"]:
    """The weights of the rows in a ridge model of the classes."""
    codes, weight, n_class = task.codes[rows], task.weights(rows), len(task.classes)
    root = np.sqrt(weight)[:, None]
    labels = np.eye(n_class, dtype=np.float32)[codes]
    prior = (weight @ labels / weight.sum()).astype(np.float32)
    G = products * root * root[:, 0]
    penalty = max(ridge * float(np.trace(G)) / float(weight.sum()), MOST_TINY)
    return solve_positive(G, penalty, (labels - prior) * root) * root


def joint_scores(
    neurons: Products,
    words: Products,
    task: Task,
    rows: Int[np.ndarray, " n"],
    *,
    shares: Sequence[float],
    ridges: Sequence[float],
) -> Iterator[Float[np.ndarray, "n_ridges m n_class"]]:
    """For each share the class scores of the other rows under each ridge."""
    weight, n_class = task.weights(rows), len(task.classes)
    prior = np.bincount(task.codes[rows], weight, n_class) / weight.sum()
    for share in shares:
        both = neurons.fit + np.float32(share) * words.fit
        others = neurons.others + np.float32(share) * words.others
        scores = [others @ _dual(both, task, rows, ridge) for ridge in ridges]
        yield np.stack(scores) + prior.astype(np.float32)


class JointHead(NamedTuple):
    """A head on neurons and words, in two parts: the logits are the sum of both."""

    head: SparseHead
    words: WordReadout

    def cooled(self, temperature: float) -> "JointHead":
        """The same head with logits divided by `temperature`."""
        return JointHead(self.head.cooled(temperature), self.words.cooled(temperature))


def fit_joint_head(
    neurons: NeuronValues,
    candidates: Candidates,
    columns: Int[np.ndarray, " n_words"],
    task: Task,
    features: Sequence[Feature],
    *,
    rows: Int[np.ndarray, " some"],
    scale: Float[np.ndarray, " n_words"],
    ridge: float,
) -> tuple[JointHead, Float[np.ndarray, " k"]]:
    """The head on neurons and on the candidates at `columns`, fitted on `rows`.

    `scale` is what the value of each word is multiplied by before the penalty sees it.
    Second comes the trust in each neuron, then in each word (`fit_ridge_head`).
    """
    values = candidates.at(rows)[:, columns].toarray()
    sd = mean_and_sd(values, task.weights(rows))[1]
    trust = np.concatenate([neurons.trust, scale * sd]).astype(np.float32)
    X = np.concatenate([neurons.X[rows], values], axis=1)
    part = task._replace(codes=task.codes[rows])
    joint = fit_ridge_head(
        X, part, (), rows=np.arange(len(rows)), ridge=ridge, trust=trust
    )
    names = tuple(candidates.words[column] for column in columns.tolist())
    return split_joint(joint, features, names), trust


def split_joint(
    joint: SparseHead, features: Sequence[Feature], words: tuple[str, ...]
) -> JointHead:
    """The parts of a head whose last columns are the values of `words`.

    A word that is not in a text adds nothing: what its mean takes away is in the bias.
    """
    k = len(features)
    raw = joint.weight[:, k:] / joint.sd[k:]
    ends = {name: end[:k] for name, end in joint.range.items()}
    head = joint._replace(
        features=tuple(features),
        mean=joint.mean[:k],
        sd=joint.sd[:k],
        weight=np.ascontiguousarray(joint.weight[:, :k]),
        bias=joint.bias - raw @ joint.mean[k:],
        **ends,
    )
    return JointHead(head, WordReadout(words, np.ascontiguousarray(raw)))


def joined(head: SparseHead, n_words: int) -> SparseHead:
    """A head with room for so many words behind its neurons, yet without weights.

    The mean and the sd of the words are rough ones: see `Sums`.
    """
    mean, sd = (np.full(n_words, value, np.float32) for value in (0.0, 0.1))
    return head._replace(
        mean=np.concatenate([head.mean, mean]), sd=np.concatenate([head.sd, sd])
    )


def tf_idf(values: csr_matrix, frequency: Float[np.ndarray, " n_words"]) -> csr_matrix:
    """The values of words, each times its inverse frequency."""
    return csr_matrix(values.multiply(frequency[None]), dtype=np.float32)
