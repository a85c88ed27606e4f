"""Runs every bench, or those named, and rewrites RESULTS.md beside it.

    python -m benches extract probe
    python -m benches adapt --rows 4000      # the rest is for the bench itself

One that takes hours is run when it is named.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Any

from benches.measure import Row, table

HERE = Path(__file__).parent
KEPT = HERE / "results.json"
CPUINFO = Path("/proc/cpuinfo")
LONG = ("bench_adapt",)


def machine() -> str:
    """Processor, cores and versions, in one line."""
    named = [
        line.partition(":")[2].strip()
        for line in (CPUINFO.read_text().splitlines() if CPUINFO.exists() else ())
        if line.startswith("model name")
    ]
    processor = named[0] if named else platform.processor() or platform.machine()
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "transformers")
    )
    return f"{processor}, {os.cpu_count()} cores, {packages}"


def commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def measured(path: Path, options: Sequence[str] = ()) -> list[Row]:
    """The rows of one bench; none if it has no data."""
    print(f"{path.name} ...", flush=True)
    done = subprocess.run(
        [sys.executable, str(path), "--json", *options],
        cwd=HERE.parent,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def read() -> dict[str, dict[str, Any]]:
    return json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}


def keep(name: str, rows: list[Row]) -> None:
    """The last result of each bench, so that one without its device keeps its own."""
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit()}
    found = read() | {name: {**about, "machine": machine(), "rows": rows}}
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
    (HERE / "RESULTS.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    """Runs the benches that are named, or all."""
    given = sys.argv[1:]
    names = list(takewhile(lambda word: not word.startswith("-"), given))
    options = given[len(names) :]
    asked = {f"bench_{name.removeprefix('bench_')}" for name in names}
    for path in sorted(HERE.glob("bench_*.py")):
        wanted = path.stem in asked if asked else path.stem not in LONG
        if wanted and (rows := measured(path, options)):
            keep(path.stem, rows)
            publish()


if __name__ == "__main__":
    main()
