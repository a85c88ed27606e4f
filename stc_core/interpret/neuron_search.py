"""Which of the selected neurons are active on a text, or on one word of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from stc_core.backbone.backbone import Backbone
from stc_core.heads.head import SparseHead, is_flat
from stc_core.interpret.explanation import Token

USUAL_TEXTS = 64
"""Texts whose tokens say how active a neuron usually is on a token."""


class Usual(NamedTuple):
    """Mean and standard deviation of each neuron over the `n` tokens of some texts."""

    n: int
    mean: Float[np.ndarray, " n_neurons"]
    sd: Float[np.ndarray, " n_neurons"]


class Fired(NamedTuple):
    """The tokens of a text, and each neuron's value at each of them.

    Row t of `values` belongs to tokens[t]; a row without a place in the text, as a
    decoder's start, has a special token.
    """

    tokens: tuple[Token, ...]
    values: Float[np.ndarray, "pos n_neurons"]


def fired(backbone: Backbone, head: SparseHead, texts: Sequence[str]) -> list[Fired]:
    """Every selected neuron on every token of `texts`, from one forward.

    A decoder that follows an encoder reads a token one place later: its values stand
    where the token is, and at the last token, which it never reads, they are NaN.
    """
    sites = sorted({feature.site for feature in head.features})
    found = backbone.token_activations(backbone.tokenize(texts).ids, sites)
    out = []
    for text, hidden in zip(texts, found, strict=True):
        spans = backbone.spans(text)
        values = np.full((len(spans), len(head.features)), np.nan, np.float32)
        for site in sites:
            columns = [j for j, one in enumerate(head.features) if one.site == site]
            index = [head.features[j].index for j in columns]
            block = hidden[site].numpy()[:, index]
            if backbone.reads_shifted(site):
                values[: len(block) - 1, columns] = block[1:]
            else:
                values[:, columns] = block
        tokens = tuple(
            Token(start, end, text[start:end] or name, 0.0)
            for start, end, name in spans
        )
        out.append(Fired(tokens, values))
    return out


def usual(backbone: Backbone, head: SparseHead, texts: Sequence[str]) -> Usual:
    """How active each neuron is on a token of these texts; special ones do not count.

    A neuron that is flat on them has an sd of infinity: nothing stands out of it.
    """
    parts = []
    for text in texts:  # one by one: a large model's neurons on all of them are much
        (one,) = fired(backbone, head, [text])
        parts.append(one.values[[not token.special for token in one.tokens]])
    values = np.concatenate(parts).astype(np.float64)
    mean, sd = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    return Usual(len(values), mean, np.where(is_flat(mean, sd), np.inf, sd))


def on_text(head: SparseHead, x: Float[np.ndarray, " n_neurons"]) -> pd.DataFrame:
    """neuron, value and sds of each neuron on a text: how far its pooled value is above
    its training mean, in standard deviations; the highest first."""
    return _ranked(x, (x - head.mean) / head.sd)


def on_word(one: Fired, start: int, end: int, usually: Usual) -> pd.DataFrame:
    """The same on the characters `start:end` of a text: the highest value on a token
    of the word, above what is usual of a token."""
    at = [
        place
        for place, token in enumerate(one.tokens)
        if token.end > start and token.start < end and not token.special
    ]
    values = one.values[at]
    known = np.nan_to_num(values, nan=-np.inf).max(axis=0, initial=-np.inf)
    value = np.where(np.isfinite(known), known, usually.mean)
    return _ranked(value, (value - usually.mean) / usually.sd)


def _ranked(
    values: Float[np.ndarray, " n"], sds: Float[np.ndarray, " n"]
) -> pd.DataFrame:
    order = np.argsort(-sds, kind="stable")
    return pd.DataFrame(
        {"neuron": order, "value": values[order], "sds": sds[order]}
    ).astype({"value": float, "sds": float})
