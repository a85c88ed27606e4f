"""The facts of the suggested models, as far as no network is needed to check them."""

import pytest
from huggingface_hub.utils import validate_repo_id

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading.suggestions import (
    SUGGESTED,
    SuggestedModel,
    blocks,
    is_here,
    reading_factor,
)
from stc_core.config import DEFAULT_BACKBONE
from stc_core.paths import models_folder


def test_there_are_a_few_and_the_default_comes_first():
    names = [model.name for model in SUGGESTED]
    assert 5 <= len(names) == len(set(names)) <= 8 and names[0] == DEFAULT_BACKBONE
    for name in names:
        validate_repo_id(name)


def test_the_default_has_the_blocks_that_it_is_said_to_have():
    default, backbone = SUGGESTED[0], Backbone.load(DEFAULT_BACKBONE, device="cpu")
    assert backbone.n_layers == default.layers
    assert backbone.flops_per_token() == 2 * default.block_parameters


@pytest.mark.parametrize("model", SUGGESTED[1:], ids=lambda model: model.name)
def test_the_blocks_are_a_part_of_what_is_downloaded(model: SuggestedModel):
    least = 2 if model.kind == "decoder" else 4  # bytes of a weight
    assert least * model.block_parameters < model.download_bytes
    assert 1 < reading_factor(model) < 100


def test_the_weights_of_a_block_are_those_of_its_matrices():
    """BERT base: 12 blocks of 7,077,888 weights in matrices."""
    assert blocks(12, 768, 3072, gated=False, key_width=1536) == 12 * 7_077_888


def test_a_downloaded_model_is_here(own_home):
    other = SUGGESTED[1]
    assert is_here(SUGGESTED[0]) and not is_here(other)
    folder = models_folder() / other.name.replace("/", "--")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert is_here(other)
