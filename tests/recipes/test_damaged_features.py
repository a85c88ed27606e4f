"""A run whose features on disk were damaged reads them again, says so, and is right."""

from pathlib import Path

import numpy as np

from helpers.models.saved import saved_base
from helpers.runs.hierarchy import table
from helpers.runs.small import trained
from stc_core.activations.cache import list_stores
from stc_core.config import DataConfig, RunConfig, TrainConfig


def test_a_flipped_bit_changes_no_result(tmp_path: Path, own_home: Path):
    base = saved_base(tmp_path / "base", "bert")
    settings = {"device": "cpu", "kinds": ("resid",), "poolings": ("mean",)}
    config = RunConfig(
        data=DataConfig(path=str(table(tmp_path, 1)), text="text", labels=("level 0",)),
        train=TrainConfig(backbone=str(base), **settings),
    )
    whole = trained(config, tmp_path / "whole")
    stores = list_stores(own_home / "cached_features")
    assert len(stores) == 2  # learned and test rows
    for store in stores:
        values = np.load(store.path / "resid.2.mean.npy", mmap_mode="r+")
        assert values.dtype == np.float16
        values.view(np.uint16)[0, 3] ^= 1 << 13
        values.flush()
    again = trained(config, tmp_path / "again")
    assert again.log_tail().count("are read again: rows 0 to ") == 2
    assert again.predictions.equals(whole.predictions)
    assert again.metrics["test"] == whole.metrics["test"]
    assert "are read again" not in trained(config, tmp_path / "third").log_tail()
