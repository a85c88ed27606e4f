"""What the words of a text add to the logits of a head on neurons.

The two are fitted together; the bias is that of the neurons' head. A word that is not
in a text adds nothing.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy.sparse import csr_matrix

from stc_core.errors import StcError
from stc_core.files import replacing
from stc_core.heads.ngrams import CharRange, ngrams


class WordPart(NamedTuple):
    """A word or a pair of words of a text, and what it adds to each logit.

    It stands at `places`, and has the `value` of `ngrams`.
    """

    word: str
    places: list[CharRange]
    value: float
    contribution: Float[np.ndarray, " n_class"]


class WordReadout(NamedTuple):
    """logit_k += sum_j weight_kj v_j, where v_j is the value of word j in the text.

    `words` are words and pairs of words in lower case (`ngrams`).
    """

    words: tuple[str, ...]
    weight: Float[np.ndarray, "n_class n_words"]

    @property
    def importance(self) -> Float[np.ndarray, " n_words"]:
        """sum_k w_kj^2 of each word."""
        return (self.weight**2).sum(axis=0)

    def logits(self, texts: Sequence[str]) -> Float[np.ndarray, "n n_class"]:
        """What the words of each text add to each logit."""
        values = ngram_matrix(texts, _columns(self.words))
        return np.asarray(values @ self.weight.T, np.float32)

    def parts(self, text: str) -> list[WordPart]:
        """The words of `text` that the head knows, in the order of the text.

        Their contributions sum to `logits`.
        """
        columns, found = _columns(self.words), ngrams(text)
        return [
            WordPart(name, places, value, self.weight[:, columns[name]] * value)
            for (name, places), value in zip(
                found.places.items(), found.values.values(), strict=True
            )
            if name in columns
        ]

    def cooled(self, temperature: float) -> "WordReadout":
        """The same head with logits divided by `temperature`."""
        return self._replace(weight=self.weight / np.float32(temperature))


def ngram_matrix(texts: Sequence[str], columns: dict[str, int]) -> csr_matrix:
    """The values (n_texts, n_columns) of the n-grams that `columns` numbers.

    N-grams without a number are left out; they count in the norm of their text.
    """
    starts, places, values = [0], [], []
    for text in texts:
        for name, value in ngrams(text).values.items():
            if (place := columns.get(name)) is not None:
                places.append(place)
                values.append(value)
        starts.append(len(places))
    return csr_matrix(
        (np.array(values, np.float32), np.array(places, np.int64), np.array(starts)),
        shape=(len(starts) - 1, len(columns)),
    )


@lru_cache(64)
def _columns(words: tuple[str, ...]) -> dict[str, int]:
    return {word: place for place, word in enumerate(words)}


def save_word_readouts(path: Path, heads: Sequence[WordReadout]) -> None:
    """Write word heads to one safetensors file, in their order."""
    tensors = {
        f"{number}.weight": np.ascontiguousarray(head.weight, np.float32)
        for number, head in enumerate(heads)
    }
    words = {"words": json.dumps([list(head.words) for head in heads])}
    with replacing(path) as partial:
        save_file(tensors, partial, metadata=words)


def load_word_readouts(path: Path, *, where: str) -> tuple[WordReadout, ...]:
    """The word heads in a file; StcError names `where` if it is damaged."""
    try:
        with safe_open(path, "numpy") as file:
            words = json.loads((file.metadata() or {})["words"])
            weights = [
                file.get_tensor(f"{number}.weight") for number in range(len(words))
            ]
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise StcError(
            where, got=f"a damaged {path.name} ({error})", remedy="Train it again."
        ) from error
    return tuple(map(WordReadout, map(tuple, words), weights))
