"""A tiny run of each recipe, cut short at an act on disk and resumed.

Each process is forked from one that has imported everything and has computed nothing.
"""

import gc
import json
import os
import random
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from safetensors import safe_open

from helpers.faults.injection import KILLED, Act, Injector
from helpers.models.masked_words import MASK
from helpers.models.saved import saved_base, saved_lm
from helpers.models.tiny import tiny_tokenizer
from helpers.runs.hierarchy import table
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.recipe_settings import (
    AttentionConfig,
    ContrastiveConfig,
    HierarchyConfig,
    TuneConfig,
)
from stc_core.recipes import registry
from stc_core.runs.layout import RunFile
from stc_core.runs.processes import jobs
from stc_core.runs.processes.worker import Worker
from stc_core.runs.run import Run
from stc_core.runs.stages import RunStages
from stc_core.runs.writer import RunWriter

_TUNE = {"epochs": 2, "batch": 32, "learning_rate": 3e-3}
RECIPES: dict[str, dict[str, Any]] = {
    "variability": {
        "recipe": "variability",
        "tune": TuneConfig(method="lora", blocks=1, layer=1, **_TUNE),
    },
    "contrastive": {
        "recipe": "contrastive",
        "contrastive": ContrastiveConfig(epochs=2, batch=16),
        "tune": TuneConfig(method="lora", learning_rate=3e-3),
    },
    "attention": {
        "recipe": "attention",
        "attention": AttentionConfig(epochs=2),
        "tune": TuneConfig(**_TUNE),
    },
    "two-stage": {
        "recipe": "attention",
        "attention": AttentionConfig(schedule="two-stage", epochs=2, lm_epochs=1),
        "tune": TuneConfig(**_TUNE),
    },
    "hierarchy": {
        "recipe": "hierarchy",
        "hierarchy": HierarchyConfig(heads="class", tuned=True),
        "tune": TuneConfig(blocks=1, **_TUNE),
    },
    "words": {
        "recipe": "hierarchy",
        "hierarchy": HierarchyConfig(heads="words", layers=(1, 2)),
        "tune": TuneConfig(blocks=1, **_TUNE),
    },
}
"""The settings of each kind of run that tunes."""
FROZEN: dict[str, dict[str, Any]] = {
    "stc": {"recipe": "stc"},
    "spin": {"recipe": "stc", "preset": "spin"},
    "levels": {
        "recipe": "hierarchy",
        "hierarchy": HierarchyConfig(heads="class"),
    },
}
"""The settings of kinds of run that leave the language model as it is."""
ROWS = 80
"""Of the table: two batches are learned from in an epoch."""
_TIMES = ("seconds", "peak_bytes", "created", "ms_per_text", "cached")
"""What another process finds otherwise: times, memory, texts that were in the cache."""


class Outcome(NamedTuple):
    """What became of a run that was cut short at an act and resumed."""

    recipe: str
    phase: str
    fault: str
    act: Act
    wrong: str  # empty: the result is that of a run that nothing disturbed


