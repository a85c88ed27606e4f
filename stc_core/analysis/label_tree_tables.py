"""The tree of labels as tables: the accuracy of each node, the mistakes in a parent.

`frame` has a row for each text with label_1 ... label_L, predicted_1 ... predicted_L
and split.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from stc_core.display import formatted, percent
from stc_core.runs.metrics import RunMetrics, path_scores_of

SEPARATOR = " › "
ELSEWHERE = "elsewhere"


def with_labels(predictions: pd.DataFrame, corpus: pd.DataFrame) -> pd.DataFrame:
    """The predictions of a run with the true label of each level added."""
    true = corpus[[name for name in corpus if str(name).startswith("label_")]]
    if true.empty:
        true = corpus[["label"]].set_axis(["label_1"], axis=1)
    return pd.concat([predictions, true.reset_index(drop=True)], axis=1)


def depth_of(frame: pd.DataFrame) -> int:
    """The number of levels."""
    return sum(str(name).startswith("label_") for name in frame)


def node_table(frame: pd.DataFrame, *, split: str = "test") -> pd.DataFrame:
    """A table with a row for each node, parents first.

    Its columns are id, parent, label, level, rows, tested, accuracy. `rows` counts
    texts of every split, so the rows of children add up to those of their parent.
    `accuracy` is the share of the `tested` texts of `split` whose labels are predicted
    right down to this node; None if there are no such texts.
    """
    nodes: list[dict[str, Any]] = []
    tested = frame.loc[frame["split"] == split]
    for level in range(1, depth_of(frame) + 1):
        names = [f"label_{n}" for n in range(1, level + 1)]
        right = _same_path(tested, level)
        keys = [tested[name] for name in names]
        grouped: Any = right.groupby(keys, observed=True)
        sizes, means = dict(grouped.size().items()), dict(grouped.mean().items())
        counts: Any = frame.groupby(names, observed=True).size()
        for key, rows in counts.items():
            path = key if isinstance(key, tuple) else (key,)
            nodes.append(
                {
                    "id": SEPARATOR.join(map(str, path)),
                    "parent": SEPARATOR.join(map(str, path[:-1])),
                    "label": str(path[-1]),
                    "level": level,
                    "rows": int(rows),
                    "tested": int(sizes.get(key, 0)),
                    "accuracy": float(means[key]) if key in means else None,
                }
            )
    return pd.DataFrame(nodes)


def _same_path(frame: pd.DataFrame, level: int) -> pd.Series:
    right = pd.Series(True, index=frame.index)
    for n in range(1, level + 1):
        right &= frame[f"label_{n}"].astype(str) == frame[f"predicted_{n}"].astype(str)
    return right


def child_confusion(
    frame: pd.DataFrame, path: Sequence[str], *, split: str = "test"
) -> pd.DataFrame:
    """The counts of texts of `split` by true and predicted child of the parent `path`.

    Texts that are predicted under another parent are in the column ELSEWHERE, so each
    row adds up to the texts of its child.
    """
    level = len(path) + 1
    below = frame["split"] == split
    for n, label in enumerate(path, start=1):
        below &= frame[f"label_{n}"] == label
    part = frame.loc[below]
    inside = pd.Series(True, index=part.index)
    for n, label in enumerate(path, start=1):
        inside &= part[f"predicted_{n}"].astype(str) == label
    true = part[f"label_{level}"].astype(str)
    predicted = part[f"predicted_{level}"].astype(str).where(inside, ELSEWHERE)
    names = sorted(set(true) | (set(predicted) - {ELSEWHERE}))
    counts = pd.crosstab(true, predicted)
    return counts.reindex(index=names, columns=[*names, ELSEWHERE], fill_value=0)


def path_verdict(metrics: RunMetrics) -> str:
    """The whole paths that this run gets right, against its flat baseline.

    It is empty if the run has no such baseline.
    """
    if "flat" not in metrics["baselines"]:
        return ""
    ours = path_scores_of(metrics)["joint_accuracy"]
    flat = path_scores_of(metrics, "flat")["joint_accuracy"]
    lead = round(100 * (ours - flat), 1)
    where, is_sure = "", True
    if bounds := metrics["baselines"]["flat"].get("lead_interval"):
        low, high = (100 * bound for bound in bounds)
        where = f", 95 %: {formatted(low, '+.1f')} to {formatted(high, '+.1f')}"
        is_sure = not low <= 0 <= high
    if lead and is_sure:
        better = lead > 0
        stands = "better than" if better else "worse than"
        meaning = "The levels help." if better else "Prefer the finest labels alone."
    else:
        stands = "level with"
        meaning = "The difference may be chance." if lead else "They do as well."
    return (
        f"This classifier is {stands} the finest labels alone: it gets all levels "
        f"right on {percent(ours)} of the test texts, they on {percent(flat)} "
        f"({formatted(lead, '+.1f')} points{where}). {meaning}"
    )
