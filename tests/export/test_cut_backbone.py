"""A shortened model gives the values of the whole one, bit for bit, in every family."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from helpers.models.saved import saved_base, tuned_folder
from helpers.models.tiny import (
    CONFIGS,
    EXPERTS,
    TEXTS,
    UNKNOWN,
    one_thread,
    tiny_model,
    tiny_tokenizer,
)
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.changes import root_folder
from stc_core.backbone.loading import hub
from stc_core.export.cut_backbone import write_cut, write_whole
from stc_core.types import PooledSite, Site

assert one_thread


def opened(folder: Path) -> Backbone:
    return Backbone.load(str(folder), device="cpu")


def values(backbone: Backbone, layer: int) -> dict[PooledSite, torch.Tensor]:
    sites = [site for site in backbone.sites if site.layer <= layer]
    wanted = [PooledSite(site, p) for site in sites for p in ("mean", "max", "last")]
    return backbone.pooled(backbone.tokenize(TEXTS[:20]).ids, wanted)


def check_equal(part: Backbone, whole: Backbone, layer: int) -> None:
    expected, found = values(whole, layer), values(part, layer)
    assert found.keys() >= expected.keys()
    for pooled_site, value in expected.items():
        assert torch.equal(found[pooled_site], value), str(pooled_site)


@pytest.mark.parametrize("family", [*CONFIGS, *UNKNOWN, *EXPERTS])
def test_a_part_of_a_model_has_the_same_values(family: str, tmp_path: Path):
    whole = opened(saved_base(tmp_path / "base", family))
    layer = whole.n_layers - 1  # in an encoder-decoder two decoder blocks stay
    write_cut(whole, layer, tmp_path / "part")
    part = opened(tmp_path / "part")
    assert part.n_layers == layer and part.identity != whole.identity
    check_equal(part, whole, layer)
    n_bytes = [
        sum(path.stat().st_size for path in hub.weight_files(tmp_path / name))
        for name in ("part", "base")
    ]
    assert n_bytes[0] < n_bytes[1] or family == "albert"  # its blocks share weights


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_an_encoder_is_cut_too_and_a_block_of_the_decoder_stays(
    family: str, tmp_path: Path
):
    whole = opened(saved_base(tmp_path / "base", family))
    write_cut(whole, 1, tmp_path / "part")
    part = opened(tmp_path / "part")
    assert part.layer_names[:2] == whole.layer_names[:2]
    assert part.n_layers == 3 and whole.n_layers == 6
    check_equal(part, whole, 1)


def test_the_embeddings_alone_keep_a_block(tmp_path: Path):
    whole = opened(saved_base(tmp_path / "base", "bert"))
    write_cut(whole, 0, tmp_path / "part")
    assert opened(tmp_path / "part").n_layers == 1
    check_equal(opened(tmp_path / "part"), whole, 0)


def test_transformers_reads_a_part_by_itself(tmp_path: Path):
    """Tuned weights are merged: no file of ours is needed."""
    tuned = opened(tuned_folder(tmp_path))
    write_cut(tuned, 2, tmp_path / "part")
    names = {path.name for path in (tmp_path / "part").iterdir()}
    assert names == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    model = AutoModel.from_pretrained(tmp_path / "part")
    ids = tuned.tokenize(TEXTS[3:4]).ids
    with torch.no_grad():
        inputs = torch.tensor(ids[0].tolist())[None]
        hidden = model(inputs, output_hidden_states=True).hidden_states[2]
    expected = tuned.token_activations(ids, [Site(2, "resid")])[0]
    torch.testing.assert_close(hidden[0], expected[Site(2, "resid")])


def test_a_tuned_model_is_copied_with_its_base(tmp_path: Path):
    source = tuned_folder(tmp_path)
    write_whole(source, tmp_path / "copy")
    assert root_folder(tmp_path / "copy") == tmp_path / "copy" / "base"
    check_equal(opened(tmp_path / "copy"), opened(source), 2)
    moved = (tmp_path / "copy").rename(tmp_path / "moved")
    (tmp_path / "base").rename(tmp_path / "gone")
    assert opened(moved).n_layers == 2
    changes = json.loads((moved / "changes.json").read_text("utf-8"))
    assert changes["base"] == "./base"


def test_weights_in_several_files_are_copied_whole(tmp_path: Path):
    tiny_model("bert").save_pretrained(tmp_path / "base", max_shard_size="20KB")
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    write_whole(tmp_path / "base", tmp_path / "copy")
    assert hub.identity(tmp_path / "copy") == hub.identity(tmp_path / "base")
    write_cut(opened(tmp_path / "base"), 2, tmp_path / "part")
    assert [path.name for path in hub.weight_files(tmp_path / "part")] == [
        "model.safetensors"
    ]
    check_equal(opened(tmp_path / "part"), opened(tmp_path / "base"), 2)
