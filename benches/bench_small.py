"""Small tables: the classifier beside its baselines, on draws of several data sets.

    python -m benches small --sizes 50 200 1000 --draws 10 --out FOLDER

Each draw takes so many rows of the training file at random, the same for all, and at
most 2,000 test rows; the recipe is run on it as `stc train` runs it. The packaged
sample has no test file: 253 of its rows are one, and at most 600 are drawn. Each row of
the result is the mean accuracy over the draws in percent, with its standard deviation,
and the mean lead over each baseline on the same draws in points, with its 95 %
interval. `held out` is the score that the run itself tells before it has seen the test
rows. Draws in --out are not done again.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import t

from benches.accuracy import BASELINES, DATA
from benches.measure import Row
from benches.seeds import options, show_runs
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.frames import series
from stc_core.recipes import registry
from stc_core.runs.writer import RunWriter

SAMPLE = "sample"
N_TEST_OF_SAMPLE = 253
FIRST = ("sst2", "trec", "ag_news", SAMPLE)
SETS = {
    SAMPLE: "topic",
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
    if name == SAMPLE:
        return sample_tables(rows, seed)
    data = Path(os.environ.get("STC_BENCH_DATA", DATA))
    folder, column = data / name.partition(",")[0], SETS[name]
    found = []
    for split in ("train", "test"):
        path = next(folder.glob(f"{split}.csv*"))
        frame = pd.read_csv(path, keep_default_na=False)
        frame = pd.DataFrame({"text": frame["text"], "label": frame[column]})
        found.append(frame[frame["label"] != "none"])
    train, test = found
    drawn = train.sample(min(rows, len(train)), random_state=seed)
    return _usable(drawn, test.sample(min(MOST_TEST, len(test)), random_state=0))


def sample_tables(rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The drawn rows of the packaged sample, and its test rows of this seed."""
    path = Path(__file__).parents[1] / "samples" / "customer_messages.csv"
    frame = pd.read_csv(path).sample(frac=1, random_state=seed)
    frame = pd.DataFrame({"text": frame["text"], "label": frame[SETS[SAMPLE]]})
    test, train = frame.iloc[:N_TEST_OF_SAMPLE], frame.iloc[N_TEST_OF_SAMPLE:]
    return _usable(train.head(rows), test)


def _usable(
    drawn: pd.DataFrame, test: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both without classes that have but one drawn row."""
    counts = Counter(drawn["label"].tolist())
    several = [label for label, n in counts.items() if n > 1]
    drawn, test = (one.loc[series(one, "label").isin(several)] for one in (drawn, test))
    return drawn, test


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


def known_cases(path: Path) -> list[dict[str, Any]]:
    """The draws that are done already, one in a line."""
    path.touch()
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def mean_and_spread(values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.1f} ± {100 * spread:.1f}"


def lead(ours: list[float], theirs: list[float]) -> str:
    """The mean lead in points with its 95 % interval over draws (Student's t)."""
    gaps = [100 * (a - b) for a, b in zip(ours, theirs, strict=True)]
    middle = statistics.mean(gaps)
    if len(gaps) < 2:
        return f"{middle:+.1f}"
    half = (
        float(t.ppf(0.975, len(gaps) - 1)) * statistics.stdev(gaps) / len(gaps) ** 0.5
    )
    return f"{middle:+.1f} ({middle - half:+.1f} to {middle + half:+.1f})"


def summary(name: str, rows: int, draws: list[dict[str, Any]]) -> Row:
    """The row of the result for one set and number of rows."""
    of = {key: [draw[key] for draw in draws] for key in ("ours", "held out", *RIVALS)}
    return {
        "set": name,
        "rows": rows,
        "draws": len(draws),
        **{key: mean_and_spread(values) for key, values in of.items()},
        **{f"lead over {rival}": lead(of["ours"], of[rival]) for rival in RIVALS},
        "neurons": round(statistics.mean(draw["neurons"] for draw in draws)),
        "seconds": round(statistics.mean(draw["seconds"] for draw in draws), 1),
    }


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    path = asked.out / "small.jsonl"
    for rows in asked.sizes:
        for name in asked.sets:
            for seed in range(asked.draws):
                case = {"set": name, "rows": rows, "seed": seed}
                if any(one.items() >= case.items() for one in known_cases(path)):
                    continue
                found = case | figures(name, rows, seed)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")
            done = known_cases(path)
            own = [one for one in done if (one["set"], one["rows"]) == (name, rows)]
            yield summary(name, rows, [one for one in own if one["seed"] < asked.draws])


if __name__ == "__main__":
    parser = options(__doc__ or "", rows=1000)
    parser.add_argument("--sizes", nargs="+", type=int, default=(50, 200, 1000))
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--sets", nargs="+", default=list(FIRST), choices=list(SETS))
    show_runs(bench, parser)
