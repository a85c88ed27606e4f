"""What the probes of a run say of its validation rows."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Integer


class ProbeGuesses(NamedTuple):
    """The class codes of the validation rows, and those that each probe predicts.

    The probes are in the order of the rows of probes.parquet.
    """

    label: Integer[np.ndarray, " n_val"]
    predicted: Integer[np.ndarray, "n_probe n_val"]

    def only(self, kept: Bool[np.ndarray, " n_probe"]) -> "ProbeGuesses":
        """Those of the probes where `kept` is true."""
        return self._replace(predicted=self.predicted[kept])


def read_guesses(path: Path) -> ProbeGuesses:
    """The guesses in a file that `RunWriter.write_guesses` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return ProbeGuesses(arrays["label"], arrays["predicted"])
