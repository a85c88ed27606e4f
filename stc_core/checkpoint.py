"""A model and its tokenizer out of a folder, and what they say about themselves."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as hf_logging

from stc_core import hub
from stc_core.errors import StcError

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def length_limit(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Most tokens that the model can read: its positions, its tokenizer's limit.

    None if neither says one. RoBERTa's positions start after its padding id.
    """
    config = getattr(model, "config", None)
    limits = [getattr(config, "max_position_embeddings", None)]
    for part, module in model.named_modules():
        if part.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            offset = -1 if module.padding_idx is None else module.padding_idx
            limits.append(module.num_embeddings - offset - 1)
    limits.append(tokenizer.model_max_length)
    return min((int(n) for n in limits if n and 0 < n < 1 << 30), default=None)


def choose_device(asked: str) -> torch.device:
    """The device asked for; auto is cuda, mps or cpu, the first that is there."""
    if asked != "auto":
        try:
            device = torch.device(asked)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise StcError(
                "device",
                expected="auto, cpu, or an accelerator of this machine",
                got=repr(asked),
            ) from error
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_dtype(asked: str, device: torch.device) -> torch.dtype:
    """The dtype asked for; auto is bfloat16 on cuda and float32 elsewhere."""
    if asked == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if asked not in DTYPES:
        raise StcError("dtype", expected=f"auto, {', '.join(DTYPES)}", got=repr(asked))
    return DTYPES[asked]


def read_model(folder: Path, name: str, dtype: torch.dtype) -> tuple[nn.Module, Any]:
    """Model without a language-model head, and tokenizer, from a checked folder.

    Quiet. Raises StcError if the files are broken or weights of a block are missing.
    """
    where = f"backbone {name!r}"
    try:
        with quiet():
            model, report = AutoModel.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise StcError(
            f"{where} cannot be loaded", got=f"{type(error).__name__}: {reason}"
        ) from error
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise StcError(
            where,
            expected="weights for every block",
            got=f"none for {len(missing)} of them, e.g. {missing[0]}",
            remedy="The files belong to another model, or the download is incomplete.",
        )
    return model, tokenizer


def identity_of(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> str:
    """sha256 over the weights, configuration and tokenizer of a model in memory."""
    digest = hashlib.sha256()
    config: Any = getattr(model, "config", None)
    digest.update(hub.configuration(getattr(config, "to_diff_dict", dict)()))
    digest.update(json.dumps(_reading(tokenizer), sort_keys=True).encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key}{value.dtype}{tuple(value.shape)}".encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _reading(tokenizer: Any) -> list[Any]:
    """All by which a tokenizer makes ids of a text, save where it is told to cut."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return [tokenizer.get_vocab(), tokenizer.truncation_side]
    rules = json.loads(backend.to_str())
    kept = {k: v for k, v in rules.items() if k not in ("truncation", "padding")}
    return [kept, tokenizer.truncation_side]


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and no remarks of transformers: the caller shows its own."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
