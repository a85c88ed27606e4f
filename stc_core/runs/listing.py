"""The list of runs: one line for each run, with search and sorting."""

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
    """One run in the list; its results are None until it is done.

    `run` is the name of its folder, `started` the time when the user started it (ISO
    8601), and `n` the number of test texts.
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


def listed_run(run: Run) -> ListedRun:
    """The line of `run`; the fields of a damaged file are empty or None."""
    metrics = run.outcome
    test = metrics.get("test", {})
    try:
        recipe, backbone, data, labels = _settings(run.config)
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


def _settings(config: RunConfig) -> tuple[str, str, str, str]:
    """The recipe, backbone, file and labels of a run, in short words."""
    train = config.train
    recipe = "spin" if train.preset == "spin" else train.recipe
    if config.shrink is not None:
        recipe = "shrunk"
    data = config.data
    names = _model(train.backbone), Path(data.path).name, " › ".join(data.labels)
    return recipe, *names


def _model(backbone: str) -> str:
    """The Hub id or folder name of a model, as RUN/backbone if the run RUN tuned it."""
    path = Path(backbone)
    if not path.is_absolute():
        return backbone
    return f"{path.parent.name}/{path.name}" if path.name == "backbone" else path.name


def matching_runs(lines: Sequence[ListedRun], words: str) -> list[ListedRun]:
    """The lines that contain each of the words; upper and lower case are the same."""
    wanted = words.casefold().split()
    return [line for line in lines if all(word in _text(line) for word in wanted)]


def _text(line: ListedRun) -> str:
    words = (line.name, line.run, line.state, *line.tags, line.recipe, line.backbone)
    return "\n".join((*words, line.data, line.labels)).casefold()


def sort_runs(lines: Sequence[ListedRun], by: RunOrder) -> list[ListedRun]:
    """The lines with the largest value first, or by name from A to Z.

    Lines whose value is not known come last.
    """
    if by == "name":
        return sorted(lines, key=lambda line: line.name.casefold())
    if by == "newest":
        return sorted(lines, key=lambda line: line.started, reverse=True)
    field = {"accuracy": "accuracy", "time": "seconds", "disk": "n_bytes"}[by]
    known = [line for line in lines if getattr(line, field) is not None]
    unknown = [line for line in lines if getattr(line, field) is None]
    known.sort(key=lambda line: getattr(line, field), reverse=True)
    return known + unknown


def run_table(lines: Sequence[ListedRun]) -> pd.DataFrame:
    """The lines as a table with titles for people; accuracy in percent."""
    return pd.DataFrame(
        {
            "Name": [line.name for line in lines],
            "State": [str(line.state) for line in lines],
            "Accuracy": _numbers([line.accuracy for line in lines]) * 100,
            "Neurons": _numbers([line.neurons for line in lines]),
            "Layers": _numbers([line.layers for line in lines]),
            "Recipe": [line.recipe for line in lines],
            "Started": _times([line.started for line in lines]),
            "Tags": [list(line.tags) for line in lines],
            "Model": [line.backbone for line in lines],
            "Data": [line.data for line in lines],
            "Labels": [line.labels for line in lines],
            "Test texts": _numbers([line.n for line in lines]),
            "Seconds": _numbers([line.seconds for line in lines]),
            "Disk": _numbers([line.n_bytes for line in lines]),
        }
    )


def _numbers(values: Sequence[float | int | None]) -> pd.Series:
    return pd.Series(list(values), dtype=float)


def _times(written: Sequence[str]) -> pd.Series:
    """Each time in the time zone of the machine on which the run was started."""
    return pd.Series([_time(text) for text in written], dtype="M8[s]")


def _time(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written).replace(tzinfo=None)
    except ValueError:  # no time, or the settings were changed by hand
        return None
