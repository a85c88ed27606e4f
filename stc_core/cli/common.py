"""Functions that all commands use: grouped options, the named run, JSON, interrupts."""

import inspect
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from stc_core.cli.options import SettingOptions
from stc_core.config import SETTING_PARTS, DataConfig, RunConfig, TrainConfig
from stc_core.engine.settings import EngineConfig
from stc_core.errors import StcError
from stc_core.frozen import SettingError
from stc_core.runs.layout import RunFile
from stc_core.setting import option_of


def spread_options(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with an option for each setting of its `SettingOptions` parameters.

    Such a parameter gets a dict of the settings that the user gave. The options are in
    the order of the settings.
    """
    groups: dict[str, SettingOptions] = {}
    parameters: list[Parameter] = []
    signature = inspect.signature(command)
    for parameter in signature.parameters.values():
        notes = getattr(parameter.annotation, "__metadata__", ())
        asked = next((note for note in notes if isinstance(note, SettingOptions)), None)
        if asked is None:
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = asked
        parameters += [
            Parameter(
                _flat_name(parameter.name, name),
                Parameter.KEYWORD_ONLY,
                default=None,
                annotation=asked.annotation(name),
            )
            for name in asked.fields()
        ]

    @wraps(command)
    def with_groups(**values: Any) -> None:
        for group, asked in groups.items():
            names = {name: _flat_name(group, name) for name in asked.fields()}
            values[group] = _given({name: values.pop(names[name]) for name in names})
        command(**values)

    vars(with_groups)["__signature__"] = inspect.Signature(parameters)
    return with_groups


def _flat_name(group: str, name: str) -> str:
    """The name of an option's parameter; settings of two groups may be named alike."""
    return f"{group}__{name}"


def config_of(
    data: dict[str, Any],
    settings: dict[str, Any],
    *,
    name: str = "",
    file: str | None = None,
) -> RunConfig:
    """The RunConfig with these data columns and settings.

    None means the value in the config.json `file`, and without one the default. Raises
    StcError with the name of the option if a setting is not valid.
    """
    settings = _given(settings)
    for part in SETTING_PARTS.keys() & settings.keys():
        settings[part] = _given(settings[part])
    with options_named():
        if file is not None:
            from stc_core.recipes.settings_file import settings_from_file

            return settings_from_file(
                file, data=_given(data), train=settings, name=name
            )
        return RunConfig(
            name=name, data=DataConfig(**_given(data)), train=TrainConfig(**settings)
        )


def engine_of(settings: dict[str, Any]) -> EngineConfig | None:
    """The engine that the user named; None without one.

    StcError for an option of the engines without --engine.
    """
    with options_named():
        config = EngineConfig(**settings)
    if config.engine is not None:
        return config
    if settings:
        fields = EngineConfig.model_fields
        name = next(iter(settings))
        raise StcError(
            f"option {option_of(name, fields[name])}",
            expected="--engine local or --engine ray with it",
        )
    return None


@contextmanager
def options_named() -> Iterator[None]:
    """Turn a SettingError into a StcError that names the option the user typed."""
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
    if place[0] in ("data", "train"):  # the place in a whole RunConfig
        place = place[1:]
    *part, name = place
    inner = SETTING_PARTS.get(part[0]) if part else None
    models = [inner] if inner else [TrainConfig, DataConfig, EngineConfig]
    known = next((m.model_fields for m in models if name in m.model_fields), {})
    typed = option_of(name, known[name]) if name in known else f"--{name}"
    return f"{'option' if typed.startswith('--') else 'argument'} {typed}"


def program() -> str:
    """The command that the user typed, so that printed commands can be copied."""
    return "stc" if Path(sys.argv[0]).stem == "stc" else "python -m stc_core"


def open_run(run: str) -> Any:
    """The run in the folder `run`, or the known run with this folder name or name.

    `run` may also be the file of a bundle. The name is the present one, also after a
    rename. Raises StcError if several runs have it, or if there is no such run.
    """
    from stc_core.errors import StcError
    from stc_core.paths import runs_folder
    from stc_core.runs.run import Run, list_runs

    if _is_model(run) and not _is_known_run(run):
        raise StcError(
            f"run {run!r}",
            expected="a run",
            got="the folder of a language model",
            remedy="`stc predict` and `stc explain` take such a model if it has a "
            "classification head. For all else make a run of it: `stc train DATA "
            "--backbone MODEL --recipe existing`.",
        )
    known = runs_folder() / run
    is_here = (Path(run) / RunFile.CONFIG).is_file() or Path(run).is_file()
    if is_here or known.is_dir():
        return Run.open(run if is_here else known)
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


def open_classifier_of(name: str) -> tuple[Any, Any]:
    """The classifier called `name`, and its run, or None if it belongs to none.

    It is that of a run, as `open_run` finds it, or a model of transformers with a
    classification head: a folder, or one in the cached models.
    """
    if _is_model(name) and not _is_known_run(name):
        from stc_core.classifiers.pretrained.sequence_classifier import (
            SequenceClassifier,
        )

        return SequenceClassifier.load(name), None
    opened = open_run(name)
    return opened.classifier(), opened


def _is_known_run(name: str) -> bool:
    """Whether a run of the home has this folder name or this name."""
    from stc_core.paths import runs_folder
    from stc_core.runs.run import list_runs

    if (Path(name) / RunFile.CONFIG).is_file():  # a folder here comes first
        return False
    return (runs_folder() / name).is_dir() or any(r.name == name for r in list_runs())


def _is_model(name: str) -> bool:
    """Whether a folder here, or a cached model, has this name and is a model."""
    from stc_core.files import read_json
    from stc_core.paths import models_folder

    folders = (Path(name), models_folder() / name.replace("/", "--"))
    configs = [folder / RunFile.CONFIG for folder in folders]
    found = next((path for path in configs if path.is_file()), None)
    return found is not None and "architectures" in read_json(found)


def print_json(value: Any) -> None:
    """Print `value` as JSON on stdout; a reader that stops reading is no error."""
    from stc_core.streams import printable_json, stop_with_reader

    with stop_with_reader():
        typer.echo(printable_json(value, getattr(sys.stdout, "encoding", None)))


def run_location(run: Any) -> dict[str, str]:
    """What `--json` prints of a run that was made: its folder, and its two names."""
    folder = str(run.folder.absolute())
    return {"run": run.folder.name, "name": run.name, "folder": folder}


def terminate_as_interrupt() -> None:
    """Handle SIGTERM like Ctrl-C: a run is marked as cancelled, and what was being
    written is removed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
