"""The differences of a text and an edited text: words, probabilities, neurons."""

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from stc_core.interpret.explanation import part_name, run_number

_Kind = Literal["same", "gone", "new"]
_PIECES = re.compile(r"\s+|\w+|[^\w\s]")
MOST_PIECES = 4000
"""The most pieces of two texts; comparing longer texts would take seconds."""


class DiffPiece(NamedTuple):
    """A piece of two texts: in both (same), only the first (gone), the second (new)."""

    kind: _Kind
    text: str


def word_changes(before: str, after: str) -> list[DiffPiece]:
    """The pieces of both texts in order, in whole words.

    The pieces that are not new make up `before`, and those that are not gone make up
    `after`, letter for letter. Longer texts than MOST_PIECES give one piece that is
    gone and one that is new.
    """
    a, b = _PIECES.findall(before), _PIECES.findall(after)
    if len(a) + len(b) > MOST_PIECES:
        return [DiffPiece("gone", before), DiffPiece("new", after)]
    pieces: list[DiffPiece] = []
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(DiffPiece("same", "".join(a[i:j])))
            continue
        if j > i:
            pieces.append(DiffPiece("gone", "".join(a[i:j])))
        if m > k:
            pieces.append(DiffPiece("new", "".join(b[k:m])))
    return pieces


def probability_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], *, most: int = 4
) -> pd.DataFrame:
    """A table with class, before, after and change of the classes that changed most.

    `before` and `after` are explanations. Both predicted classes are always included.
    """
    names = list(before["probabilities"])
    frame = pd.DataFrame(
        {
            "class": names,
            "before": [before["probabilities"][name] for name in names],
            "after": [after["probabilities"][name] for name in names],
        }
    )
    frame["change"] = frame["after"] - frame["before"]
    change = frame["change"].abs().to_numpy()
    predicted = frame["class"].isin([before["label"], after["label"]]).to_numpy()
    n_kept = max(most, np.count_nonzero(predicted))
    kept = np.lexsort((-change, ~predicted))[:n_kept]
    kept = kept[np.argsort(-change[kept], kind="stable")]
    return frame.iloc[kept].reset_index(drop=True)


def neuron_changes(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    label: str,
    *,
    most: int = 5,
) -> pd.DataFrame:
    """A table with name, neuron and change of the parts that changed the logit most.

    The logit is that of `label`; it changes by the sum over all parts, not only these.
    In a run that reads by attention the parts are layers, which have no `neuron`.
    """
    rows = [
        {
            "name": part_name(old),
            "neuron": run_number(old, place),
            "change": new["contribution"][label] - old["contribution"][label],
        }
        for place, (old, new) in enumerate(
            zip(before["neurons"], after["neurons"], strict=True)
        )
    ]
    order = sorted(rows, key=lambda row: -abs(row["change"]))[:most]
    return pd.DataFrame(order, columns=["name", "neuron", "change"])
