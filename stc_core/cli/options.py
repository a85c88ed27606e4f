"""The options of the commands: those of settings are made from the settings' models.

A parameter of a command that is marked with `SettingOptions` becomes an option for each
of its settings; `common.spread_options` does that.
"""

from collections.abc import Collection
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from stc_core.config import SETTING_PARTS, DataConfig, TrainConfig
from stc_core.engine.settings import EngineConfig
from stc_core.frozen import Frozen, OneOf
from stc_core.recipe_table import RECIPES
from stc_core.setting import option_of

Table = Annotated[
    str,
    typer.Argument(
        help="CSV, TSV, JSONL or Parquet, also as .gz; - is standard input; "
        "hub:OWNER/NAME:SPLIT is a data set of the Hugging Face Hub.",
        metavar="DATA",
    ),
]
RunFolder = Annotated[
    str,
    typer.Argument(help="The folder of a run, its name, or a bundle.", metavar="RUN"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunName = Annotated[str, typer.Option(help="Name of the new run.")]
Out = Annotated[
    str | None, typer.Option(help="Folder of the run. Default: runs/DATE-NAME.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the finished run in --out.")
]


class SettingOptions(NamedTuple):
    """Marks a parameter of a command: a mapping of the settings that the user gave.

    `model` has the settings. `only` names some of them, `without` leaves some out. The
    options of those in `repeated` may be given several times, and then the mapping has
    a list of values. The help of the command shows them under the title `panel`.
    """

    model: type[Frozen]
    only: Collection[str] = ()
    without: Collection[str] = ()
    panel: str | None = None
    repeated: Collection[str] = ()

    def fields(self) -> dict[str, FieldInfo]:
        """The settings that become options, by name."""
        known = self.model.model_fields
        names = self.only or [name for name in known if name not in self.without]
        return {name: known[name] for name in names}

    def annotation(self, name: str) -> Any:
        """The type of the option for the setting `name`, with its help."""
        field = self.model.model_fields[name]
        kind, table = _typed(field.annotation, field.metadata)
        if name in self.repeated:
            if get_origin(kind) is Literal:  # typer has no lists of them
                kind, table = str, get_args(kind)
            kind = list[kind]
        meaning = (field.description or "").replace("`", "")
        again = " Repeat it for more." if get_origin(kind) is list else ""
        option = typer.Option(
            option_of(name, field),
            help=meaning + again,
            show_default=_shown(field.default, option_of(name, field)),
            metavar="|".join(table) if table else None,
            rich_help_panel=self.panel,
        )
        return Annotated[kind | None, option]


def _typed(annotation: Any, notes: Collection[Any] = ()) -> tuple[Any, Collection[str]]:
    """The type of a setting for typer, and its allowed names if a table holds them.

    None is left out of the type; a tuple becomes a list. A record is typed as text.
    """
    tables = [
        check.table
        for note in notes
        if isinstance(check := getattr(note, "func", None), OneOf)
    ]
    table = tables[0] if tables else ()
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _typed(inner[0], (*notes, *inner[1:]))
    if origin in (Union, UnionType):
        (given,) = (kind for kind in inner if kind is not NoneType)
        return _typed(given, notes)
    if origin is tuple:
        kind, table = _typed(inner[0])
        is_record = isinstance(kind, type) and issubclass(kind, Frozen)
        return (list[str] if is_record else list[kind]), table
    return annotation, table


def _shown(default: Any, option: str) -> str | bool:
    """How the help shows the default of an option; False if there is none to show."""
    if default is True:
        return option.partition("/")[0]
    if default is None or default is False or default in ("", ()):
        return False
    return False if isinstance(default, tuple) else str(default)


ColumnOptions = Annotated[
    dict[str, Any], SettingOptions(DataConfig, without=("path", "test_path"))
]
TestOption = Annotated[dict[str, Any], SettingOptions(DataConfig, only=("test_path",))]
EncodingOption = Annotated[
    dict[str, Any], SettingOptions(DataConfig, only=("encoding",))
]
DeviceOption = Annotated[dict[str, Any], SettingOptions(TrainConfig, only=("device",))]
EngineOptions = Annotated[
    dict[str, Any], SettingOptions(EngineConfig, panel="Options for many texts")
]
TrainingOptions = Annotated[
    dict[str, Any], SettingOptions(TrainConfig, without=SETTING_PARTS)
]


def part_options(part: str, *, without: Collection[str] = ()) -> SettingOptions:
    """The options of a part of TrainConfig; their title names its recipes."""
    recipes = [name for name, recipe in RECIPES.items() if part in recipe.settings]
    panel = f"Options for the recipes {', '.join(recipes)}"
    return SettingOptions(SETTING_PARTS[part], without=without, panel=panel)


TuningOptions = Annotated[dict[str, Any], part_options("tune")]
HierarchyOptions = Annotated[dict[str, Any], part_options("hierarchy")]
AttentionOptions = Annotated[
    dict[str, Any], part_options("attention", without=("epochs",))
]
"""Its epochs are an option of `Tuning`."""
