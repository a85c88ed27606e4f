"""The words that a classifier reads beside its neurons, as a table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stc_core.heads.word_readout import WordReadout


def word_table(words: WordReadout, classes: Sequence[str]) -> pd.DataFrame:
    """A row for each word or pair of words, the most important one first.

    `importance` is the sum of its squared weights over the classes. `raises` is the
    class whose logit it raises most, by `weight` for a text of this word alone;
    `lowers` the one that it lowers most.
    """
    order = np.argsort(-words.importance, kind="stable")
    weight = words.weight[:, order]
    names = np.array(list(classes), object)
    return pd.DataFrame(
        {
            "word": np.array(words.words, object)[order],
            "importance": words.importance[order],
            "raises": names[weight.argmax(axis=0)],
            "weight": weight.max(axis=0),
            "lowers": names[weight.argmin(axis=0)],
        }
    )
