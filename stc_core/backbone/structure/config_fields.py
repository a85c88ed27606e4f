"""What the configuration of a Hugging Face model says of its text part."""

from typing import Any


def text_config(config: Any) -> Any:
    """The part about text, in a model that also reads images or sound."""
    find = getattr(config, "get_text_config", None)
    if find is None:
        return config
    try:
        return find()
    except ValueError:  # it has several, as one that reads text and writes sound
        return config


def field(config: Any, name: str) -> Any:
    """The field of a configuration under its common name; None if it has none.

    Read from what the configuration holds, as some raise an error for a field whose
    value differs by layer.
    """
    if config is None:
        return None
    own = getattr(type(config), "attribute_map", {}).get(name, name)
    return vars(config).get(own)
