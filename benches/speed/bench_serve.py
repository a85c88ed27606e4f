"""The service under load beside the bare classifier, and what becomes of its memory.

1, 16 and 64 clients each send one text after another for SECONDS; every eighth of the
64 also asks for explanations. The rival is the same classifier in a loop, one text at a
time. `p95_ms` is of predictions alone, `memory_mb` the memory of the service afterwards
and `before_mb` that before; the last row goes on four times as long, so that a leak
shows. The clients share the processor with the service.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import httpx2 as httpx
import numpy as np
import psutil

from benches.measure import Row, show, texts
from benches.speed.bench_predict import SET, trained
from stc_core.classifiers.base import open_base

CLIENTS = (1, 16, 64)
SECONDS, N_TEXTS, DEPTH = 10.0, 200, 6


class Client:
    """Sends one request after another until the time is over."""

    def __init__(self, place: str, some: list[str], *, explains: bool = False) -> None:
        self.place, self.some, self.explains = place, some, explains
        self.seconds: list[float] = []
        self.refused = 0

    def work(self, until: float) -> None:
        with httpx.Client(timeout=60) as http:
            for number in count():
                if time.monotonic() > until:
                    return
                text = self.some[number % len(self.some)]
                asks = self.explains and number % 4 == 0
                what = "explain" if asks else "predict"
                body = {"text": text} if asks else {"texts": [text]}
                start = time.perf_counter()
                answer = http.post(f"{self.place}/{what}", json=body)
                if answer.status_code != 200:
                    self.refused += 1
                elif not asks:
                    self.seconds.append(time.perf_counter() - start)


def loop_rate(folder: Path, some: list[str]) -> float:
    """Texts a second of the classifier in a loop, one at a time, without a service."""
    ours = open_base(folder / "model", device="cpu")
    ours.predict(some[:8])
    start = time.perf_counter()
    for text in some:
        ours.predict([text])
    return len(some) / (time.perf_counter() - start)


def case(process: psutil.Process, place: str, n: int, seconds: float) -> Row:
    """The figures of `n` clients that send requests at the same time."""
    some = texts(SET, "test", N_TEXTS)
    clients = [Client(place, some, explains=n >= 64 and i % 8 == 0) for i in range(n)]
    before, until = memory_mb(process), time.monotonic() + seconds
    with ThreadPoolExecutor(n) as pool:
        list(pool.map(lambda client: client.work(until), clients))
    taken = np.concatenate([client.seconds for client in clients])
    p50, p95, p99 = np.percentile(1e3 * taken, (50, 95, 99)).round(1)
    return {
        "bench": "serve",
        "case": f"{n} clients, {seconds:.0f} s",
        "ours_per_s": round(len(taken) / seconds, 1),
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "p99_ms": float(p99),
        "refused": sum(client.refused for client in clients),
        "before_mb": before,
        "memory_mb": memory_mb(process),
    }


def memory_mb(process: psutil.Process) -> int:
    return round(process.memory_info().rss / 1e6)


def started(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """The service of the run in `folder`, and the address of its model."""
    command = [sys.executable, "-m", "stc_core", "serve", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"(http://\S+/v1/models)", line):
            return process, f"{found[1]}/{folder.name}"
    raise AssertionError("the service did not start")


def bench() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        os.environ["STC_HOME"] = name
        run = trained(Path(name), DEPTH)
        rate = round(loop_rate(run.folder, texts(SET, "test", N_TEXTS)), 1)
        process, place = started(run.folder)
        watched = psutil.Process(process.pid)
        try:
            lengths = [(n, SECONDS) for n in CLIENTS] + [(CLIENTS[-1], 4 * SECONDS)]
            for n, seconds in lengths:
                row = case(watched, place, n, seconds)
                rival = {"rival": "classifier in a loop", "rival_per_s": rate}
                yield {**row, **rival, "ratio": round(row["ours_per_s"] / rate, 3)}
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    show(bench, __doc__ or "")
