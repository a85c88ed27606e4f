"""Opens a saved classifier of any kind; the files in its folder tell the kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stc_core.classifiers.archive import classifier_folder
from stc_core.classifiers.attention import open_attention
from stc_core.classifiers.base import BaseClassifier, open_base
from stc_core.classifiers.hierarchical import open_hierarchical
from stc_core.classifiers.masked import open_masked
from stc_core.classifiers.pretrained.sequence_classifier import (
    open_sequence_classifier,
)
from stc_core.classifiers.replying import open_spelled
from stc_core.errors import StcError

_OPENERS: dict[str, Callable[..., BaseClassifier]] = {
    "words.safetensors": open_spelled,
    "levels.safetensors": open_masked,
    "tree.json": open_hierarchical,
    "attention.json": open_attention,
    "own_head.json": open_sequence_classifier,
}
"""The first of these files in the folder tells the kind; without any it is a sparse
classifier."""


def check_is_sparse(folder: Path) -> None:
    """StcError if the classifier in `folder` is of another kind than a sparse one."""
    if other := next((file for file in _OPENERS if (folder / file).is_file()), None):
        raise StcError(
            f"classifier {str(folder)!r}",
            expected="a sparse classifier",
            got=f"another kind, which has {other}",
            remedy="Open it with Run.open(RUN).classifier().",
        )


def open_classifier(folder: str | Path, **arguments: Any) -> BaseClassifier:
    """The classifier in `folder`, with its backbone, ready to predict and explain.

    `folder` may also be the file of a bundle. `arguments` are those of `open_base`:
    `backbone`, `device`, `progress`. Raises StcError in the same cases as `open_base`.
    """
    folder = classifier_folder(folder)
    for file, opens in _OPENERS.items():
        if (folder / file).is_file():
            return opens(folder, **arguments)
    return open_base(folder, **arguments)
