"""A text and an edited one: the words that differ, and what the edit did."""

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from stc_core.interpret.explanation import part_name

_Kind = Literal["same", "gone", "new"]
_PIECES = re.compile(r"\s+|\w+|[^\w\s]")
MOST_PIECES = 4000
"""Of longer texts the comparison would take seconds."""


class DiffPiece(NamedTuple):
    """Some of two texts: in both, in the first alone (gone), in the second (new)."""

    kind: _Kind
    text: str


def word_changes(before: str, after: str) -> list[DiffPiece]:
    """The pieces of both texts in order, whole words at a time.

    Those that are not new make up `before`, those that are not gone `after`, letter
    for letter. Texts beyond MOST_PIECES are one piece gone and one new.
    """
    a, b = _PIECES.findall(before), _PIECES.findall(after)
    if len(a) + len(b) > MOST_PIECES:
        return [DiffPiece("gone", before), DiffPiece("new", after)]
    found: list[DiffPiece] = []
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            found.append(DiffPiece("same", "".join(a[i:j])))
            continue
        if j > i:
            found.append(DiffPiece("gone", "".join(a[i:j])))
        if m > k:
            found.append(DiffPiece("new", "".join(b[k:m])))
    return found


def probability_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], *, most: int = 4
) -> pd.DataFrame:
    """class, before, after and change of the classes that an edit moved most.

    Both are explanations; the class predicted of either is always among them.
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
    moved = frame["change"].abs().to_numpy()
    said = frame["class"].isin([before["label"], after["label"]]).to_numpy()
    kept = np.lexsort((-moved, ~said))[: max(most, np.count_nonzero(said))]
    kept = kept[np.argsort(-moved[kept], kind="stable")]
    return frame.iloc[kept].reset_index(drop=True)


def neuron_changes(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    label: str,
    *,
    most: int = 5,
) -> pd.DataFrame:
    """name, neuron and change of the parts that moved the logit of `label` most.

    All changes, not these alone, sum to the change of the logit. Of a run that reads
    by attention the parts are layers, which have no `neuron`.
    """
    rows = [
        {
            "name": part_name(old),
            "neuron": None if old["index"] is None else place,
            "change": new["contribution"][label] - old["contribution"][label],
        }
        for place, (old, new) in enumerate(
            zip(before["neurons"], after["neurons"], strict=True)
        )
    ]
    order = sorted(rows, key=lambda row: -abs(row["change"]))[:most]
    return pd.DataFrame(order, columns=["name", "neuron", "change"])
