"""The settings of a new run, read from a config.json and changed by what is given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from stc_core.config import KEPT, RUN_FORMAT, SETTING_PARTS, RunConfig
from stc_core.errors import StcError
from stc_core.files import decode_json, read_text
from stc_core.frozen import SettingError
from stc_core.runs.layout import RunFile


def settings_from_file(
    path: str | Path,
    *,
    data: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    name: str = "",
) -> RunConfig:
    """The settings in the file `path`, or in the config.json of the folder `path`.

    Values in `data`, `train` and `name` win over those of the file; a part of `train`,
    such as `tune`, is a mapping of its own. What stands in neither has its default.
    Raises SettingError for a given value that is not valid. Raises StcError, with the
    name of the setting, if the file has an unknown or a bad one, or if a run made by
    `stc shrink` left it.
    """
    source = Path(path)
    file = source / RunFile.CONFIG if source.is_dir() else source
    record = _read_record(file)
    given = {"data": dict(data or {}), "train": dict(train or {})}
    merged = record | {p: _merged(record.get(p, {}), given[p]) for p in given}
    merged |= {"name": name or record.get("name", ""), "created": ""}
    merged["example"] = False  # a run of the user
    # A run made earlier may lack a setting that is newer than it, and meant another
    # default; a file that somebody wrote means those of today.
    context = {KEPT: True} if record.get("created") else None
    try:
        meant = RunConfig.model_validate(merged, context=context)
        return RunConfig.model_validate(meant.model_dump())  # by the limits of today
    except SettingError as error:
        if _is_given(given, error.place):
            raise
        raise StcError(
            f"{file}, {'.'.join(error.place) or 'settings'}",
            expected=error.expected,
            got=error.got,
            remedy="The config.json of any run shows every setting.",
        ) from error


def _read_record(file: Path) -> dict[str, Any]:
    """What the file holds; StcError if a training cannot begin from it."""
    _check_file(file)
    try:
        record = decode_json(read_text(file))
    except ValueError as error:
        raise StcError(
            str(file),
            expected="JSON",
            got=str(error),
            remedy="The config.json of any run shows how it is written.",
        ) from error
    if not isinstance(record, dict):
        expected, got = "an object with the parts data and train", repr(record)[:60]
        raise StcError(str(file), expected=expected, got=got)
    if record.get("shrink") is not None:
        raise StcError(
            f"{file}, shrink",
            expected="the settings of a training",
            got="those of a run that `stc shrink` made",
            remedy="Run stc shrink on the same finished run.",
        )
    if (found := record.get("format", RUN_FORMAT)) != RUN_FORMAT:
        raise StcError(f"{file}, format", expected=str(RUN_FORMAT), got=str(found))
    return record


def _check_file(file: Path) -> None:
    """Raise StcError, with what to give instead, unless settings can be in the file."""
    remedy = "Give the config.json of a run, or the run's folder."
    if not file.exists():
        in_folder = file.name == RunFile.CONFIG and file.parent.is_dir()
        got = f"a folder without {file.name}" if in_folder else "no such file"
        where = str(file.parent if in_folder else file)
        raise StcError(where, expected="the settings of a run", got=got, remedy=remedy)
    if is_zipfile(file):
        raise StcError(
            str(file),
            expected="the settings of a run, as JSON",
            got="an archive, such as a bundle",
            remedy=f"{remedy} `stc predict` and `stc import` open a bundle.",
        )


def _merged(kept: Any, given: Mapping[str, Any]) -> Any:
    """`kept` with what is given in its place, part by part.

    What is no object stays as it is: its error says what is expected.
    """
    if not isinstance(kept, dict):
        return kept
    return kept | {
        name: _merged(kept.get(name, {}), value) if name in SETTING_PARTS else value
        for name, value in given.items()
    }


def _is_given(given: Mapping[str, Any], place: tuple[str, ...]) -> bool:
    """Whether the value at `place` was given, and not read from the file."""
    inside: Any = given
    for name in place:
        if not isinstance(inside, Mapping) or name not in inside:
            return False
        inside = inside[name]
    return len(place) > 1 and not isinstance(inside, Mapping)
