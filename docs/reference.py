"""The pages that are made from the program: every command, setting and frame.

Sphinx puts the text in the place of a mark in cli.md, settings.md and research.md each
time it builds, so no page can lag behind the code. A setting without a meaning is an
error.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

from stc_core.cli.app import app as program
from stc_core.config import (
    SETTING_PARTS,
    DataConfig,
    RunConfig,
    ShrinkConfig,
    TrainConfig,
)
from stc_core.frozen import words_for
from stc_core.runs.layout import FRAME_COLUMNS
from stc_core.setting import option_of

MODELS: dict[str, type[BaseModel]] = {
    "run": RunConfig,
    "data": DataConfig,
    "train": TrainConfig,
    **SETTING_PARTS,
    "shrink": ShrinkConfig,
}
"""Each part of config.json."""
_UNTYPED = (
    "run.format",
    "run.created",
    "run.example",
    *(f"shrink.{n}" for n in ShrinkConfig.model_fields),
)
"""Settings that the program writes: no command has an option for them."""


def commands() -> dict[tuple[str, ...], Any]:
    """Every command that a user may type, by its words after `stc`."""
    return dict(_leaves(get_command(program), ()))


def _leaves(
    command: Any, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    parts = getattr(command, "commands", None)
    if parts is None:
        yield words, command
        return
    for name, part in parts.items():
        if not part.hidden:
            yield from _leaves(part, (*words, name))


def commands_page() -> str:
    """Markdown: each command with its usage, its help, its arguments and options."""
    return "\n\n".join(
        part
        for words, command in commands().items()
        for part in _describe(words, command)
    )


def _describe(words: Sequence[str], command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    name = " ".join(("stc", *words))
    usage = " ".join((name, *map(_argument, arguments), "[OPTIONS]" * bool(options)))
    yield f"## {name}"
    yield f"```text\n{usage.strip()}\n```"
    yield command.help.strip()
    rows = [(f"`{_argument(one).strip('[]')}`", _help(one), "") for one in arguments]
    rows += [(_names(one), _help(one), _default(one)) for one in options]
    if rows:
        yield table(("argument or option", "meaning", "default"), rows)


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name.upper()).strip("{}")
    return name if parameter.required else f"[{name}]"


def _names(parameter: Any) -> str:
    said = ", ".join(f"`{one}`" for one in (*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag:
        return said
    kind = parameter.metavar or _typed(parameter.type_descriptor.annotation)
    return f"{said}: {' or '.join(f'`{one}`' for one in kind.split('|'))}"


def _typed(annotation: Any) -> str:
    """What is typed for a value: its choices, or the name of its type."""
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    inner = get_args(annotation) or (annotation,)
    return {str: "TEXT", int: "WHOLE NUMBER", float: "NUMBER"}[inner[0]]


def _help(parameter: Any) -> str:
    """What the command line says of it."""
    more = f"Without it `${parameter.envvar}`." if parameter.envvar else ""
    return f"{plain(parameter.help or '')} {more}".strip()


def _default(parameter: Any) -> str:
    value = parameter.default
    if isinstance(parameter.show_default, str):  # a setting: its model has the default
        return f"`{parameter.show_default}`"
    if parameter.is_flag:
        return f"`{parameter.opts[0]}`" if value else "off"
    return "" if value in (None, "", ()) else f"`{value}`"


def settings() -> dict[str, FieldInfo]:
    """Every setting that a run can hold, by part and name: `train.eta`."""
    return {
        f"{part}.{name}": field
        for part, model in MODELS.items()
        for name, field in model.model_fields.items()
        if name not in MODELS
    }


def _meaning(key: str, field: FieldInfo) -> str:
    if not field.description:
        raise ValueError(f"the setting {key} has no meaning: see stc_core/config.py")
    return field.description


def settings_page() -> str:
    """Markdown: a table of settings for each part of config.json."""
    known = settings()
    return "\n\n".join(
        f"## {_title(part, model)}\n\n"
        + table(
            ("setting and option", "type, limits and default", "meaning"),
            [
                (
                    _both(part, name, field),
                    f"{_kind(field)}; {_start(field)}",
                    _meaning(key, field),
                )
                for name, field in model.model_fields.items()
                if (key := f"{part}.{name}") in known
            ],
        )
        for part, model in MODELS.items()
    )


def _both(part: str, name: str, field: FieldInfo) -> str:
    """A setting, and below it what is typed for it."""
    typed = "" if f"{part}.{name}" in _UNTYPED else f"`{option_of(name, field)}`"
    return "<br>".join(filter(None, (f"`{name}`", typed)))


def _title(part: str, model: type[BaseModel]) -> str:
    place = f"train.{part}" if part in SETTING_PARTS else part
    return f"{place} ({model.__name__})"


def _kind(field: FieldInfo) -> str:
    return plain(words_for(field) or str(field.annotation))


def _start(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.default
    if value is None or value in ("", ()):
        return "default none"
    values = value if isinstance(value, tuple) else (value,)
    return f"default {', '.join(f'`{one}`' for one in values)}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; a bar inside a cell does not end it."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
        for line in lines
    )


def plain(text: str) -> str:
    """One line of text whose signs Markdown does not read."""
    line = " ".join(text.split())
    return "".join(f"\\{one}" if one in "*_<>[]`" else one for one in line)


def frames_page() -> str:
    """Markdown: a table of columns for each data frame of a run."""
    return "\n\n".join(
        f"### run.{name}\n\n"
        + table(("column", "meaning"), [(f"`{k}`", v) for k, v in columns.items()])
        for name, columns in FRAME_COLUMNS.items()
    )


PAGES = {
    "cli": ("<!-- every command -->", commands_page),
    "settings": ("<!-- every setting -->", settings_page),
    "research": ("<!-- every frame -->", frames_page),
}


def fill(app: Any, page: str, source: list[str]) -> None:
    """Put the generated part in the place of the page's mark."""
    if page in PAGES:
        mark, make = PAGES[page]
        if mark not in source[0]:
            raise ValueError(f"{page}.md has no line {mark}")
        source[0] = source[0].replace(mark, make())


def setup(app: Any) -> dict[str, Any]:
    """What Sphinx calls: the pages are read anew in every build."""
    app.connect("source-read", fill)
    app.connect("env-get-outdated", lambda *_: list(PAGES))
    return {"parallel_read_safe": True}
