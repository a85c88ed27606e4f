"""Opens a saved classifier of any kind; the files in its folder tell the kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stc_core.classifiers.attention import open_attention
from stc_core.classifiers.base import BaseClassifier, open_base
from stc_core.classifiers.hierarchical import open_hierarchical
from stc_core.classifiers.replying import open_spelled

_OPENERS: dict[str, Callable[..., BaseClassifier]] = {
    "words.safetensors": open_spelled,
    "tree.json": open_hierarchical,
    "attention.json": open_attention,
}
"""The first of these files in the folder tells the kind; without any it is a sparse
classifier."""


def open_classifier(folder: Path, **arguments: Any) -> BaseClassifier:
    """The classifier in `folder`, with its backbone, ready to predict and explain.

    `arguments` are those of `open_base`: `backbone`, `device`, `progress`. Raises
    StcError in the same cases as `open_base`.
    """
    for file, opens in _OPENERS.items():
        if (folder / file).is_file():
            return opens(folder, **arguments)
    return open_base(folder, **arguments)
