"""What workers cost and save: pooled activations by one worker and by two.

    python -m benches cluster

Shards of texts, all layers, one thread each worker; workers have begun before the time
is taken, and the engines take turns. `efficiency` is the rate of two workers over twice
that of one. Ray on this machine stands beside plain processes: its `ratio` to one
process says what it costs.
"""

import itertools
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec

from benches.measure import Row, interleaved, show, texts
from stc_core.backbone.backbone import Backbone
from stc_core.engine.filling import open_workers
from stc_core.engine.settings import EngineConfig, EngineName
from stc_core.engine.shard_store import ShardStore
from stc_core.engine.shards import DoShards, Shard
from stc_core.engine.works import ReadingWork
from stc_core.types import PooledSite

SET, SHARDS, SHARD_TEXTS, ROUNDS = "ag_news", 16, 256, 3


def bench() -> Iterator[Row]:
    some = texts(SET, "train", SHARDS * SHARD_TEXTS)
    parts = [some[at : at + SHARD_TEXTS] for at in range(0, len(some), SHARD_TEXTS)]
    backbone = Backbone.load(device="cpu")
    wanted = [PooledSite(s, "mean") for s in backbone.sites if s.kind == "resid"]
    work = ReadingWork.of(backbone, wanted, device="cpu", threads=1)
    engines: list[EngineName] = ["local"]
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if find_spec("ray"):
            engines.append("ray")
            stack.callback(_start_ray())
        numbers = itertools.count()
        works: dict[str, Callable[[], object]] = {}
        for engine, n in itertools.product(engines, (1, 2)):
            config = EngineConfig(engine=engine, workers=n)
            store = ShardStore(f"{folder}/{engine}{n}")
            do = stack.enter_context(open_workers(work, store, config))
            works[f"{engine} {n}"] = partial(_read, do, parts, numbers)
        taken = interleaved(works, ROUNDS)
    for engine in engines:
        yield _row(f"{engine}, 2 workers", taken, f"{engine} 2", f"{engine} 1")
    for n in (1, 2) if "ray" in engines else ():
        yield _row(
            f"ray, {n} beside as many processes", taken, f"ray {n}", f"local {n}"
        )


def _start_ray() -> Callable[[], object]:
    """Start Ray with room for the workers of both engines; gives what ends it."""
    import ray  # pyright: ignore[reportMissingImports]

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    return ray.shutdown


def _read(do: DoShards, parts: list[list[str]], numbers: Iterator[int]) -> None:
    shards = (Shard(next(numbers), 0, part) for part in parts)
    assert len(list(do(shards))) == len(parts)


def _row(case: str, taken: dict[str, list[float]], ours: str, rival: str) -> Row:
    pairs = zip(taken[ours], taken[rival], strict=True)
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    n, base = (int(name.split()[1]) for name in (ours, rival))
    row: Row = {
        "bench": "cluster",
        "case": case,
        "ours_s": round(statistics.median(taken[ours]), 2),
        "rival": rival,
        "rival_s": round(statistics.median(taken[rival]), 2),
        "ratio": round(ratio, 3),
        "texts": SHARDS * SHARD_TEXTS,
    }
    return row | ({"efficiency": round(ratio * base / n, 3)} if n != base else {})


if __name__ == "__main__":
    show(bench, __doc__ or "")
