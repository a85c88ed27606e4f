"""What a baseline guesses for the test rows."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Guess(NamedTuple):
    """Predicted class codes of the test rows, and how the model was chosen.

    `layer` is the layer that the baseline reads, None if it does not read just one.
    """

    codes: Int[np.ndarray, " n_test"]
    detail: str
    layer: int | None = None
