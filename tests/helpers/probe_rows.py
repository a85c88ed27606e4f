"""Answers of probes for validation rows, and the table of their scores."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from stc_core.metrics.intervals import accuracy_interval
from stc_core.metrics.scores import accuracy, macro_f1
from stc_core.runs.run_frames import ProbeGuesses


def guesses_of(
    accuracies: Mapping[int, float], *, n: int = 300, seed: int = 0
) -> ProbeGuesses:
    """Two classes; the probes of two C for each layer, with this accuracy."""
    rng = np.random.default_rng(seed)
    y, rows = rng.integers(2, size=n), []
    shared = rng.random(n)
    for share in accuracies.values():
        for _ in range(2):
            own = rng.random(n)
            luck = np.where(rng.random(n) < 0.7, shared, own)
            rows.append(np.where(luck < share, y, 1 - y))
    return ProbeGuesses(y, np.array(rows, np.uint8))


def table_of(guesses: ProbeGuesses) -> pd.DataFrame:
    """The table `probes` of hidden states pooled by mean, two C for each layer."""
    y, rows = guesses.label, []
    for at, guess in enumerate(guesses.predicted):
        low, high = accuracy_interval(right := accuracy(y, guess), len(y))
        rows.append(
            {
                "site": f"resid.{at // 2}",
                "kind": "resid",
                "layer": at // 2,
                "pooling": "mean",
                "C": [0.1, 1.0][at % 2],
                "accuracy": right,
                "macro_f1": macro_f1(y, guess),
                "accuracy_low": low,
                "accuracy_high": high,
                "n": len(y),
                "nonzeros": 40,
                "gap": 1e-5,
                "kkt": 1e-5,
            }
        )
    table = pd.DataFrame(rows)
    best = table.groupby("site")["accuracy"].transform("max")
    return table.assign(
        best=(table["accuracy"] == best) & ~table.duplicated(["site", "accuracy"])
    )
