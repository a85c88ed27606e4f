"""Opens a saved classifier of any kind; the files in its folder tell the kind."""

from pathlib import Path
from typing import Any

from stc_core.classifiers.attention import open_attention
from stc_core.classifiers.base import BaseClassifier, open_base
from stc_core.classifiers.hierarchical import open_hierarchical
from stc_core.classifiers.replying import open_spelled


def open_classifier(folder: Path, **arguments: Any) -> BaseClassifier:
    """The classifier in `folder`, with its backbone, ready to predict and explain.

    `arguments` are those of `open_base`: `backbone`, `device`, `progress`. Raises
    StcError in the same cases as `open_base`.
    """
    if (folder / "tree.json").is_file():
        if (folder / "words.safetensors").is_file():
            return open_spelled(folder, **arguments)
        return open_hierarchical(folder, **arguments)
    if (folder / "attention.json").is_file():
        return open_attention(folder, **arguments)
    return open_base(folder, **arguments)
