"""Widgets for settings: labels, limits, defaults and help come from their models."""

from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stc_core.config import TrainConfig


def field_of(setting: str) -> FieldInfo:
    """The field of a setting of TrainConfig, such as "seed" or "tune.epochs"."""
    model: Any = TrainConfig
    *parts, name = setting.split(".")
    for part in parts:
        model = model.model_fields[part].annotation
    return model.model_fields[name]


def labels_of(model: type[BaseModel] = TrainConfig, within: str = "") -> dict[str, str]:
    """The label of each setting that the form shows, by its name in TrainConfig."""
    labels = {}
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            labels |= labels_of(inner, f"{within}{name}.")
        elif field.title:
            labels[within + name] = field.title
    return labels


def limit(field: FieldInfo, name: str) -> Any:
    """The limit of a number, such as "ge"; None if there is none."""
    for note in field.metadata:
        for part in getattr(note, "metadata", [note]):
            if (value := getattr(part, name, None)) is not None:
                return value
    return None


def number_field(setting: str, **look: Any) -> Any:
    """Draw a number; return it, None for the default that the method chooses.

    `look` are further arguments of `st.number_input`, which win.
    """
    field = field_of(setting)
    kind = float if float in (field.annotation, *get_args(field.annotation)) else int
    least, most = limit(field, "ge"), limit(field, "le")
    given = {
        "label": field.title or setting,
        "min_value": None if least is None else kind(least),
        "max_value": None if most is None else kind(most),
        "value": field.default,
        "help": field.description,
        "key": setting.rpartition(".")[2],
    }
    return st.number_input(**(given | look))


def choice_field(setting: str, words: dict[str, str] | None = None, **look: Any) -> Any:
    """Draw a choice among the values of a setting, in `words`; return the value."""
    field, words = field_of(setting), words or {}
    assert get_origin(field.annotation) is Literal, setting
    given = {
        "label": field.title or setting,
        "options": get_args(field.annotation),
        "format_func": lambda value: words.get(value, value),
        "help": field.description,
        "key": setting.rpartition(".")[2],
    }
    return st.selectbox(**(given | look))


def toggle_field(setting: str, **look: Any) -> bool:
    """Draw a switch; return whether it is on."""
    field = field_of(setting)
    given = {
        "label": field.title or setting,
        "value": bool(field.default),
        "help": field.description,
        "key": setting.rpartition(".")[2],
    }
    return st.toggle(**(given | look))
