"""Trainings on large corpora, an hour and a half on two cores: time, memory, disk.

    python -m benches large

Short texts as in bench_scale.py, ten times as many each time, against linear growth.
Then all train and test texts of IMDb at 256 tokens, every site and pooling, with the
baselines; the goal is `limit_mb`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from bench_scale import alone, growing, in_full
from measure import DATA, Row, show

SIZES = (10_000, 100_000, 1_000_000)
SET, N, LIMIT_MB = "imdb", 25_000, 4_000
SETTINGS = {"device": "cpu", "max_length": 256}


def imdb(n: int, home: Path) -> dict[str, str]:
    """Files of `n` train and `n` test texts, without their compression."""
    paths = {}
    for part, field in (("train", "path"), ("test", "test_path")):
        paths[field] = str(home / f"{part}.csv")
        folder = Path(os.environ.get("STC_BENCH_DATA", DATA)) / SET
        frame = pd.read_csv(folder / f"{part}.csv.gz", keep_default_na=False)
        frame.head(n).to_csv(paths[field], index=False)
    return paths


def bench() -> Iterator[Row]:
    yield from growing("large", SIZES)
    found = alone(imdb, N, SETTINGS, baselines=True)
    row: Row = {"bench": "large", "case": f"{SET}, {N:,} + {N:,} texts"}
    row |= {"ours_s": found["total"], "limit_mb": LIMIT_MB}
    yield in_full(row, found, 2 * N)


if __name__ == "__main__":
    show(bench, __doc__ or "")
