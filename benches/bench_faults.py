"""Runs of each recipe that tunes, cut short at their acts on disk, and resumed.

    python -m benches faults --minutes 120

A tiny run is killed, or its disk is full, at one act: opening a file to write, writing
tensors, fsync, renaming, removing, making a folder. It is resumed, and its files are
compared bit by bit with those of a run that nothing disturbed. The acts are tried in a
shuffled order until the time is up. The table in docs/faults.md is rewritten.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from benches.measure import Row, table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"
RECIPES = (
    "variability",
    "contrastive",
    "attention",
    "two-stage",
    "hierarchy",
    "words",
)
SAID = {
    "kill": "the process ends at the act, as by SIGKILL",
    "full": "the act and all later writes say that the disk is full",
    "chain": "one run is killed at kinds of acts, one after another",
}


class Campaigner:
    """A process that tries acts of one recipe, and waits for the next order."""

    def __init__(self, recipe: str, folder: Path) -> None:
        self.recipe = recipe
        words = ("-m", "helpers.faults.campaign", recipe, str(folder), "orders")
        self.process = subprocess.Popen(
            [sys.executable, *words],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.acts: dict[str, list[list[str]]] = self._read()

    def order(self, *words: object) -> dict[str, str]:
        """What became of "chain", or of a phase, the number of an act and a fault."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def bench(minutes: float, recipes: Sequence[str]) -> Iterator[Row]:
    until = time.monotonic() + 60 * minutes
    counts: dict[tuple[str, str, str], Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        all_of = [Campaigner(name, Path(folder) / name) for name in recipes]
        orders = list(shuffled(all_of))
        for campaigner, *order in orders:
            if time.monotonic() > until:
                break
            said = campaigner.order(*order)
            fault, phase = (order[2], order[0]) if len(order) > 1 else ("chain", "tune")
            key = (campaigner.recipe, phase, fault)
            acts = campaigner.acts[phase]
            row = counts.setdefault(
                key,
                {"bench": "faults", "case": ", ".join(key), "tried": 0, "failed": 0}
                | {"acts": len(acts)},
            )
            row["tried"] += int(said.get("kills", 1))
            row["failed"] += bool(said["wrong"])
            if said["wrong"]:
                sys.stderr.write(f"{said}\n")
        for campaigner in all_of:
            campaigner.close()
    publish(counts)
    yield from counts.values()


def shuffled(campaigners: Sequence[Campaigner]) -> Iterator[tuple]:
    """The orders: a chain of each recipe, then one act of each in turn."""
    yield from ((campaigner, "chain") for campaigner in campaigners)
    queues = []
    for campaigner in campaigners:
        orders = [
            (campaigner, phase, number, fault)
            for phase, acts in campaigner.acts.items()
            for number, (what, _) in enumerate(acts)
            for fault in ("kill", "full")
            if not (fault == "full" and what == "remove")
        ]
        random.Random(0).shuffle(orders)
        queues.append(orders)
    while any(queues):
        for orders in queues:
            if orders:
                yield orders.pop()


def publish(counts: dict[tuple[str, str, str], Row]) -> None:
    """Write the table between the marks of the page."""
    rows: list[Row] = [
        {
            "run": recipe,
            "phase": phase,
            "fault": SAID[fault],
            "tried": row["tried"],
            "another result, or no resume": row["failed"],
        }
        for (recipe, phase, fault), row in sorted(counts.items())
    ]
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    text = "\n\n".join([BEGIN, table(rows), END])
    PAGE.write_text(before + text + after, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--recipes", nargs="*", default=RECIPES)
    options = parser.parse_args()
    for row in bench(options.minutes, options.recipes):
        print(json.dumps(row) if options.json else row, flush=True)


if __name__ == "__main__":
    main()
