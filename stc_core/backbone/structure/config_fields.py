"""Fields of the configuration of a Hugging Face model, for its text part."""

from typing import Any


def text_config(config: Any) -> Any:
    """The configuration's part about text, in a model that reads more than text."""
    find = getattr(config, "get_text_config", None)
    if find is None:
        return config
    try:
        return find()
    except (
        ValueError
    ):  # it has several text parts, such as one for text in and one for sound out
        return config


def field(config: Any, name: str) -> Any:
    """The field of a configuration under its common name; None if it has none.

    It is read from the stored values, since some configurations raise an error for a
    field whose value differs by layer.
    """
    if config is None:
        return None
    own_name = getattr(type(config), "attribute_map", {}).get(name, name)
    return vars(config).get(own_name)
