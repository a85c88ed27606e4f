"""What is left of activations that are kept in half precision."""

from pathlib import Path

import numpy as np
import torch

from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.activations.extract import extract
from stc_core.backbone.backbone import Backbone
from stc_core.types import PooledSite

SOME = tuple(PooledSite.parse(name) for name in ("resid.1.mean", "mlp.2.max"))


def test_float16_is_rounded_and_nothing_else(tmp_path: Path):
    half = extract(tiny_backbone(), TEXTS, SOME, folder=tmp_path)
    full = extract(tiny_backbone(), TEXTS, SOME, store_dtype="float32", folder=tmp_path)
    for site in SOME:
        exact, read = full.read(site), half.read(site)
        with np.load(half.path / "frames.npz") as frames:
            offset, scale = (frames[f"{part} {site}"] for part in ("offset", "scale"))
        assert scale >= 64 * np.median(exact.std(axis=0))
        most = 2.0**-11 * np.abs(exact - offset) + 2.0**-25 * scale + 1e-6
        assert (np.abs(read - exact) <= most).all()
        assert not np.array_equal(read, exact)


def test_what_a_neuron_varies_by_outlives_half_precision(tmp_path: Path, monkeypatch):
    """Far from 0, where float16 has no steps left; rounding noise becomes flat."""
    pooled = Backbone.pooled

    def shifted(self: Backbone, ids: list, wanted: list) -> dict:
        blocks = pooled(self, ids, wanted)
        one, two, *rest = blocks[SOME[0]].unbind(1)
        columns = [900 + one / 100, 1e-7 * two - 2e-7, *rest]
        return {**blocks, SOME[0]: torch.stack(columns, 1)}

    monkeypatch.setattr(Backbone, "pooled", shifted)
    half = extract(tiny_backbone(), TEXTS, SOME, folder=tmp_path)
    full = extract(tiny_backbone(), TEXTS, SOME, store_dtype="float32", folder=tmp_path)
    read, exact = half.read(SOME[0]), full.read(SOME[0])
    off = (read - exact)[:, 0]
    assert off.std() < 0.01 * exact[:, 0].std()
    assert np.ptp(exact[:, 1]) > 0
    assert np.ptp(read[:, 1]) == 0
