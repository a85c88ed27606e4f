"""Runs of each recipe, cut short at their acts on disk, and resumed.

    python -m benches faults --minutes 30
    python -m benches faults --minutes 30 --more --seed 1000

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
KEPT = Path(__file__).parent / "results" / "faults.json"
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
    "chain": "kills in turn",
    "random": "kills by chance",
    "kill": "single kills",
    "full": "full disks",
}
"""The heading of each fault; the page tells what it means."""
PHASES = {"sparse": "sparse half", "tune": "what follows"}
NAMES = {
    "levels": "hierarchy, frozen",
    "hierarchy": "hierarchy, tuned",
    "words": "hierarchy, words",
    "two-stage": "attention, two-stage",
}
Counts = dict[tuple[str, ...], Row]
"""What became of each recipe, phase and fault."""


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
    minutes: float,
    recipes: Sequence[str],
    *,
    kills: int,
    seed: int,
    jobs: int,
    more: bool,
) -> Iterator[Row]:
    counts: Counts = {}
    share = 60 * minutes * jobs / len(recipes)
    with tempfile.TemporaryDirectory() as folder:
        work = partial(try_recipe, Path(folder), seconds=share, kills=kills, seed=seed)
        with ThreadPoolExecutor(jobs) as pool:
            for rows in pool.map(work, recipes):
                counts.update(rows)
    publish(merged(counts, kept()) if more else counts)
    yield from counts.values()


def try_recipe(
    folder: Path, name: str, *, seconds: float, kills: int, seed: int
) -> Counts:
    """The row of each phase and fault of one recipe.

    First comes a chain, then kills by chance until each phase has `kills` of them, then
    one act after another, in a shuffled order, until the time is up.
    """
    counts: Counts = {}
    campaigner = Campaigner(name, folder / name)
    until = time.monotonic() + seconds
    for order in orders(campaigner.acts, counts, kills, seed):
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
    counts: Mapping[tuple[str, ...], Row],
    kills: int,
    first: int,
) -> Iterator[tuple]:
    """What to try next; `counts` has what became of the orders before it.

    `first` is the seed of the first kills by chance.
    """
    if first == 0:  # it is the same with every seed
        yield ("chain", "tune")
    for seed in range(first, first + kills):
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
    random.Random(first).shuffle(singles)
    yield from singles


def merged(counts: Counts, earlier: Counts) -> Counts:
    """The counts of both."""
    found = dict(earlier)
    for key, row in counts.items():
        known = found.get(key, {})
        added = {n: row[n] + known.get(n, 0) for n in ("tried", "failed", "runs")}
        found[key] = row | added
    return found


def kept() -> Counts:
    """The counts of earlier sittings."""
    rows = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else []
    return {tuple(row["case"].split(", ")): row for row in rows}


def publish(counts: Counts) -> None:
    """Keep the counts, and write the table between the marks of the page."""
    text = json.dumps(list(counts.values()), indent=1)
    KEPT.write_text(text + "\n", encoding="utf-8")
    rows: list[Row] = []
    for recipe in RECIPES:
        for phase, said in PHASES.items():
            of = {
                f: row for (r, p, f), row in counts.items() if (r, p) == (recipe, phase)
            }
            if of:
                rows.append(
                    {"run": NAMES.get(recipe, recipe), "phase": said}
                    | {SAID[f]: of[f]["tried"] if f in of else 0 for f in SAID}
                    | {"runs": sum(row["runs"] for row in of.values())}
                    | {"wrong": sum(row["failed"] for row in of.values())}
                )
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
    parser.add_argument("--seed", type=int, default=0, help="another with --more")
    parser.add_argument("--more", action="store_true", help="add to the table")
    options = parser.parse_args()
    for row in bench(
        options.minutes,
        options.recipes,
        kills=options.kills,
        seed=options.seed,
        jobs=options.jobs,
        more=options.more,
    ):
        print(json.dumps(row) if options.json else row, flush=True)


if __name__ == "__main__":
    main()
