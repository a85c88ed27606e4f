"""Small tables: the classifier beside its baselines, on draws of several data sets.

    python -m benches small --sizes 300 1000 --draws 3

Each draw takes so many rows of the training file at random, the same for all, and at
most 2,000 test rows; the recipe is run on it as `stc train` runs it. Each row of the
result is the mean accuracy over the draws in percent, with its standard deviation, and
the mean lead over each baseline on the same draws with its standard error. `held out`
is the score that the run itself tells before it has seen the test rows.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from benches.accuracy import BASELINES, DATA
from benches.measure import Row
from benches.seeds import options, show_runs
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.recipes import registry
from stc_core.runs.writer import RunWriter

SETS = {
    "trec": "label",
    "sst2": "label",
    "ag_news": "label",
    "edos": "label",
    "edos, kinds": "label_2",
    "sms_spam": "label",
    "banking77": "label",
    "clinc150": "label",
}
MOST_TEST = 2000
RIVALS = tuple(name for name in BASELINES if name != "majority")


def tables(name: str, rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The drawn training rows and the test rows, columns text and label.

    A class with one drawn row is left out, as `stc train` would refuse the table.
    """
    folder, column = DATA / name.partition(",")[0], SETS[name]
    found = []
    for split in ("train", "test"):
        path = next(folder.glob(f"{split}.csv*"))
        frame = pd.read_csv(path, keep_default_na=False)
        frame = pd.DataFrame({"text": frame["text"], "label": frame[column]})
        found.append(frame[frame["label"] != "none"])
    train, test = found
    drawn = train.sample(min(rows, len(train)), random_state=seed)
    drawn = drawn[drawn.groupby("label")["label"].transform("size") > 1]
    test = test.sample(min(MOST_TEST, len(test)), random_state=0)
    return drawn, test[test["label"].isin(set(drawn["label"]))]


def figures(name: str, rows: int, seed: int) -> dict[str, Any]:
    """The figures of the run on one draw."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{part}.csv") for part in ("train", "test")]
        for frame, path in zip(tables(name, rows, seed), paths, strict=True):
            frame.to_csv(path, index=False)
        config = RunConfig(
            data=DataConfig(
                path=paths[0], test_path=paths[1], text="text", labels=("label",)
            ),
            train=TrainConfig(seed=seed),
        )
        writer = RunWriter(Path(folder) / "run", config)
        with writer:
            metrics = registry.train(writer.config, writer).metrics
    return {
        "ours": metrics["test"]["accuracy"],
        "held out": metrics["validation"]["accuracy"],
        "neurons": metrics["neurons"]["selected"],
        "seconds": metrics["seconds"]["total"],
        **{rival: metrics["baselines"][rival]["accuracy"] for rival in RIVALS},
    }


def mean_and_spread(values: list[float], *, per_draw: int = 1) -> str:
    spread = statistics.stdev(values) / per_draw**0.5 if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.1f} ± {100 * spread:.1f}"


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    for rows in asked.sizes:
        for name in asked.sets:
            draws = [figures(name, rows, seed) for seed in range(asked.draws)]
            leads = {
                f"lead over {rival}": mean_and_spread(
                    [draw["ours"] - draw[rival] for draw in draws], per_draw=len(draws)
                )
                for rival in RIVALS
            }
            yield {
                "set": name,
                "rows": rows,
                "draws": len(draws),
                **{
                    key: mean_and_spread([draw[key] for draw in draws])
                    for key in ("ours", "held out", *RIVALS)
                },
                **leads,
                "neurons": round(statistics.mean(draw["neurons"] for draw in draws)),
                "seconds": round(statistics.mean(draw["seconds"] for draw in draws), 1),
            }


if __name__ == "__main__":
    parser = options(__doc__ or "", rows=1000)
    parser.add_argument("--sizes", nargs="+", type=int, default=(300, 1000))
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    show_runs(bench, parser)
