"""A saved classifier of any kind, opened by what its folder holds."""

from pathlib import Path
from typing import Any

from stc_core.classifiers.attention import open_reader
from stc_core.classifiers.base import Labeller, open_labeller
from stc_core.classifiers.hierarchical import open_cascade
from stc_core.classifiers.replying import open_words


def open_classifier(folder: Path, **arguments: Any) -> Labeller:
    """The classifier in `folder`, with its backbone, ready to predict and explain.

    `arguments` are those of `open_labeller`: `backbone`, `device`, `progress`. Raises
    StcError as it does.
    """
    if (folder / "tree.json").is_file():
        if (folder / "words.safetensors").is_file():
            return open_words(folder, **arguments)
        return open_cascade(folder, **arguments)
    if (folder / "attention.json").is_file():
        return open_reader(folder, **arguments)
    return open_labeller(folder, **arguments)
