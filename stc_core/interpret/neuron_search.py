"""The search for selected neurons that are active on a text, or on a word of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from stc_core.backbone.backbone import Backbone
from stc_core.heads.head import SparseHead, is_flat
from stc_core.interpret.explanation import Token, token_of

USUAL_TEXTS = 64
"""The number of texts used to measure the usual activation of a neuron on a token."""


class Usual(NamedTuple):
    """The mean and standard deviation of each neuron over `n` tokens."""

    n: int
    mean: Float[np.ndarray, " n_neurons"]
    sd: Float[np.ndarray, " n_neurons"]


class TokenValues(NamedTuple):
    """The tokens of a text, and the value of each neuron at each token.

    Row t of `values` belongs to tokens[t]. A row that is not in the text, such as the
    start of a decoder, has a special token.
    """

    tokens: tuple[Token, ...]
    values: Float[np.ndarray, "pos n_neurons"]


def token_values_of(
    backbone: Backbone, head: SparseHead, texts: Sequence[str]
) -> list[TokenValues]:
    """The values of every selected neuron on every token of `texts`.

    A decoder that follows an encoder reads a token one place later. Its values are
    moved to the token; at the last token, which it never reads, they are NaN.
    """
    sites = sorted({feature.site for feature in head.features})
    activations = backbone.token_activations(backbone.tokenize(texts).ids, sites)
    out = []
    for text, hidden in zip(texts, activations, strict=True):
        spans = backbone.spans(text)
        values = np.full((len(spans), len(head.features)), np.nan, np.float32)
        for site in sites:
            columns = [j for j, f in enumerate(head.features) if f.site == site]
            index = [head.features[j].index for j in columns]
            block = hidden[site].numpy()[:, index]
            if backbone.reads_shifted(site):
                values[: len(block) - 1, columns] = block[1:]
            else:
                values[:, columns] = block
        tokens = tuple(token_of(text, span) for span in spans)
        out.append(TokenValues(tokens, values))
    return out


def usual_values(backbone: Backbone, head: SparseHead, texts: Sequence[str]) -> Usual:
    """The usual activation of each neuron on a token of these texts.

    Special tokens do not count. A neuron that is flat on these texts gets an infinite
    standard deviation, so that it never stands out.
    """
    parts = []
    for text in texts:  # one by one, because the values of all texts may be too large
        (activity,) = token_values_of(backbone, head, [text])
        in_text = [not token.special for token in activity.tokens]
        parts.append(activity.values[in_text])
    values = np.concatenate(parts).astype(np.float64)
    mean, sd = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    return Usual(len(values), mean, np.where(is_flat(mean, sd), np.inf, sd))


def on_text(head: SparseHead, x: Float[np.ndarray, " n_neurons"]) -> pd.DataFrame:
    """A table with neuron, value and sds of each neuron on a text, the highest first.

    `sds` says by how many standard deviations its pooled value is above its training
    mean.
    """
    return _ranked(x, (x - head.mean) / head.sd)


def on_word(
    activity: TokenValues, start: int, end: int, usually: Usual
) -> pd.DataFrame:
    """A table like that of `on_text` for the word `start:end` of a text.

    The value is the highest on a token of the word; `sds` compares it with the usual
    value on a token.
    """
    at = [
        place
        for place, token in enumerate(activity.tokens)
        if token.end > start and token.start < end and not token.special
    ]
    values = activity.values[at]
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
