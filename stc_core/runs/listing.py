"""The ledger of runs: a line for each, searched and sorted."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from stc_core.config import RunConfig
from stc_core.errors import StcError
from stc_core.files import folder_bytes
from stc_core.runs.annotations import read_about
from stc_core.runs.run import Run
from stc_core.runs.status import State

RunOrder = Literal["newest", "name", "accuracy", "time", "disk"]


class ListedRun(NamedTuple):
    """A run in the ledger; results are None until it is done.

    `run` is its folder, `started` when it was asked for (ISO 8601), `n` the number of
    test texts.
    """

    run: str
    name: str
    state: State
    tags: tuple[str, ...]
    recipe: str
    backbone: str
    data: str
    labels: str
    accuracy: float | None
    n: int | None
    neurons: int | None
    layers: int | None
    seconds: float | None
    started: str
    n_bytes: int


def line(run: Run) -> ListedRun:
    """The line of `run`, whose files may be damaged: what they say is empty then."""
    metrics = run.outcome
    test = metrics.get("test", {})
    try:
        recipe, backbone, data, labels = _asked(run.config)
    except StcError:
        recipe = backbone = data = labels = ""
    return ListedRun(
        run=run.folder.name,
        name=run.name,
        state=run.status["state"],
        tags=read_about(run.folder).tags,
        recipe=recipe,
        backbone=backbone,
        data=data,
        labels=labels,
        accuracy=test.get("accuracy"),
        n=test.get("n"),
        neurons=metrics.get("neurons", {}).get("selected"),
        layers=metrics.get("layers", {}).get("used"),
        seconds=metrics.get("seconds", {}).get("total"),
        started=run.created,
        n_bytes=folder_bytes(run.folder),
    )


def _asked(config: RunConfig) -> tuple[str, str, str, str]:
    """Recipe, backbone, file and labels, as short as they can be told apart."""
    train = config.train
    recipe = "spin" if train.preset == "spin" else train.recipe
    if config.shrink is not None:
        recipe = "shrunk"
    data = config.data
    names = _model(train.backbone), Path(data.path).name, " › ".join(data.labels)
    return recipe, *names


def _model(backbone: str) -> str:
    """A folder's own name, with its run's if it is the model tuned there."""
    path = Path(backbone)
    if not path.is_absolute():
        return backbone
    return f"{path.parent.name}/{path.name}" if path.name == "backbone" else path.name


def matching_runs(lines: Sequence[ListedRun], words: str) -> list[ListedRun]:
    """The lines that hold each of the words somewhere, in whatever case."""
    asked = words.casefold().split()
    return [one for one in lines if all(word in _text(one) for word in asked)]


def _text(one: ListedRun) -> str:
    words = (one.name, one.run, one.state, *one.tags, one.recipe, one.backbone)
    return "\n".join((*words, one.data, one.labels)).casefold()


def ordered(lines: Sequence[ListedRun], by: RunOrder) -> list[ListedRun]:
    """The lines, the largest first (names: from A on); what is not known is last."""
    if by == "name":
        return sorted(lines, key=lambda one: one.name.casefold())
    if by == "newest":
        return sorted(lines, key=lambda one: one.started, reverse=True)
    field = {"accuracy": "accuracy", "time": "seconds", "disk": "n_bytes"}[by]
    known = [one for one in lines if getattr(one, field) is not None]
    unknown = [one for one in lines if getattr(one, field) is None]
    known.sort(key=lambda one: getattr(one, field), reverse=True)
    return known + unknown


def run_table(lines: Sequence[ListedRun]) -> pd.DataFrame:
    """The lines under the names that people read; accuracy in percent."""
    return pd.DataFrame(
        {
            "Name": [one.name for one in lines],
            "State": [str(one.state) for one in lines],
            "Accuracy": _numbers([one.accuracy for one in lines]) * 100,
            "Neurons": _numbers([one.neurons for one in lines]),
            "Layers": _numbers([one.layers for one in lines]),
            "Recipe": [one.recipe for one in lines],
            "Started": _times([one.started for one in lines]),
            "Tags": [list(one.tags) for one in lines],
            "Model": [one.backbone for one in lines],
            "Data": [one.data for one in lines],
            "Labels": [one.labels for one in lines],
            "Test texts": _numbers([one.n for one in lines]),
            "Seconds": _numbers([one.seconds for one in lines]),
            "Disk": _numbers([one.n_bytes for one in lines]),
        }
    )


def _numbers(values: Sequence[float | int | None]) -> pd.Series:
    return pd.Series(list(values), dtype=float)


def _times(said: Sequence[str]) -> pd.Series:
    """By the clock of where each was asked for."""
    return pd.Series([_time(one) for one in said], dtype="M8[s]")


def _time(said: str) -> datetime | None:
    try:
        return datetime.fromisoformat(said).replace(tzinfo=None)
    except ValueError:  # there is none, or the settings were changed by hand
        return None
