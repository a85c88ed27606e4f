"""The number of rows of each class, and the lengths of the texts."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from stc_core.data.scripts import count_words
from stc_core.data.split import SPLIT_ORDER
from stc_core.frames import codes, equals, series


def class_balance(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns label, split, rows: a row for each pair, commonest label first.

    Pairs without rows have 0, so that bars line up.
    """
    code, names = codes(frame, "label")
    counts = np.stack(
        [
            np.bincount(code[equals(frame, "split", split)], minlength=len(names))
            for split in SPLIT_ORDER
        ],
        axis=1,
    )  # (n_class, n_split)
    order = sorted(range(len(names)), key=lambda c: (-counts[c].sum(), names[c]))
    return pd.DataFrame(
        {
            "label": [names[c] for c in order for _ in SPLIT_ORDER],
            "split": list(SPLIT_ORDER) * len(names),
            "rows": counts[order].ravel(),
        }
    )


def balance_of(classes: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """What `class_balance` gives, from the number of rows of each class and split."""
    total = {name: sum(rows.values()) for name, rows in classes.items()}
    names = sorted(classes, key=lambda name: (-total[name], name))
    return pd.DataFrame(
        [(n, split, classes[n].get(split, 0)) for n in names for split in SPLIT_ORDER],
        columns=pd.Index(["label", "split", "rows"]),
    )


def text_lengths(texts: pd.Series) -> pd.DataFrame:
    """Columns words and characters, a row for each text, in order.

    Words are counted by script: see `count_words`.
    """
    words = [count_words(text) for text in texts]
    return pd.DataFrame(
        {"words": words, "characters": [len(text) for text in texts]},
        index=texts.index,
        dtype=np.int64,
    )


def length_histogram(
    frame: pd.DataFrame,
    *,
    unit: Literal["words", "characters"] = "words",
    bins: int = 40,
) -> pd.DataFrame:
    """Columns start, end (half open), split, rows: whole-number bins of text length.

    The last bin holds everything above the 99th percentile. The rows sum to all texts.
    """
    lengths = text_lengths(series(frame, "text"))[unit].to_numpy()
    top = int(np.percentile(lengths, 99, method="higher")) if len(lengths) else 0
    step = max(1, -(-(top + 1) // bins))
    edges = np.arange(0, top + 1 + step, step)
    ends = edges[1:].copy()
    ends[-1] = max(int(ends[-1]), int(lengths.max(initial=0)) + 1)
    bin_of = np.minimum(lengths // step, len(ends) - 1)
    parts = [
        pd.DataFrame(
            {
                "start": edges[:-1],
                "end": ends,
                "split": split,
                "rows": np.bincount(
                    bin_of[equals(frame, "split", split)], minlength=len(ends)
                ),
            }
        )
        for split in SPLIT_ORDER
    ]
    return pd.concat(parts, ignore_index=True)
