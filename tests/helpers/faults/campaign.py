"""A tiny run of each recipe that tunes, cut short at an act on disk and resumed.

Each process is forked from one that has imported everything and has computed nothing.
"""

import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from helpers.faults.injection import KILLED, Act, Injector
from helpers.models.masked_words import MASK
from helpers.models.saved import saved_base, saved_lm
from helpers.models.tiny import tiny_tokenizer
from helpers.runs.hierarchy import table
from stc_core.config import DataConfig, RunConfig, TrainConfig
from stc_core.recipe_settings import AttentionConfig, HierarchyConfig, TuneConfig
from stc_core.recipes import registry
from stc_core.runs import jobs
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

_TUNE = {"epochs": 2, "batch": 32, "learning_rate": 3e-3}
RECIPES: dict[str, dict[str, Any]] = {
    "variability": {
        "recipe": "variability",
        "tune": TuneConfig(method="lora", blocks=1, layer=1, **_TUNE),
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
        "hierarchy": HierarchyConfig(heads="class"),
        "tune": TuneConfig(blocks=1, **_TUNE),
    },
    "words": {
        "recipe": "hierarchy",
        "hierarchy": HierarchyConfig(heads="words"),
        "tune": TuneConfig(blocks=1, **_TUNE),
    },
}
"""The settings of each kind of run that tunes."""
_TIMES = ("seconds", "peak_bytes", "created", "ms_per_text")
"""What another process measures anew: times and memory."""


class Outcome(NamedTuple):
    """What became of a run that was cut short at the act `number` and resumed."""

    recipe: str
    fault: str
    number: int
    act: Act
    wrong: str  # empty: the result is that of a run that nothing disturbed


class Campaign:
    """The runs of one recipe below `folder`, and their undisturbed result."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["STC_HOME"] = str(folder / "home")
        self.config = _config(name, folder)
        self.whole = folder / "whole"

    def count(self) -> list[Act]:
        """The acts of an undisturbed run, whose features are then on disk."""
        shutil.rmtree(self.whole, ignore_errors=True)
        said = self._forked(lambda: self._train(self.whole))
        assert said.status == 0, said.text
        path = self.folder / "acts.json"

        def counted() -> None:
            injector = Injector([self.folder / "again"])
            injector.install()
            self._train(self.folder / "again")
            path.write_text(json.dumps(injector.acts), encoding="utf-8")

        said = self._forked(counted)
        assert said.status == 0, said.text
        assert not difference(self.whole, self.folder / "again")
        shutil.rmtree(self.folder / "again")
        return [Act(*act) for act in json.loads(path.read_text("utf-8"))]

    def try_at(self, number: int, act: Act, fault: str = "kill") -> Outcome:
        """Cut a run short at an act, resume it, and compare the results."""
        folder = self.folder / f"{fault}-{number}"

        def cut() -> None:
            Injector([folder], at=number, fault=fault).install()
            self._train(folder)

        said = self._forked(cut)
        wrong = ""
        if said.status == 0:
            wrong = "the fault was not noticed"
        elif fault == "kill" and said.status != KILLED:
            wrong = f"failed before the kill: {said.last}"
        elif fault == "full" and "StcError" not in said.last:
            wrong = f"no sentence: {said.last}"
        if not wrong:
            again = self._forked(lambda: self._resume(folder))
            wrong = again.last if again.status else difference(self.whole, folder)
        if not wrong:
            shutil.rmtree(folder)
        return Outcome(self.name, fault, number, act, wrong)

    def _train(self, folder: Path) -> None:
        with RunWriter(folder, self.config) as writer:
            registry.train(writer.config, writer)

    def _resume(self, folder: Path) -> None:
        """Go on as `stc resume` does, or begin if the run had not."""
        if not (folder / "config.json").is_file():
            self._train(folder)
            return
        run = jobs.claim(folder)
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
    settings = RECIPES[name]
    depth = 2 if settings["recipe"] == "hierarchy" else 1
    if name == "words":
        base = saved_lm(folder / "base", "llama")
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
    data = DataConfig(path=str(table(folder, depth)), text="text", labels=labels)
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
    return {str(path.relative_to(folder)) for path in paths}


def _content(path: Path) -> Any:
    """What a file of a run says, without times."""
    if path.name in ("log.txt", "status.json", "worker.json"):
        return None
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text("utf-8")))
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path).drop(columns=list(_TIMES), errors="ignore")
        return frame.to_csv()
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in _TIMES}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def outcomes(
    name: str, folder: Path, fault: str, *, every: int = 1, first: int = 0
) -> Iterator[Outcome]:
    """Try each act, or each `every`-th of them."""
    campaign = Campaign(name, folder)
    for number, act in list(enumerate(campaign.count()))[first::every]:
        if not (fault == "full" and act.what == "remove"):
            yield campaign.try_at(number, act, fault)


def main(arguments: Sequence[str]) -> None:
    name, folder, fault, every, *first = arguments
    at = int(first[0]) if first else 0
    for outcome in outcomes(name, Path(folder), fault, every=int(every), first=at):
        print(json.dumps(outcome._asdict()), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
