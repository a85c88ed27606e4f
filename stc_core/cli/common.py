"""Functions that all commands use: grouped options, the named run, JSON, interrupts."""

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
from stc_core.runs.layout import RunFile

SETTING_PARTS = {"tune": Tuning, "hierarchy": Hierarchy, "attention": AttentionOptions}
"""The parts of TrainConfig. The command line has no parts: their options are flat."""
TYPED = {
    "path": "argument DATA",
    "test_path": "option --test",
    "labels": "option --label",
}
"""Settings whose option or argument has another name."""


def spread_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with each parameter that is a group replaced by the group's options.

    A group is a dataclass of `options`; the options are in the order of its fields.
    """
    groups: dict[str, dict[str, str]] = {}  # group name -> {option name: field name}
    parameters: list[Parameter] = []
    signature = inspect.signature(command)
    for parameter in signature.parameters.values():
        if not is_dataclass(parameter.annotation):
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = {}
        for field in fields(parameter.annotation):
            name = option(field).replace("-", "_")
            groups[parameter.name][name] = field.name
            parameters.append(
                Parameter(
                    name,
                    Parameter.KEYWORD_ONLY,
                    default=field.default,
                    annotation=field.type,
                )
            )

    @wraps(command)
    def with_groups(**values: Any) -> None:
        for group, names in groups.items():
            of_group = {field: values.pop(name) for name, field in names.items()}
            values[group] = signature.parameters[group].annotation(**of_group)
        command(**values)

    vars(with_groups)["__signature__"] = inspect.Signature(parameters)
    return with_groups


def config_of(data: dict[str, Any], settings: dict[str, Any], *, name: str = "") -> Any:
    """The RunConfig with these data columns and settings; None means the default.

    Raises StcError with the name of the option if a setting is not valid.
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
    """Turn a SettingError into a StcError that names the option the user typed."""
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
    """The option or argument of the setting at `place` in DataConfig or TrainConfig."""
    name = place[-1]
    if name in TYPED:
        return TYPED[name]
    group = SETTING_PARTS[place[0]] if place[0] in SETTING_PARTS else Training
    names = {field.name: option(field) for field in fields(group)}
    return f"option --{names.get(name, name.replace('_', '-'))}"


def program() -> str:
    """The command that the user typed, so that printed commands can be copied."""
    return "stc" if Path(sys.argv[0]).stem == "stc" else "python -m stc_core"


def open_run(run: str) -> Any:
    """The run in the folder `run`, or the known run with this folder name or name.

    The name is the present one, also after a rename. Raises StcError if several runs
    have it, or if there is no such run.
    """
    from stc_core.errors import StcError
    from stc_core.paths import runs_folder
    from stc_core.runs.run import Run, list_runs

    known = runs_folder() / run
    is_folder = (Path(run) / RunFile.CONFIG).is_file()
    if is_folder or known.is_dir():
        return Run.open(run if is_folder else known)
    named = [known_run for known_run in list_runs() if known_run.name == run]
    if len(named) > 1:
        folders = ", ".join(known_run.folder.name for known_run in named)
        raise StcError(
            f"run {run!r}",
            expected="a name that one run has",
            got=f"{len(named)} runs with this name: {folders}",
            remedy="Give the folder of the run that you mean.",
        )
    return named[0] if named else Run.open(run)


def print_json(value: Any) -> None:
    """Print `value` as JSON on stdout; a reader that stops reading is no error."""
    from stc_core.streams import printable_json, stop_with_reader

    with stop_with_reader():
        typer.echo(printable_json(value, getattr(sys.stdout, "encoding", None)))


def terminate_as_interrupt() -> None:
    """Handle SIGTERM like Ctrl-C, so that the run is marked as cancelled."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
