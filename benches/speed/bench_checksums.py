"""What the checks of features on disk cost: seconds of checksums in a run.

A run of the sample is done twice: it writes its features, and then reads them only.
Every call that computes a checksum is timed.
"""

import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from benches.measure import Row, show
from stc_core.activations import integrity
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.recipes import registry
from stc_core.runs.writer import RunWriter

SAMPLE = Path(__file__).parents[2] / "samples" / "customer_messages.csv"
TIMED = (
    (integrity.BlockChecks, "damaged_block"),
    (integrity, "damage_of"),
    (integrity, "add_rows"),
)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of `work`, and those of them that are spent in checks."""
    from stc_core.activations import store

    spent = [0.0]

    def watched(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent[0] += time.perf_counter() - start

        return call

    homes = [(place, name) for place, name in TIMED]
    homes += [(store, name) for place, name in TIMED if place is integrity]
    real = [(place, name, getattr(place, name)) for place, name in homes]
    for place, name, function in real:
        setattr(place, name, watched(function))
    start = time.perf_counter()
    try:
        work()
    finally:
        for place, name, function in real:
            setattr(place, name, function)
    return time.perf_counter() - start, spent[0]


def bench() -> Iterator[Row]:
    import os

    data = DataConfig(path=str(SAMPLE), text="text", labels=("topic",))
    config = RunConfig(data=data, train=TrainConfig(device="cpu"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STC_HOME"] = folder

        def run(name: str) -> None:
            with RunWriter(Path(folder) / name, config) as writer:
                registry.train(writer.config, writer)

        for case in ("features are written", "features are read"):
            seconds, checks = timed(lambda case=case: run(case))
            n_bytes = sum(
                path.stat().st_size
                for path in Path(folder).glob("cached_features/*/*.npy")
            )
            yield {
                "bench": "checksums",
                "case": case,
                "run_s": round(seconds, 2),
                "checks_s": round(checks, 4),
                "share_percent": round(100 * checks / seconds, 2),
                "features_mb": n_bytes // 1_000_000,
            }
    data_bytes = memoryview(bytes(1 << 28))
    start = time.perf_counter()
    zlib.crc32(data_bytes)
    speed = len(data_bytes) / (time.perf_counter() - start)
    yield {"bench": "checksums", "case": "crc32", "gb_per_s": round(speed / 1e9, 2)}


if __name__ == "__main__":
    show(bench, __doc__ or "")
