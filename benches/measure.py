"""What the benches share: the data folder, interleaved timing, peak memory, output."""

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

Row = dict[str, Any]
DATA = Path(__file__).parents[2] / "shared" / "data"


def texts(name: str, split: str, n: int) -> list[str]:
    """The first `n` texts of a data set; without the data the bench ends here."""
    folder = Path(os.environ.get("STC_BENCH_DATA", DATA))
    found = sorted((folder / name).glob(f"{split}.csv*"))
    if not found:
        sys.stderr.write(
            f"No data set {name!r} in {folder}: set STC_BENCH_DATA to a folder with "
            f"{name}/{split}.csv (columns text, label). Nothing is measured.\n"
        )
        sys.exit(0)
    return pd.read_csv(found[0], nrows=n, keep_default_na=False)["text"].tolist()


def as_released() -> Any:
    """The default backbone as transformers loads it, changed by nothing of ours."""
    from transformers import AutoModel

    from stc_core.backbone.loading import hub
    from stc_core.config import DEFAULT_BACKBONE

    return AutoModel.from_pretrained(hub.resolve(DEFAULT_BACKBONE)).eval()


def interleaved(
    works: Mapping[str, Callable[[], object]], rounds: int, *, warm: bool = True
) -> dict[str, list[float]]:
    """Seconds of each work in each round: A B A B; `warm`: after a warm-up of each."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(-warm, rounds):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def against(
    bench: str, case: str, seconds: dict[str, list[float]], **more: object
) -> list[Row]:
    """A row for each rival of "ours"; the ratio is the median over the rounds."""
    ours = seconds["ours"]
    rows = []
    for rival, taken in seconds.items():
        if rival == "ours":
            continue
        ratios = [theirs / mine for theirs, mine in zip(taken, ours, strict=True)]
        rows.append(
            {
                "bench": bench,
                "case": case,
                "ours_s": round(statistics.median(ours), 4),
                "rival": rival,
                "rival_s": round(statistics.median(taken), 4),
                "ratio": round(statistics.median(ratios), 3),
                **more,
            }
        )
    return rows


def peak_mb(work: Callable[[], object]) -> int:
    """The most memory that this process had while `work` ran, in MB."""
    process, stop, seen = psutil.Process(), threading.Event(), [0]

    def watch() -> None:
        while not stop.wait(0.01):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        stop.set()
        watcher.join()
    return max(seen) // 1_000_000


def show(bench: Callable[[], Iterator[Row]], about: str) -> None:
    """Runs a bench; prints each row as it comes with --json, else a table."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="one object a line")
    if parser.parse_args().json:
        for row in bench():
            print(json.dumps(row), flush=True)
    else:
        print(table(list(bench())))


def table(rows: list[Row]) -> str:
    """A Markdown table; numbers and text as they are, a missing value empty."""
    heads = list(dict.fromkeys(key for row in rows for key in row))
    lines = [heads, ["---"] * len(heads)]
    lines += [[str(row.get(head, "")) for head in heads] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
