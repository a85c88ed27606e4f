"""Runs the benches, or those named, and rewrites results/RESULTS.md.

    python -m benches extract probe
    python -m benches adapt --rows 4000      # the rest is for the bench itself

Each has a limit, and all together are below 15 minutes: of one that is not done by its
own, the cases that were are kept, and the others stay as they were last. One that is
named has none; what takes hours, or a GPU, is run only then.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from benches.measure import Row, table

HERE = Path(__file__).parent
RESULTS = HERE / "results"
KEPT = RESULTS / "results.json"
CPUINFO = Path("/proc/cpuinfo")
LIMITS_S = {
    "app": 160,
    "extract": 190,
    "forecast": 120,
    "hierarchy": 75,
    "predict": 100,
    "probe": 205,
    "scale": 45,
}
CASE = ("set", "case", "rival", "backbone", "rows", "epochs")
"""The columns that say what a row is of."""
assert sum(LIMITS_S.values()) < 15 * 60


def yardstick() -> float:
    """Seconds of a loop of ten million steps: the same machine may be twice as slow on
    another day, and then so is all that is told in seconds."""
    start, total = time.perf_counter(), 0
    for step in range(10_000_000):
        total += step
    return time.perf_counter() - start


def machine() -> str:
    """Processor, cores, versions and the yardstick, in one line."""
    named = [
        line.partition(":")[2].strip()
        for line in (CPUINFO.read_text().splitlines() if CPUINFO.exists() else ())
        if line.startswith("model name")
    ]
    processor = named[0] if named else platform.processor() or platform.machine()
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "transformers")
    )
    loop = f"yardstick {yardstick():.2f} s"
    return f"{processor}, {os.cpu_count()} cores, {packages}, {loop}"


def commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


class Measured(NamedTuple):
    """The rows of a bench; not `whole`: it was ended before the last one."""

    rows: list[Row]
    whole: bool


def measured(
    path: Path, options: Sequence[str] = (), *, limit_s: float | None
) -> Measured:
    """What one bench gives until its limit; no rows if it has no data."""
    told = "no limit" if limit_s is None else f"{limit_s} s at most"
    print(f"{path.name}, {told} ...", flush=True)
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, str(path), "--json", *options],
        cwd=HERE.parent,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as bench:
        try:
            out, _ = bench.communicate(timeout=limit_s)
        except BaseException as error:
            os.killpg(bench.pid, signal.SIGKILL)  # and the processes it has begun
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            out, _ = bench.communicate()
            whole = [line for line in out.splitlines(True) if line.endswith("\n")]
            print(f"  ended after {limit_s} s, {len(whole)} rows", flush=True)
            return Measured([json.loads(line) for line in whole], whole=False)
    if bench.returncode:
        raise subprocess.CalledProcessError(bench.returncode, path.name)
    print(f"  {time.perf_counter() - start:.0f} s", flush=True)
    return Measured([json.loads(line) for line in out.splitlines()], whole=True)


def case_of(row: Row) -> tuple[object, ...]:
    """What a row is of, whatever was measured."""
    return tuple(row.get(name) for name in CASE)


def read() -> dict[str, dict[str, Any]]:
    return json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}


def keep(name: str, new: Measured) -> None:
    """The last result of each bench, so that one without its device keeps its own.

    A row that an ended bench did not come to says of which commit it is, and how fast
    the machine was.
    """
    known, rows = read(), new.rows
    if not new.whole and name in known:
        last, here = known[name], {case_of(row) for row in rows}
        pace = last["machine"].rpartition(", ")[2]
        since = {"measured": f"{last['date']}, {last['commit']}, {pace}"}
        rows = rows + [since | row for row in last["rows"] if case_of(row) not in here]
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit()}
    found = known | {name: {**about, "machine": machine(), "rows": rows}}
    text = json.dumps(dict(sorted(found.items())), indent=1)
    KEPT.write_text(text + "\n", encoding="utf-8")


def publish() -> None:
    """RESULTS.md from what is kept."""
    parts = [
        "# Results of the benches",
        "Written by `python -m benches`. A ratio is the rival's time over ours, the "
        "median of interleaved rounds; above 1 we are faster.",
    ]
    for name, found in read().items():
        where = f"{found['date']}, commit {found['commit']}, {found['machine']}"
        parts += [f"## {name}", where, table(found["rows"])]
    (RESULTS / "RESULTS.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    """Runs the benches that are named, or all that have a limit."""
    paths = {path.stem[len("bench_") :]: path for path in HERE.rglob("bench_*.py")}
    parser = argparse.ArgumentParser(
        prog="python -m benches",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help=", ".join(sorted(paths)))
    given, options = parser.parse_known_args()
    if unknown := set(given.names) - paths.keys():
        parser.error(f"no bench is called {', '.join(sorted(unknown))}")
    if not given.names:
        print(f"{len(LIMITS_S)} benches, {sum(LIMITS_S.values())} s at most")
    for name, path in sorted(paths.items()):
        if name not in (given.names or LIMITS_S):
            continue
        limit_s = None if given.names else LIMITS_S[name]
        found = measured(path, options, limit_s=limit_s)
        if found.rows:
            keep(path.stem, found)
            publish()


if __name__ == "__main__":
    main()
