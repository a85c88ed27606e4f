"""Tiny models with a classification head, saved as transformers saves them."""

from pathlib import Path
from typing import Any

import torch
import transformers as hf

from helpers.models.tiny import CONFIGS, ENCODERS, shake, tiny_tokenizer


def saved_classifier(
    folder: Path,
    family: str = "bert",
    labels: tuple[str, ...] = ("bad", "good"),
    **more: Any,
) -> Path:
    """A random classifier of this family in `folder`; `more` sets its config."""
    config = CONFIGS[family]()
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: place for place, label in enumerate(labels)}
    for name, value in more.items():
        setattr(config, name, value)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = hf.AutoModelForSequenceClassification.from_config(config)
        shake(model)
    model.save_pretrained(folder)
    # Heads of encoder-decoders read the end token, which their tokenizers add.
    specials = family in ENCODERS or bool(config.is_encoder_decoder)
    tiny_tokenizer("right", specials=specials).save_pretrained(folder)
    return folder
