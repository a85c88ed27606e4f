"""A fitted classifier on disk: head.safetensors and classifier.json, never a pickle."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from stc_core.backbone.backbone import Backbone
from stc_core.errors import StcError
from stc_core.files import read_json, replacing, write_json
from stc_core.heads.head import SparseHead
from stc_core.poolings import POOLING_RULES
from stc_core.types import SITE_KINDS, Feature, Progress, Site, silent

_FORMAT = 3
_READ_FORMATS = (1, 2, 3)
"""Up to format 2 a head has no range of values."""
_KINDS_1, _POOLINGS_1 = ("resid", "mlp"), ("first", "last", "max", "mean")
"""The names that format 1 keeps by their position in these."""


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
        is_beside = self.name.startswith("../")
        model = backbone or Backbone.load(
            str((Path(folder) / self.name).resolve()) if is_beside else self.name,
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
) -> Path:
    """Write the classifier to `folder`.

    The JSON is written last, so that a half-written classifier never loads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kinds = sorted({feature.site.kind for feature in head.features})
    poolings = sorted({feature.pooling for feature in head.features})
    where = [
        (f.site.layer, kinds.index(f.site.kind), poolings.index(f.pooling), f.index)
        for f in head.features
    ]
    names = {"kinds": json.dumps(kinds), "poolings": json.dumps(poolings)}
    tensors = {
        "features": np.array(where, np.int32).reshape(-1, 4),
        "mean": np.asarray(head.mean, np.float32),
        "sd": np.asarray(head.sd, np.float32),
        "weight": np.ascontiguousarray(head.weight, np.float32),
        "bias": np.asarray(head.bias, np.float32),
        **{name: np.asarray(end, np.float32) for name, end in head.range.items()},
    }
    with replacing(folder / "head.safetensors") as path:
        save_file(tensors, path, metadata=names)
    write_about(folder, classes, about=about, params=params)
    return folder


def write_about(
    folder: Path,
    classes: Shaped[np.ndarray, " n_class"],
    *,
    about: About,
    params: dict[str, Any],
) -> None:
    """Write classifier.json: the backbone, the classes and the parameters."""
    params = {k: list(v) if isinstance(v, tuple) else v for k, v in params.items()}
    write_json(
        folder / "classifier.json",
        {
            "format": _FORMAT,
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
    try:
        with safe_open(folder / "head.safetensors", "numpy") as file:
            names = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise StcError(
            where, got=f"a damaged head.safetensors ({error})", remedy="Train it again."
        ) from error
    kinds = json.loads(names["kinds"]) if "kinds" in names else _KINDS_1
    poolings = json.loads(names["poolings"]) if "poolings" in names else _POOLINGS_1
    _demand_known(where, poolings, POOLING_RULES)
    _demand_known(where, kinds, SITE_KINDS)
    features = tuple(
        Feature(Site(int(layer), kinds[kind]), poolings[pooling], int(index))
        for layer, kind, pooling, index in tensors["features"]
    )
    head = SparseHead(
        features,
        tensors["mean"],
        tensors["sd"],
        tensors["weight"],
        tensors["bias"],
        tuple(str(name) for name in classes),
        low=tensors.get("low"),
        high=tensors.get("high"),
    )
    return head, classes, about, params


def read_saved(
    folder: Path,
) -> tuple[Shaped[np.ndarray, " n_class"], About, dict[str, Any]]:
    """The classes, backbone and parameters; StcError if they cannot be read."""
    _demand(folder, "classifier.json")
    about = read_json(folder / "classifier.json")
    if about.get("format") not in _READ_FORMATS:
        raise StcError(
            f"classifier {str(folder)!r}",
            expected="format 1, 2 or 3",
            got=f"{about.get('format')}",
            remedy="Train it again with this version of STC Studio.",
        )
    params = {
        k: tuple(v) if isinstance(v, list) else v for k, v in about["params"].items()
    }
    return np.array(about["classes"]), About(**about["backbone"]), params


def _demand_known(
    where: str, names: Sequence[str], table: Mapping[str, object]
) -> None:
    """Raise StcError for a name that this version of STC Studio does not have."""
    if unknown := sorted(set(names) - table.keys()):
        raise StcError(
            where,
            expected=f"features by {', '.join(table)}",
            got=f"by {', '.join(unknown)}",
            remedy="Open it with the version of STC Studio that trained it.",
        )


def _demand(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise StcError(
            f"classifier {str(folder)!r}",
            expected=f"a folder with {name}",
            remedy="Train it again.",
        )
