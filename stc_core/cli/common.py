"""What the commands share: their options in groups, the run they name, their end."""

import inspect
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from stc_core.cli.options import AttentionOptions, Hierarchy, Training, Tuning, option
from stc_core.errors import StcError

SETTING_PARTS = {"tune": Tuning, "hierarchy": Hierarchy, "attention": AttentionOptions}
"""The parts of TrainConfig, whose options are flat here."""
TYPED = {
    "path": "argument DATA",
    "test_path": "option --test",
    "labels": "option --label",
}
"""Settings that are not typed under their own name."""


def spread_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with the options of a group in place of each parameter that is one.

    A group is a dataclass of `options`; the options are in the order of its fields.
    """
    groups: dict[str, dict[str, str]] = {}  # of a group: its fields by parameter
    parameters: list[Parameter] = []
    signature = inspect.signature(command)
    for one in signature.parameters.values():
        if not is_dataclass(one.annotation):
            parameters.append(one.replace(kind=Parameter.KEYWORD_ONLY))
            continue
        groups[one.name] = {}
        for field in fields(one.annotation):
            name = option(field).replace("-", "_")
            groups[one.name][name] = field.name
            parameters.append(
                Parameter(
                    name,
                    Parameter.KEYWORD_ONLY,
                    default=field.default,
                    annotation=field.type,
                )
            )

    @wraps(command)
    def gathered(**given: Any) -> None:
        for group, names in groups.items():
            values = {field: given.pop(name) for name, field in names.items()}
            given[group] = signature.parameters[group].annotation(**values)
        command(**given)

    vars(gathered)["__signature__"] = inspect.Signature(parameters)
    return gathered


def config_of(data: dict[str, Any], settings: dict[str, Any], *, name: str = "") -> Any:
    """The RunConfig of what was given; what is None has its default there.

    StcError names the option of a setting that is not valid.
    """
    from stc_core.config import DataConfig, RunConfig, TrainConfig

    settings = _given(settings)
    for part in SETTING_PARTS.keys() & settings.keys():
        settings[part] = _given(settings[part])
    with options_named():
        return RunConfig(
            name=name, data=DataConfig(**_given(data)), train=TrainConfig(**settings)
        )


@contextmanager
def options_named() -> Iterator[None]:
    """Say a setting that cannot be by its option, as the user typed it."""
    from stc_core.frozen import SettingError

    try:
        yield
    except SettingError as error:
        raise StcError(
            _option_at(error.place), expected=error.expected, got=error.got
        ) from error


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _option_at(place: tuple[str, ...]) -> str:
    """What is typed for the setting at `place` of DataConfig or TrainConfig."""
    name = place[-1]
    if name in TYPED:
        return TYPED[name]
    group = SETTING_PARTS[place[0]] if place[0] in SETTING_PARTS else Training
    names = {field.name: option(field) for field in fields(group)}
    return f"option --{names.get(name, name.replace('_', '-'))}"


def program() -> str:
    """How the user called us, so that what we print can be typed."""
    return "stc" if Path(sys.argv[0]).stem == "stc" else "python -m stc_core"


def open_run(run: str) -> Any:
    """The run in a folder, or of that name among the known runs.

    A name that was given later counts, too; StcError where several runs have it.
    """
    from stc_core.errors import StcError
    from stc_core.paths import runs_folder
    from stc_core.runs.run import Run, list_runs

    known = runs_folder() / run
    is_folder = (Path(run) / "config.json").is_file()
    if is_folder or known.is_dir():
        return Run.open(run if is_folder else known)
    named = [one for one in list_runs() if one.name == run]
    if len(named) > 1:
        folders = ", ".join(one.folder.name for one in named)
        raise StcError(
            f"run {run!r}",
            expected="a name that one run has",
            got=f"{len(named)} of them: {folders}",
            remedy="Give the folder of the one that is meant.",
        )
    return named[0] if named else Run.open(run)


def print_json(value: Any) -> None:
    from stc_core.streams import printable_json, stop_with_reader

    with stop_with_reader():
        typer.echo(printable_json(value, getattr(sys.stdout, "encoding", None)))


def terminate_as_interrupt() -> None:
    """Make a polite kill the same as Ctrl-C: the run says that it was cancelled."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
