"""The texts of a run as a table that can be filtered and sorted."""

from typing import Literal

import numpy as np
import pandas as pd

UNCERTAIN = 0.2
"""A prediction is uncertain if it leads the second class by less than this."""
Show = Literal["all", "wrong", "uncertain"]
COLUMNS = ("example", "text", "label", "predicted", "probability", "margin", "correct")
_PLACE = ("file", "row")
"""The place of a text: the file (data or test) and its row there, counted from 1."""
FINAL = -1
"""The fold of a row that the final head judges."""
JUDGED_BY_OWN_HEAD = (
    "By the model's own head. It is not known whether the model was trained on this "
    "text."
)


def place_in_words(row: int, file: str) -> str:
    """The place of a text in words, as 'row 3 of the test file'."""
    return f"row {row}" + (" of the test file" if file == "test" else "")


def example_table(predictions: pd.DataFrame, corpus: pd.DataFrame) -> pd.DataFrame:
    """A table with a row for each text: COLUMNS, split, file and row.

    `example` is the position in the corpus. The margin is the lead of the most probable
    class over the second. `held`: the prediction is that of a classifier made without
    the row; older runs do not know it, nor do those of tuned models. `fold` is the
    place of its head among `Run.fold_heads`, -1 for the final head and in older runs.
    """
    shares = predictions.filter(like="p:").to_numpy(float)
    top = np.partition(shares, -2, axis=1)[:, -2:] if shares.shape[1] > 1 else shares
    at = predictions["row"].to_numpy()
    known = {
        "held": predictions["held"] if "held" in predictions else False,
        "fold": predictions["fold"] if "fold" in predictions else -1,
    }
    table = predictions.assign(
        example=at,
        **known,
        **{name: corpus[name].to_numpy()[at] for name in ("text", *_PLACE)},
        margin=top[:, -1] - top[:, 0] if top.shape[1] > 1 else 1.0,
    )
    return table.loc[:, [*COLUMNS, "split", *known, *_PLACE]].reset_index(drop=True)


def select_examples(
    table: pd.DataFrame,
    *,
    split: str | None = None,
    show: Show = "all",
    label: str | None = None,
    query: str = "",
) -> pd.DataFrame:
    """The rows of `example_table` that pass every filter, the least certain first.

    `label` is the true or the predicted class. `query` must be in the text; upper and
    lower case are the same. If `show` is "all", the order is that of the corpus.
    """
    keep = np.ones(len(table), bool)
    if split is not None:
        keep &= (table["split"] == split).to_numpy()
    if show == "wrong":
        keep &= ~table["correct"].to_numpy(bool)
    if show == "uncertain":
        keep &= (table["margin"] < UNCERTAIN).to_numpy()
    if label is not None:
        keep &= ((table["label"] == label) | (table["predicted"] == label)).to_numpy()
    if query.strip():
        lower = table["text"].str.casefold()
        keep &= lower.str.contains(query.strip().casefold(), regex=False).to_numpy()
    passing = table.loc[keep]
    if show != "all":
        passing = passing.sort_values("margin", kind="stable")
    return passing.reset_index(drop=True)


def judge_line(split: str, *, fold: int, held: bool) -> str:
    """A sentence: by which head a text is explained, and whether it has seen the text.

    `held`: the prediction of the run is by a head made without the text.
    """
    if fold != FINAL:
        return "By a classifier made without this text."
    if held or split == "train":
        return "By the final classifier, which has learned this text."
    if split == "validation":
        return "By the final classifier, which was made with this text."
    return "By the final classifier, which has not seen this text."
