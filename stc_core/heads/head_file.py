"""Fitted heads on disk, one or several in a safetensors file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from stc_core.errors import StcError
from stc_core.files import replacing
from stc_core.heads.head import SparseHead
from stc_core.poolings import POOLING_RULES
from stc_core.types import SITE_KINDS, Feature, Site

_KINDS_1, _POOLINGS_1 = ("resid", "mlp"), ("first", "last", "max", "mean")
"""The names that format 1 of a classifier keeps by their position in these."""


def save_heads(path: Path, heads: Sequence[SparseHead]) -> None:
    """Write heads, at least one, of the same classes to one safetensors file.

    The names of the second head's arrays begin with "1.", and so on.
    """
    features = [feature for head in heads for feature in head.features]
    kinds = sorted({feature.site.kind for feature in features})
    poolings = sorted({feature.pooling for feature in features})
    tensors: dict[str, np.ndarray] = {}
    for number, head in enumerate(heads):
        where = [
            (f.site.layer, kinds.index(f.site.kind), poolings.index(f.pooling), f.index)
            for f in head.features
        ]
        arrays = {
            "features": np.array(where, np.int32).reshape(-1, 4),
            "mean": np.asarray(head.mean, np.float32),
            "sd": np.asarray(head.sd, np.float32),
            "weight": np.ascontiguousarray(head.weight, np.float32),
            "bias": np.asarray(head.bias, np.float32),
            **{name: np.asarray(end, np.float32) for name, end in head.range.items()},
        }
        tensors |= {_key(number, name): array for name, array in arrays.items()}
    names = {"kinds": json.dumps(kinds), "poolings": json.dumps(poolings)}
    with replacing(path) as partial:
        save_file(tensors, partial, metadata={**names, "heads": str(len(heads))})


def load_heads(
    path: Path, classes: tuple[str, ...], *, where: str
) -> tuple[SparseHead, ...]:
    """The heads in a file, in their order; StcError names `where` if it is damaged."""
    try:
        with safe_open(path, "numpy") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise StcError(
            where, got=f"a damaged {path.name} ({error})", remedy="Train it again."
        ) from error
    kinds = json.loads(about["kinds"]) if "kinds" in about else _KINDS_1
    poolings = json.loads(about["poolings"]) if "poolings" in about else _POOLINGS_1
    _demand_known(where, poolings, POOLING_RULES)
    _demand_known(where, kinds, SITE_KINDS)
    heads = []
    for number in range(int(about.get("heads", 1))):
        features = tuple(
            Feature(Site(int(layer), kinds[kind]), poolings[pooling], int(index))
            for layer, kind, pooling, index in tensors[_key(number, "features")]
        )
        heads.append(
            SparseHead(
                features,
                tensors[_key(number, "mean")],
                tensors[_key(number, "sd")],
                tensors[_key(number, "weight")],
                tensors[_key(number, "bias")],
                classes,
                low=tensors.get(_key(number, "low")),
                high=tensors.get(_key(number, "high")),
            )
        )
    return tuple(heads)


def _key(number: int, name: str) -> str:
    """The name of an array of the head with this number."""
    return f"{number}.{name}" if number else name


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