class Campaign:
    """The runs of one recipe below `folder`, and their undisturbed result.

    A run has two phases: "sparse", from nothing to the end of the sparse half, and
    "tune", all that follows, whether it tunes or not. A run that is cut short in the
    second begins as a copy of one that has done the first.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["STC_HOME"] = str(folder / "home")
        self.config = _config(name, folder)
        self.whole, self.half = folder / "whole", folder / "half"
        self.acts: dict[str, list[Act]] = {}

    def prepare(self) -> None:
        """Do the undisturbed run, which leaves its features on disk; list its acts."""
        for folder in (self.whole, self.half):
            shutil.rmtree(folder, ignore_errors=True)
        done = self._forked(lambda: self._train(self.whole))
        assert done.status == 0, done.text

        def half() -> None:
            """A run that is killed when its sparse half is done."""
            injector = self._inject(self.half)
            finish = RunStages.finish

            def kill(*arguments: Any, **facts: Any) -> None:
                finish(*arguments, **facts)
                self._write_acts(injector)
                os._exit(KILLED)

            RunStages.finish = kill
            self._train(self.half)

        done = self._forked(half)
        assert done.status == KILLED, done.text
        self.acts["sparse"] = self._read_acts()
        copy = self._begun("counted", "tune")

        def counted() -> None:
            injector = self._inject(copy)
            self._resume(copy)
            self._write_acts(injector)

        done = self._forked(counted)
        assert done.status == 0, done.text
        assert not difference(self.whole, copy), difference(self.whole, copy)
        self.acts["tune"] = self._read_acts()

    def try_at(self, phase: str, number: int, fault: str = "kill") -> Outcome:
        """Cut a run short at an act of a phase, resume it, and compare the results."""
        folder = self._begun(f"{fault}-{phase}-{number}", phase)
        wrong = self._cut(folder, number, fault) or self._finished(folder)
        if not wrong:
            shutil.rmtree(folder)
        return Outcome(self.name, phase, fault, self.acts[phase][number], wrong)

    def try_one_after_another(self, acts: Sequence[Act]) -> str:
        """Cut one run short at each of these acts of "tune", and resume it each time.

        Gives what is wrong at the end; empty if the result is that of a run that
        nothing disturbed.
        """
        folder = self._begun("chain", "tune")
        for act in acts:
            if wrong := self._cut(folder, act, "kill"):
                return f"{act}: {wrong}"
        return self._finished(folder)

    def try_at_random(self, phase: str, seed: int) -> tuple[int, str]:
        """Cut one run short at acts drawn by chance, and resume it each time.

        Ends when a draw lies behind the end of the phase, as one in four does. Gives
        the number of kills and what is wrong at the end; empty if the result is that of
        a run that nothing disturbed.
        """
        draw = random.Random(f"{self.name} {phase} {seed}")
        folder = self._begun("random", phase)
        furthest = 4 * len(self.acts[phase]) // 3
        kills = 0
        while not self._has_done(folder, phase):
            at = draw.randrange(furthest)
            said = self._forked(partial(self._go_on, folder, at))
            if said.status == 0:
                break
            if said.status != KILLED:
                return kills, f"failed before kill {kills + 1}: {said.last}"
            kills += 1
        return kills, self._finished(folder)

    def _has_done(self, folder: Path, phase: str) -> bool:
        """Whether the kills of a phase have gone beyond it."""
        if phase != "sparse" or not (folder / RunFile.CONFIG).is_file():
            return False
        return bool(len(RunStages(folder, Run(folder).config)))

    def kinds(self) -> list[Act]:
        """Each kind of act of "tune" that changes what a reader finds, once.

        They are in an order in which a run that is killed at one comes to the next.
        """
        acts = self.acts["tune"]
        renamed = {act.name for act in acts if act.what == "rename"}
        return [
            act
            for act in dict.fromkeys(acts)
            if act.what != "fsync" and (act.what != "open" or act.name not in renamed)
        ]

    def _begun(self, name: str, phase: str) -> Path:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        if phase == "tune":
            shutil.copytree(self.half, folder)
        return folder

    def _cut(self, folder: Path, at: int | Act, fault: str) -> str:
        """Go on with the run, and cut it short; gives what is wrong then."""
        said = self._forked(partial(self._go_on, folder, at, fault))
        if said.status == 0:
            return "the fault was not noticed"
        if fault == "kill" and said.status != KILLED:
            return f"failed before the kill: {said.last}"
        if fault == "full" and "StcError" not in said.last:
            return f"no sentence: {said.last}"
        return ""

    def _go_on(self, folder: Path, at: int | Act, fault: str = "kill") -> None:
        """Go on with the run until the act, or to its end; in a process of its own."""
        Injector([folder], at=at, fault=fault).install()
        self._resume(folder)

    def _finished(self, folder: Path) -> str:
        """Resume the run to its end; gives what is wrong with the result."""
        said = self._forked(lambda: self._resume(folder))
        return said.last if said.status else difference(self.whole, folder)

    def _inject(self, folder: Path) -> Injector:
        injector = Injector([folder])
        injector.install()
        return injector

    def _write_acts(self, injector: Injector) -> None:
        text = json.dumps(injector.acts)
        (self.folder / "acts.json").write_text(text, encoding="utf-8")

    def _read_acts(self) -> list[Act]:
        text = (self.folder / "acts.json").read_text("utf-8")
        return [Act(*act) for act in json.loads(text)]

    def _train(self, folder: Path) -> None:
        with RunWriter(folder, self.config) as writer:
            registry.train(writer.config, writer)

    def _resume(self, folder: Path) -> None:
        """Go on as `stc resume` does, or begin if the run had not.

        A run that was killed after it was done is left as it is.
        """
        if (folder / "config.json").is_file() and Run(folder).done:
            return
        if not (folder / "config.json").is_file():
            self._train(folder)
            return
        run = jobs.claim(folder, by=Worker.current())
        with RunWriter(folder, run.config) as writer:
            registry.train(writer.config, writer)

    def _forked(self, work: Callable[[], None]) -> "_Said":
        """Do `work` in a process of its own."""
        path = self.folder / f"said-{time.monotonic_ns()}"
        if (pid := os.fork()) == 0:
            try:
                work()
            except BaseException:  # noqa: BLE001 - it is told to the parent
                text = traceback.format_exc()
                path.write_text(text, encoding="utf-8")
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        text = path.read_text("utf-8") if path.is_file() else ""
        path.unlink(missing_ok=True)
        return _Said(os.waitstatus_to_exitcode(status), text)


class _Said(NamedTuple):
    status: int
    text: str

    @property
    def last(self) -> str:
        lines = self.text.strip().splitlines()
        return lines[-1][:300] if lines else f"exit status {self.status}"


def _config(name: str, folder: Path) -> RunConfig:
    settings = {**RECIPES, **FROZEN}[name]
    depth = 2 if settings["recipe"] == "hierarchy" else 1
    if name == "words":
        base = saved_lm(folder / "base")
    else:
        base = saved_base(folder / "base", "bert")
        tokenizer = tiny_tokenizer("right", specials=True)
        tokenizer.mask_token = "<other pad>"
        assert tokenizer.mask_token_id == MASK
        tokenizer.save_pretrained(base)
    train = {
        "backbone": str(base),
        "device": "cpu",
        "kinds": ("resid",),
        "poolings": ("mean",),
        "max_layer": 2,
        **settings,
    }
    labels = tuple(f"level {n}" for n in range(depth))
    source = table(folder, depth, {"warm": "kind", "cold": "rude"}, rows=ROWS)
    data = DataConfig(path=str(source), text="text", labels=labels)
    return RunConfig(data=data, train=TrainConfig(**train), created="2026-01-01")


def difference(whole: Path, resumed: Path) -> str:
    """How the files of two runs differ but for times; empty if they do not."""
    names = [_names(folder) for folder in (whole, resumed)]
    if names[0] != names[1]:
        return f"other files: {sorted(names[0] ^ names[1])}"
    if not Run(resumed).done:
        return f"the run is {Run(resumed).status['state']}"
    for name in sorted(names[0]):
        one, other = (_content(folder / name) for folder in (whole, resumed))
        if one != other:
            return f"another {name}"
    return ""


def _names(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    # The last act removes stages.json: a finished run may have it, which is no harm.
    ignored = {"worker.json", "stages.json"}
    return {str(path.relative_to(folder)) for path in paths} - ignored


def _content(path: Path) -> Any:
    """What a file of a run says, without times."""
    if path.name in ("log.txt", "status.json"):
        return None
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text("utf-8")))
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path).drop(columns=list(_TIMES), errors="ignore")
        return frame.to_csv()
    if path.suffix == ".safetensors":  # the order of its names is by chance
        with safe_open(path, "np") as file:
            tensors = {name: file.get_tensor(name).tobytes() for name in file.keys()}
            return file.metadata(), tensors
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in _TIMES}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def chosen(acts: Sequence[Act], wanted: Sequence[str]) -> list[int]:
    """The numbers of acts: all, each n-th for a number, or the first of each name."""
    if not wanted:
        return list(range(len(acts)))
    if wanted[0].isdecimal():
        return list(range(0, len(acts), int(wanted[0])))
    names = [act.name.rpartition("/")[2] for act in acts]
    return [names.index(name) for name in wanted]


def main(arguments: Sequence[str]) -> None:
    """Print what became of each act, a line each, as JSON.

    RECIPE FOLDER chain [EVERY]
    RECIPE FOLDER sparse|tune kill|full [EVERY | NAME ...]
    RECIPE FOLDER orders
    all

    The last but one reads what to try from stdin, a JSON list a line: ["chain"], or
    ["random"], a phase and a seed, or a phase, the number of an act and a fault. It
    first tells the acts of each phase. The
    last reads from there arguments as above, a JSON list a line, and tells null after
    what it tells of each: to import everything takes longer than many a try.
    """
    if arguments == ["all"]:
        for line in sys.stdin:
            main(json.loads(line))
            tell(None)
        return
    gc.freeze()  # the forks collect only what is their own
    name, folder, phase, *more = arguments
    campaign = Campaign(name, Path(folder))
    campaign.prepare()
    if phase == "chain":
        tell(chain(campaign, *map(int, more)))
        return
    if phase == "orders":
        tell(campaign.acts)
        for line in sys.stdin:
            tell(obey(campaign, *json.loads(line)))
        return
    fault, *wanted = more
    for number in chosen(campaign.acts[phase], wanted):
        if fault == "full" and campaign.acts[phase][number].what == "remove":
            continue  # a full disk keeps nobody from removing
        tell(campaign.try_at(phase, number, fault)._asdict())


def obey(campaign: Campaign, what: str, *more: Any) -> dict[str, Any]:
    """What became of an order, see `main`."""
    if what == "chain":
        return chain(campaign)
    if what == "random":
        kills, wrong = campaign.try_at_random(*more)
        return {"recipe": campaign.name, "kills": kills, "wrong": wrong}
    return campaign.try_at(what, *more)._asdict()


def chain(campaign: Campaign, every: int = 1) -> dict[str, Any]:
    """Kill one run at every kind of act, or at each `every`-th, one after another."""
    kinds = campaign.kinds()[::every]
    wrong = campaign.try_one_after_another(kinds)
    return {"recipe": campaign.name, "kills": len(kinds), "wrong": wrong}


def tell(record: dict[str, Any] | None) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
