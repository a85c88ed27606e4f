"""A fitted classifier on disk: head.safetensors and classifier.json, never a pickle."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from stc_core.backbone.backbone import Backbone
from stc_core.errors import StcError
from stc_core.files import make_folder, read_json, write_json
from stc_core.heads.head import SparseHead
from stc_core.heads.head_file import load_heads, save_heads
from stc_core.heads.word_readout import (
    WordReadout,
    load_word_readouts,
    save_word_readouts,
)
from stc_core.types import Progress, silent

_FORMAT = 3
_FORMAT_WITH_WORDS = 4
_READ_FORMATS = (1, 2, 3, 4)
"""Up to format 2 a head has no range of values. One of format 4 reads words, too."""
_WORDS = "word_readout.safetensors"


class About(NamedTuple):
    """The backbone that a classifier reads, and the settings it is loaded with."""

    name: str
    identity: str
    dtype: str
    max_length: int

    @classmethod
    def of(cls, backbone: Backbone) -> "About":
        dtype = str(backbone.dtype).removeprefix("torch.")
        return cls(backbone.name, backbone.identity, dtype, backbone.max_length)

    def beside(self, folder: Path) -> "About":
        """The same record, with a relative path if the backbone is next to `folder`.

        So the backbone is still found after the whole run was moved.
        """
        path = Path(self.name)
        is_beside = path.is_absolute() and path.parent == folder.absolute().parent
        return self._replace(name=f"../{path.name}") if is_beside else self

    def path(self, folder: str | Path) -> str:
        """The name by which the backbone of the classifier in `folder` is loaded."""
        is_beside = self.name.startswith("../")
        return str((Path(folder) / self.name).resolve()) if is_beside else self.name

    def open(
        self,
        folder: str | Path,
        *,
        backbone: Backbone | None = None,
        device: str = "auto",
        progress: Progress = silent,
    ) -> Backbone:
        """The backbone that the classifier in `folder` reads.

        It is loaded, unless `backbone` is given. Raises StcError if it is another one
        than in the fit.
        """
        model = backbone or Backbone.load(
            self.path(folder),
            device=device,
            dtype=self.dtype,
            max_length=self.max_length,
            progress=progress,
        )
        self.check(model, folder)
        return model

    def check(self, backbone: Backbone, folder: str | Path) -> None:
        """Raise StcError if `backbone` has other weights, tokenizer or length."""
        if backbone.identity != self.identity:
            raise StcError(
                f"classifier {str(folder)!r}",
                expected=f"the backbone {self.name} of identity {self.identity[:12]}",
                got=f"{backbone.name} of identity {backbone.identity[:12]}",
                remedy="Give the backbone it was trained on, or train again. Before "
                "November 2026 the identity did not include tokenizer settings.",
            )
        if backbone.max_length != self.max_length:
            raise StcError(
                f"classifier {str(folder)!r}",
                expected=f"texts cut at {self.max_length} tokens, as in training",
                got=f"a backbone that cuts them at {backbone.max_length}",
                remedy=f"Load the backbone with max_length={self.max_length}.",
            )


def save_classifier(
    folder: Path,
    head: SparseHead,
    classes: Shaped[np.ndarray, " n_class"],
    *,
    about: About,
    params: dict[str, Any],
    words: WordReadout | None = None,
) -> Path:
    """Write the classifier to `folder`.

    The JSON is written last, so that a half-written classifier never loads.
    """
    make_folder(folder)
    save_heads(folder / "head.safetensors", [head])
    (folder / _WORDS).unlink(missing_ok=True)
    if words is not None:
        save_word_readouts(folder / _WORDS, [words])
    kind = _FORMAT if words is None else _FORMAT_WITH_WORDS
    write_about(folder, classes, about=about, params=params, kind=kind)
    return folder


def write_about(
    folder: Path,
    classes: Shaped[np.ndarray, " n_class"],
    *,
    about: About,
    params: dict[str, Any],
    kind: int = _FORMAT,
) -> None:
    """Write classifier.json: the format, backbone, classes and parameters."""
    params = {k: list(v) if isinstance(v, tuple) else v for k, v in params.items()}
    write_json(
        folder / "classifier.json",
        {
            "format": kind,
            "classes": classes.tolist(),
            "backbone": about.beside(folder)._asdict(),
            "params": params,
        },
    )


def load_classifier(
    folder: Path,
) -> tuple[SparseHead, Shaped[np.ndarray, " n_class"], About, dict[str, Any]]:
    """The head, classes, backbone and parameters; StcError if they cannot be read."""
    where = f"classifier {str(folder)!r}"
    classes, about, params = read_saved(folder)
    _demand(folder, "head.safetensors")
    names = tuple(str(name) for name in classes)
    (head,) = load_heads(folder / "head.safetensors", names, where=where)
    return head, classes, about, params


def load_words(folder: Path) -> WordReadout | None:
    """What the classifier in `folder` reads of words; None if it reads none.

    Raises StcError if it cannot be read.
    """
    if read_json(folder / "classifier.json")["format"] != _FORMAT_WITH_WORDS:
        return None
    _demand(folder, _WORDS)
    (words,) = load_word_readouts(folder / _WORDS, where=f"classifier {str(folder)!r}")
    return words


def read_saved(
    folder: Path,
) -> tuple[Shaped[np.ndarray, " n_class"], About, dict[str, Any]]:
    """The classes, backbone and parameters; StcError if they cannot be read."""
    _demand(folder, "classifier.json")
    about = read_json(folder / "classifier.json")
    if about.get("format") not in _READ_FORMATS:
        raise StcError(
            f"classifier {str(folder)!r}",
            expected=f"a format up to {_READ_FORMATS[-1]}",
            got=f"{about.get('format')}",
            remedy="Train it again with this version of STC Studio.",
        )
    params = {
        k: tuple(v) if isinstance(v, list) else v for k, v in about["params"].items()
    }
    return np.array(about["classes"]), About(**about["backbone"]), params


def _demand(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise StcError(
            f"classifier {str(folder)!r}",
            expected=f"a folder with {name}",
            remedy="Train it again.",
        )
