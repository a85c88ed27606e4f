"""One setting: its default, its limits, its meaning, and its names.

The options of the commands, the fields of the app and the page of the settings are made
from this.
"""

from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo


def setting(
    default: Any,
    meaning: str,
    *,
    option: str | None = None,
    label: str | None = None,
    **limits: Any,
) -> Any:
    """A field with its meaning in a sentence and, if they differ, its other names.

    `option` is what is typed on the command line, and `label` what the app shows.
    """
    names: Any = {"option": option} if option else None
    return Field(
        default, title=label, description=meaning, json_schema_extra=names, **limits
    )


def option_of(name: str, field: FieldInfo) -> str:
    """What is typed on the command line for the setting `name`."""
    extra = field.json_schema_extra
    option = extra.get("option") if isinstance(extra, dict) else None
    return str(option or f"--{name.replace('_', '-')}")
