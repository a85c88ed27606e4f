"""Activations shard by shard are those of the texts, in one file as always."""

import numpy as np
import pandas as pd
import pytest

from helpers.models.pooled import assert_equal
from helpers.models.tiny import TEXTS, saved_tiny
from stc_core.activations.saving import ActivationFile, save_pooled
from stc_core.backbone.backbone import Backbone
from stc_core.engine.settings import EngineConfig
from stc_core.engine.sharded_activations import read_in_shards
from stc_core.errors import StcError
from stc_core.types import PooledSite

pytestmark = pytest.mark.usefixtures("own_home")
LOCAL = EngineConfig(engine="local")
WANTED = list(map(PooledSite.parse, ("resid.1.mean", "mlp.1.max")))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = saved_tiny(tmp_path_factory.mktemp("model") / "m")
    return Backbone.load(str(folder), device="cpu")


def test_the_file_is_that_of_save_pooled(backbone, tmp_path, own_home):
    names = ("one.safetensors", "two.safetensors")
    rows = pd.DataFrame({"row": range(len(TEXTS))})
    known = save_pooled(backbone, TEXTS, WANTED, tmp_path / names[0], rows=rows)
    path = tmp_path / names[1]
    facts = read_in_shards(
        backbone, TEXTS, WANTED, path, LOCAL, rows=rows, shard_rows=2
    )
    assert facts == known
    one, two = (ActivationFile(tmp_path / name) for name in names)
    assert two.about == one.about and two.names == one.names
    for name in one.names:
        assert_equal(two.read(name), one.read(name))
    pd.testing.assert_frame_equal(two.rows, one.rows)
    assert not list((own_home / "shards").glob("*.shard"))


def test_a_text_that_cannot_be_read_has_no_row(backbone, tmp_path):
    texts = [TEXTS[0], "half \ud800", TEXTS[1]]
    told: list[str] = []
    path, rows = tmp_path / "a.safetensors", pd.DataFrame({"id": ["a", "b", "c"]})
    facts = read_in_shards(
        backbone, texts, WANTED, path, LOCAL, rows=rows, tell=told.append
    )
    assert facts.n_texts == 2 and ActivationFile(path).rows["id"].tolist() == ["a", "c"]
    assert np.isfinite(ActivationFile(path).read(str(WANTED[0]))).all()
    assert len(told) == 1 and told[0].startswith("warning: text 2 is left out: half")


def test_no_text_at_all_that_can_be_read(backbone, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(StcError, match="expected a text that can be read"):
        read_in_shards(backbone, ["\ud800"], WANTED, path, LOCAL)
    assert not path.exists()
