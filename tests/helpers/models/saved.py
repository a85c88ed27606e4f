"""Models of the tests, saved to folders as transformers saves them."""

from pathlib import Path

import numpy as np
import torch
import transformers as hf

from helpers.models.tiny import CONFIGS, ENCODERS, shake, tiny_model, tiny_tokenizer
from stc_core.backbone import changes
from stc_core.backbone.backbone import Backbone
from stc_core.recipe_settings import TuneConfig
from stc_core.tuning.blocks import changes_for, plan_tuning

PATHS = np.array([("good", "good film"), ("good", "plot"), ("bad", "awful")])


def saved_base(folder: Path, family: str) -> Path:
    tiny_model(family).save_pretrained(folder)
    specials = family in ENCODERS
    tiny_tokenizer("right", specials=specials).save_pretrained(folder)
    return folder


def tuned_folder(tmp_path: Path) -> Path:
    base = Backbone.load(str(saved_base(tmp_path / "base", "bert")), device="cpu")
    settings = TuneConfig(layer=2, blocks=1)
    what = changes_for(base, plan_tuning(base, [], settings), settings)
    block = base.block(2)
    assert block is not None
    tensors = {f"{what.tuned[0]}.{n}": p + 1 for n, p in block.named_parameters()}
    return changes.save_changes(tmp_path / "tuned", what, tensors)


def saved_lm(folder: Path, family: str = "gpt2") -> Path:
    """A tiny decoder with its language-model head on disk."""
    config = CONFIGS[family]()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = hf.AutoModelForCausalLM.from_config(config)
        shake(model)
    model.save_pretrained(folder)
    tiny_tokenizer("right", specials=False).save_pretrained(folder)
    return folder
