"""Ten thousand generated and hostile files, at every entrance, in one process.

    python -m benches inputs --count 10000

Each file is read whole and in chunks, checked, labelled into three formats, uploaded,
given to the command `stc data check` (one in eight) and sent to the service. What may
come of it is the table that was written, or a sentence. Then each hostile file comes
once more, `--large` times as large. The tables in docs/faults.md are rewritten.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, seed, settings

from benches.measure import Row, table
from helpers.faults import entrances
from helpers.faults.entrances import Outcome
from helpers.faults.generated_files import Generated, files
from helpers.faults.hostile_files import HOSTILE
from helpers.runs.serving import trained
from stc_core.serve.app import service

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
ONE_IN = 8
RUN = "stc"


class Counts:
    """How often each entrance gave what, and how long the slowest file took."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: dict[str, Row] = defaultdict(
            lambda: {"right": 0, "read": 0, "sentence": 0, "failed": 0}
        )
        self.slowest: tuple[float, str] = (0.0, "")
        self.seconds = 0.0
        self.files = 0

    def take(self, file: Generated, found: Iterator[Outcome], *, label: str) -> None:
        """Count what comes of one file; an error is counted, printed, and no end."""
        self.files += 1
        start = time.perf_counter()
        while True:
            try:
                outcome = next(found, None)
            except Exception:  # noqa: BLE001 - what the bench looks for
                outcome = Outcome("any", "read", traceback.format_exc(limit=-4))
            if outcome is None:
                break
            key = "failed" if outcome.fault else outcome.result
            self.rows[outcome.entrance][key] += 1
            if outcome.fault:
                sys.stderr.write(f"{label} {outcome} {file.content[:200]!r}\n")
        seconds = time.perf_counter() - start
        self.seconds += seconds
        if self.files % 500 == 0:
            sys.stderr.write(f"{self.files} files, {self.seconds:.0f} s\n")
        self.slowest = max(self.slowest, (seconds, label))


def bench(count: int, scale: int, first_seed: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["STC_HOME"] = str(folder / "home")
        run = trained(folder / "runs", RUN)
        with TestClient(service([run], device="cpu")) as client:
            visit = Visit(folder, client)
            parts = [
                generated(visit, count, first_seed) if count else None,
                enlarged(visit, scale) if scale else None,
            ]
    for counts in filter(None, parts):
        for entrance, row in counts.rows.items():
            yield {"bench": "inputs", "case": f"{counts.name}: {entrance}", **row}


class Visit(NamedTuple):
    """All entrances: a folder for files, and a client of the service."""

    folder: Path
    client: TestClient

    def outcomes(self, file: Generated, *, command: bool) -> Iterator[Outcome]:
        yield from entrances.outcomes(file, self.folder)
        if command:
            yield entrances.by_command(self.folder / file.name)
        yield from entrances.by_http(self.client, RUN, file)


def generated(visit: Visit, count: int, first_seed: int) -> Counts:
    """Generated files, half of them damaged."""
    counts = Counts("generated")

    @seed(first_seed)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=(
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.function_scoped_fixture,
        ),
    )
    @given(files())
    def generate(file: Generated) -> None:
        command = counts.files % ONE_IN == 0
        counts.take(file, visit.outcomes(file, command=command), label=file.name)

    generate()
    publish(counts)
    return counts


def enlarged(visit: Visit, scale: int) -> Counts:
    """Each hostile file once, `scale` times as large as in the tests."""
    counts = Counts("hostile")
    for name, make in HOSTILE.items():
        file = Generated("table.csv", make(scale), None)
        counts.take(file, visit.outcomes(file, command=True), label=name)
    publish(counts)
    return counts


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def publish(counts: Counts) -> None:
    """Write the table of `counts` between its marks in the page."""
    begin, end = (f"<!-- {counts.name} inputs: {side} -->" for side in ("begin", "end"))
    seconds, label = counts.slowest
    said = (
        f"{counts.files:,} {counts.name} files in {counts.seconds / 60:.0f} minutes. "
        f"The slowest took {seconds:.1f} s at all entrances together ({label}). The "
        f"process had {peak_mb():,} MB at most."
    )
    rows: list[Row] = [
        {
            "entrance": entrance,
            "the table as written": row["right"],
            "a table": row["read"],
            "a sentence": row["sentence"],
            "anything else": row["failed"],
        }
        for entrance, row in counts.rows.items()
    ]
    before, _, rest = PAGE.read_text("utf-8").partition(begin)
    after = rest.partition(end)[2]
    text = "\n\n".join([begin, said, table(rows), end])
    PAGE.write_text(before + text + after, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=30, help="0 leaves them out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for row in bench(options.count, options.large, options.seed):
        print(json.dumps(row) if options.json else row, flush=True)


if __name__ == "__main__":
    main()
