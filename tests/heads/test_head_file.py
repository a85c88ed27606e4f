"""Several heads in one file: each comes back to the bit."""

import numpy as np
import pytest

from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.heads.head_file import load_heads, save_heads
from stc_core.types import Feature, Site

CLASSES = ("a", "b", "c")


def head(n: int, *, kind: str, pooling: str) -> SparseHead:
    rng = np.random.default_rng(n)
    values = rng.standard_normal((6, n)).astype(np.float32)
    features = tuple(Feature(Site(j, kind), pooling, 3 * j) for j in range(n))
    bias = rng.standard_normal(3).astype(np.float32)
    ends = {"low": values[5] - 1, "high": values[5] + 1}
    return SparseHead(
        features, values[0], values[1], values[2:5], bias, CLASSES, **ends
    )


def test_heads_of_other_neurons_come_back_in_order(tmp_path):
    heads = [
        head(4, kind="mlp", pooling="max"),
        head(2, kind="resid", pooling="mean"),
        head(0, kind="mlp", pooling="first"),
    ]
    save_heads(tmp_path / "h.safetensors", heads)
    found = load_heads(tmp_path / "h.safetensors", CLASSES, where="here")
    assert [one.features for one in found] == [one.features for one in heads]
    for one, other in zip(found, heads, strict=True):
        for name in ("mean", "sd", "weight", "bias", "low", "high"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert one.classes == CLASSES


def test_a_damaged_file_is_told(tmp_path):
    path = tmp_path / "h.safetensors"
    path.write_bytes(b"no tensors")
    with pytest.raises(StcError, match=r"the run here: got a damaged h\.safetensors"):
        load_heads(path, CLASSES, where="the run here")
