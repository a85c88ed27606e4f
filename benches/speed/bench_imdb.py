"""A training on all of IMDb, an hour or more on two cores: time, peak memory, accuracy.

    python -m benches imdb

All train and test texts at 256 tokens, every site and pooling, with the baselines, in
one process; the goal is `limit_mb`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from bench_scale import alone, in_full

from benches.measure import DATA, Row, show

SET, N, LIMIT_MB = "imdb", 25_000, 4_000
SETTINGS = {"device": "cpu", "max_length": 256}


def files(n: int, home: Path) -> dict[str, str]:
    """Files of `n` train and `n` test texts, without their compression."""
    paths = {}
    for part, field in (("train", "path"), ("test", "test_path")):
        paths[field] = str(home / f"{part}.csv")
        folder = Path(os.environ.get("STC_BENCH_DATA", DATA)) / SET
        frame = pd.read_csv(folder / f"{part}.csv.gz", keep_default_na=False)
        frame.head(n).to_csv(paths[field], index=False)
    return paths


def bench() -> Iterator[Row]:
    found = alone(files, N, SETTINGS, baselines=True)
    row: Row = {"bench": "imdb", "case": f"{SET}, {N:,} + {N:,} texts"}
    row |= {"ours_s": found["total"], "limit_mb": LIMIT_MB}
    yield in_full(row, found, 2 * N)


if __name__ == "__main__":
    show(bench, __doc__ or "")
