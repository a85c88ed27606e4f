"""Are the words that an attribution names the words that the answer rests on?

The strongest words of each text are left out, or all others are, and the model reads
what is left. A word is left out as if it had not been written.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from stc_core.classifiers.base import BaseClassifier
from stc_core.errors import StcError
from stc_core.heads.head import softmax
from stc_core.interpret.explanation import Token, token_parts
from stc_core.interpret.faithfulness.scores import (
    LEFT_OUT,
    RANDOM,
    READOUT,
    Erased,
    PartScores,
    score_methods,
)
from stc_core.interpret.integrated_gradients import (
    gradient_times_input,
    integrated_gradients,
)
from stc_core.interpret.occlusion import (
    joined_pieces,
    occlude,
    read_pieces,
    text_that_is_read,
    without_pieces,
)
from stc_core.metrics.faithfulness import ERASED_SHARES, part_counts, strongest_parts
from stc_core.types import Progress, silent

GRADIENT_STEPS = 16
"""Points of the path of integrated gradients; one explanation takes 64."""
_GRADIENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "gradient_input": gradient_times_input,
    "integrated_gradients": lambda *of_text, **how: integrated_gradients(
        *of_text, n_steps=GRADIENT_STEPS, **how
    ),
}


class _Read(NamedTuple):
    """One text: its words, the probability of its class, and the values of each
    attribution for its words."""

    text: str
    words: Sequence[Token]
    code: int
    whole: float
    values: dict[str, Float[np.ndarray, " n_words"]]


def faithfulness_over_words(
    classifier: BaseClassifier,
    texts: Sequence[str],
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> PartScores:
    """The faithfulness of each attribution of the words of these texts.

    The class is the one that the whole text gets. Texts of one word are left out; of a
    text with very many words neighbours count as one (`MOST_LEFT_OUT_PIECES`). StcError
    if no text is left. `progress` counts the texts.
    """
    missing: dict[str, str] = {}
    places, reads, after = [], [], []
    for place, text in enumerate(texts):
        found = _read(classifier, text, missing, np.random.default_rng((seed, place)))
        if found is not None:
            places.append(place)
            reads.append(found)
            after.append(_erased(classifier, found))
        progress(place + 1, len(texts))
    if not reads:
        raise StcError(
            "texts", expected="texts of two words or more", got="one word in each"
        )
    erased = {
        name: Erased(
            np.stack([one[name][0] for one in after]),
            np.stack([one[name][1] for one in after]),
            np.array([int(one.values[name].argmax()) for one in reads]),
        )
        for name in reads[0].values
    }
    return score_methods(
        np.array([one.whole for one in reads]),
        erased,
        places=np.array(places),
        n_parts=np.array([len(one.words) for one in reads]),
        missing=missing,
    )


def _read(
    classifier: BaseClassifier,
    text: str,
    missing: dict[str, str],
    rng: np.random.Generator,
) -> _Read | None:
    """The attributions of a text; None if it has one word. A method that this model
    does not allow is added to `missing`."""
    explanation = classifier.explain(text)
    label = explanation["label"]
    single = read_pieces(text, token_parts(explanation, label))
    if not single:
        return None
    words = joined_pieces(text, single)
    names = list(explanation["logits"])
    code = names.index(label)
    values = {READOUT: np.array([word.value for word in words])}
    for name, method in _GRADIENTS.items():
        if name in missing:
            continue
        try:
            found = method(classifier, text, label=label)
        except StcError as error:
            missing[name] = str(error)
            continue
        parts = joined_pieces(text, read_pieces(text, token_parts(found, label)))
        values[name] = np.array([part.value for part in parts])
    values[LEFT_OUT] = occlude(text, words, classifier.logits)[:, code]
    values[RANDOM] = rng.random(len(words))
    whole = classifier.logits([text_that_is_read(text, words)])
    return _Read(text, words, code, float(softmax(whole)[0, code]), values)


def _erased(
    classifier: BaseClassifier, read: _Read
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each attribution the probabilities without its strongest words, and with
    them alone, at each share."""
    shown = text_that_is_read(read.text, read.words)
    counts = part_counts(len(read.words))
    variants: list[str] = []
    for values in read.values.values():
        for strongest in strongest_parts(values, counts):
            kept = set(strongest.tolist())
            for gone in (True, False):
                parts = [w for at, w in enumerate(read.words) if (at in kept) == gone]
                variants.append(without_pieces(shown, parts))
    known = list(dict.fromkeys(variants))
    of_text = dict(zip(known, softmax(classifier.logits(known)), strict=True))
    shares = np.array([of_text[one][read.code] for one in variants])
    shares = shares.reshape(len(read.values), len(ERASED_SHARES), 2)
    return {
        name: (shares[at, :, 0], shares[at, :, 1])
        for at, name in enumerate(read.values)
    }
