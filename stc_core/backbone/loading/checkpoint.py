"""Loads a model and its tokenizer from a folder, and reads their limits."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.auto.configuration_auto import (
    CONFIG_MAPPING_NAMES,  # pyright: ignore[reportPrivateImportUsage]
)
from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES
from transformers.utils import logging as hf_logging

from stc_core.backbone.loading import hub
from stc_core.backbone.loading.loader_files import CONFIG, read_object
from stc_core.backbone.loading.loading_errors import (
    explain_model_errors,
    explain_tokenizer_errors,
)
from stc_core.backbone.tokenization.vocabulary import check_vocabulary_files
from stc_core.config import MAX_LENGTH
from stc_core.errors import StcError

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def length_limit(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The most tokens that the model can read, by its positions and its tokenizer.

    None if neither has a limit. RoBERTa's positions start after its padding id.
    """
    config = getattr(model, "config", None)
    limits = [getattr(config, "max_position_embeddings", None)]
    for part, module in model.named_modules():
        if part.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            offset = -1 if module.padding_idx is None else module.padding_idx
            limits.append(module.num_embeddings - offset - 1)
    limits.append(tokenizer.model_max_length)
    return min((int(n) for n in limits if n and 0 < n < 1 << 30), default=None)


def choose_length(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    asked: int | None,
    name: str,
) -> int:
    """The number of tokens of a text that are read: as asked, else at most MAX_LENGTH.

    StcError if the model cannot read so many, or if no word would be left.
    """
    limit = length_limit(model, tokenizer)
    if asked is None:
        return min(limit or MAX_LENGTH, MAX_LENGTH)
    least = tokenizer.num_special_tokens_to_add() + 1
    if asked < least or (limit is not None and asked > limit):
        raise StcError(
            f"max_length of backbone {name!r}",
            expected=f"{least} to {limit or 'any number of'} tokens",
            got=str(asked),
        )
    return asked


def choose_device(asked: str) -> torch.device:
    """The device asked for; auto is the first that exists of cuda, mps and cpu."""
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
    """The model, without a language-model head, and the tokenizer of a checked folder.

    Shows nothing. StcError if files are broken, if weights of a block are missing, or
    if the model does not read text.
    """
    model, report = load_model(AutoModel, folder, name, dtype)
    check_report(model, report, f"backbone {name!r}")
    return model, load_tokenizer(folder, name)


def load_model(
    kind: Any, folder: Path, name: str, dtype: torch.dtype
) -> tuple[nn.Module, dict[str, Any]]:
    """The model of an Auto class of transformers, and what was wrong with its weights.

    StcError if files are broken or if the model does not read text.
    """
    where, folder = f"backbone {name!r}", folder.absolute()
    check_family(folder, where)
    with quiet(), explain_model_errors(where, folder):
        model, report = kind.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported by name below
        )
    check_reads_text(model, where)
    return model, report


def load_tokenizer(folder: Path, name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a checked folder; StcError if its files are broken."""
    where, folder = f"backbone {name!r}", folder.absolute()
    with quiet(), explain_tokenizer_errors(where, folder):
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    check_vocabulary_files(folder, tokenizer, where)
    return tokenizer


def check_family(folder: Path, where: str) -> None:
    """StcError for a family that transformers cannot load as one model."""
    family = read_object(folder / CONFIG).get("model_type")
    if family in CONFIG_MAPPING_NAMES and family not in MODEL_MAPPING_NAMES:
        raise StcError(
            where,
            expected="a model that transformers loads as a whole",
            got=f"one of the family {family!r}",
            remedy="Choose a language model.",
        )


def check_report(model: nn.Module, report: dict[str, Any], where: str) -> None:
    """StcError for weights that are missing, of another size, or not numbers."""
    mismatched = sorted(
        found for found in report["mismatched_keys"] if _counts(found[0])
    )
    if mismatched:
        key, got, expected = mismatched[0]
        raise StcError(
            where,
            expected=f"{key} of shape {tuple(expected)}, as config.json says",
            got=f"{tuple(got)} in the weights",
            remedy="The two files belong to different models: copy or download both "
            "again.",
        )
    missing = sorted(key for key in report["missing_keys"] if _counts(key))
    if missing and all(key.startswith("decoder.") for key in missing):
        raise StcError(
            where,
            expected="an encoder and its decoder",
            got="only weights of the encoder",
            remedy="Take the whole model, or an encoder of a family without decoders.",
        )
    if missing:
        raise StcError(
            where,
            expected="weights for every part of the model",
            got=f"no weights for {len(missing)} parts, e.g. {missing[0]}",
            remedy="The files belong to another model, or the download is incomplete.",
        )
    for key, value in model.named_parameters():
        is_float = value.is_floating_point() and value.itemsize > 1
        if is_float and not value.sum(dtype=torch.float32).isfinite():
            raise StcError(
                where,
                expected="weights that are numbers",
                got=f"nan or inf in {key}",
                remedy="Copy or download the weights again.",
            )


def check_whole(model: nn.Module, report: dict[str, Any], where: str) -> None:
    """`check_report` where every weight counts, also those above the last block."""
    check_report(model, report, where)
    if missing := sorted(report["missing_keys"]):
        raise StcError(
            where,
            expected="weights for every part of the model, its head included",
            got=f"no weights for {len(missing)} parts, e.g. {missing[0]}",
            remedy="Save the fine-tuned classifier itself, with save_pretrained.",
        )


def _counts(key: str) -> bool:
    """Whether a weight is used: that of a pooler is not."""
    return "pooler" not in key


def check_reads_text(model: nn.Module, where: str) -> None:
    """StcError for a model of images or sound, and for one without a block."""
    if getattr(getattr(model, "config", None), "num_hidden_layers", None) == 0:
        raise StcError(
            where,
            expected="at least one block",
            got="num_hidden_layers = 0 in config.json",
            remedy="Copy or download config.json again.",
        )
    main = getattr(model, "main_input_name", "input_ids")
    if main != "input_ids":
        raise StcError(
            where,
            expected="a model that reads text",
            got=f"{type(model).__name__}, which reads {main}",
            remedy="Choose a language model.",
        )


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
    """Everything that determines a tokenizer's ids, except where it cuts a text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return [tokenizer.get_vocab(), tokenizer.truncation_side]
    rules = json.loads(backend.to_str())
    used_rules = {k: v for k, v in rules.items() if k not in ("truncation", "padding")}
    return [used_rules, tokenizer.truncation_side]


@contextmanager
def quiet() -> Iterator[None]:
    """Inside the block transformers shows no bars and no messages."""
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
