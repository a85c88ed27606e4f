"""Runs of each recipe, cut short at their acts on disk, and resumed.

    python -m benches faults --minutes 120

A tiny run is killed, or its disk is full, at one act: opening a file to write, writing
tensors, fsync, renaming, removing, making a folder. It is resumed, and its files are
compared bit by bit with those of a run that nothing disturbed. Each recipe gets an
equal share of the time. The table in docs/faults.md is rewritten.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from benches.measure import Row, table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- campaign: begin -->", "<!-- campaign: end -->"
RECIPES = (
    "stc",
    "spin",
    "levels",
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
    "chain": "one run is killed at each kind of act, one after another",
    "random": "one run is killed at acts by chance, again and again",
}
PHASES = {"sparse": "sparse half", "tune": "what follows"}
NAMES = {
    "levels": "hierarchy, frozen",
    "hierarchy": "hierarchy, tuned",
    "words": "hierarchy, words",
    "two-stage": "attention, two-stage",
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


def bench(
    minutes: float, recipes: Sequence[str], *, kills: int, jobs: int
) -> Iterator[Row]:
    counts: dict[tuple[str, str, str], Row] = {}
    share = 60 * minutes * jobs / len(recipes)
    with tempfile.TemporaryDirectory() as folder:
        work = partial(try_recipe, Path(folder), seconds=share, kills=kills)
        with ThreadPoolExecutor(jobs) as pool:
            for rows in pool.map(work, recipes):
                counts.update(rows)
    publish(counts)
    yield from counts.values()


def try_recipe(
    folder: Path, name: str, *, seconds: float, kills: int
) -> dict[tuple[str, str, str], Row]:
    """The row of each phase and fault of one recipe.

    First comes a chain, then kills by chance until each phase has `kills` of them, then
    one act after another, in a shuffled order, until the time is up.
    """
    counts: dict[tuple[str, str, str], Row] = {}
    campaigner = Campaigner(name, folder / name)
    until = time.monotonic() + seconds
    for order in orders(campaigner.acts, counts, kills):
        if time.monotonic() > until:
            break
        said = campaigner.order(*order)
        phase, fault = {"chain": ("tune", "chain"), "random": (order[1], "random")}.get(
            order[0], (order[0], order[-1])
        )
        case = ", ".join((name, phase, fault))
        new: Row = {"bench": "faults", "case": case, "tried": 0, "failed": 0}
        row = counts.setdefault((name, phase, fault), new)
        row["tried"] += int(said.get("kills", 1))
        row["runs"] = row.get("runs", 0) + 1
        row["failed"] += bool(said["wrong"])
        if said["wrong"]:
            sys.stderr.write(f"{said}\n")
    campaigner.close()
    return counts


def orders(
    acts: Mapping[str, Sequence[Sequence[str]]],
    counts: Mapping[tuple[str, str, str], Row],
    kills: int,
) -> Iterator[tuple]:
    """What to try next; `counts` has what became of the orders before it."""
    yield ("chain", "tune")
    for seed in range(kills):
        for phase in acts:
            done = (row["tried"] for (_, *key), row in counts.items() if phase in key)
            if sum(done) < kills:
                yield ("random", phase, seed)
    singles = [
        (phase, number, fault)
        for phase, of_phase in acts.items()
        for number, (what, _) in enumerate(of_phase)
        for fault in ("kill", "full")
        if not (fault == "full" and what == "remove")
    ]
    random.Random(0).shuffle(singles)
    yield from singles


def publish(counts: dict[tuple[str, str, str], Row]) -> None:
    """Write the table between the marks of the page."""
    rows: list[Row] = [
        {
            "run": NAMES.get(recipe, recipe),
            "phase": PHASES[phase],
            "fault": SAID[fault],
            "tried": row["tried"],
            "runs": row["runs"],
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
    parser.add_argument("--kills", type=int, default=100, help="in each phase")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    how = {"kills": options.kills, "jobs": options.jobs}
    for row in bench(options.minutes, options.recipes, **how):
        print(json.dumps(row) if options.json else row, flush=True)


if __name__ == "__main__":
    main()
