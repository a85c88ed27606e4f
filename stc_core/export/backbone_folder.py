"""The language model of a run as a folder that transformers opens by itself.

LoRA is written as PEFT adapters beside their base, or merged into the weights.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from stc_core.backbone import changes
from stc_core.backbone.adapters import lora_config
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.changes import Changes, root_folder
from stc_core.backbone.loading import hub
from stc_core.backbone.loading.checkpoint import quiet
from stc_core.errors import StcError
from stc_core.export.cut_backbone import source_folder, write_cut, write_whole
from stc_core.export.licence import copy_licence
from stc_core.export.portable import texts_to_try
from stc_core.files import folder_bytes, write_error
from stc_core.runs.run import Run
from stc_core.runs.run_summary import backbone_name
from stc_core.types import PooledSite

_INJECTED, _SAVED = ".default.weight", ".weight"
"""How the name of a LoRA weight ends in a model with adapters, and in PEFT's file."""
_TOLERANCE = 1e-4
"""Hidden states differ by no more of their largest value."""


class WrittenBackbone(NamedTuple):
    """What was written, and whether it has PEFT adapters beside the base.

    `difference` is the largest one between a mean hidden state of what was written and
    of the run's model, as a share of the largest value of that layer.
    """

    n_bytes: int
    has_adapters: bool
    difference: float


def write_backbone(
    run: Run, folder: str | Path, *, merged: bool = False
) -> WrittenBackbone:
    """Write the language model of `run` to the new folder `folder`.

    `AutoModel.from_pretrained` opens it, with the hidden states of the run. If LoRA
    tuned the model, the folder holds the weights of the base, and beside them PEFT
    adapters; with `merged` it holds the tuned weights alone. What was written is opened
    and compared with the model of the run. Raises StcError if `folder` is there
    already, or for parts that transformers does not know: those of the method
    bottleneck, and the guides of the recipe hierarchy.
    """
    folder = _vacant(Path(folder))
    backbone = run.classifier(device="cpu").backbone_
    source = source_folder(backbone)
    made = changes.read_changes(source) if _is_tuned(source) else None
    _check_known(made, run)
    apart = made is not None and made.method == "lora" and not merged
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
            new = Path(temporary) / "model"
            if made is None:
                write_whole(source, new)
            elif apart:
                _write_apart(source, made, new, dtype=backbone.dtype)
            else:
                write_cut(backbone, backbone.n_layers, new)
            copy_licence(root_folder(source), new)
            difference = _difference(run, backbone, new)
            new.rename(folder)
    except OSError as error:
        raise write_error(folder, error) from error
    return WrittenBackbone(folder_bytes(folder), apart, difference)


def _vacant(folder: Path) -> Path:
    """The absolute path of a folder that can be made."""
    folder = folder.absolute()
    if folder.exists() or not folder.parent.is_dir():
        raise StcError(
            f"folder {str(folder)!r}",
            expected="a new folder in one that exists",
            got="one that is there" if folder.exists() else "no such folder",
            remedy="Give another name."
            if folder.exists()
            else f"Make {str(folder.parent)!r} first.",
        )
    return folder


def _is_tuned(folder: Path) -> bool:
    return (folder / hub.CHANGES).is_file()


def _check_known(made: Changes | None, run: Run) -> None:
    """StcError for parts that transformers does not know, in the model or its bases."""
    while made is not None:
        if made.guides or made.method == "bottleneck":
            raise StcError(
                f"model of run {run.name!r}",
                expected="weights or LoRA, which transformers reads",
                got="guides of the recipe hierarchy" if made.guides else "bottlenecks",
                remedy="Pack it as a bundle: stc export RUN FILE. Or tune with the "
                "method lora or full.",
            )
        if made.base == changes.OWN_BASE:
            return
        base = hub.resolve(made.base)
        made = changes.read_changes(base) if _is_tuned(base) else None


def _write_apart(source: Path, made: Changes, new: Path, *, dtype: torch.dtype) -> None:
    """Write the base, cut as the tuning has cut it, and PEFT adapters beside it."""
    base = changes.base_folder(source, made)
    model, tokenizer = changes.read_tuned(base, made.base, dtype)
    if made.cut is not None:
        changes.apply_cut(model, made.cut)
    with quiet():
        cast(Any, model).save_pretrained(new, max_shard_size="1TB")
        tokenizer.save_pretrained(new)
    adapters: dict[str, Tensor] = {}
    for name, weight in load_file(source / hub.CHANGED_WEIGHTS).items():
        assert name.endswith(_INJECTED), name
        adapters[f"base_model.model.{name.removesuffix(_INJECTED)}{_SAVED}"] = weight
    save_file(adapters, new / "adapter_model.safetensors")
    config = lora_config(model, made.tuned, made.width)
    config.base_model_name_or_path = backbone_name(made.base)
    config.inference_mode = True
    config.save_pretrained(new)


def _difference(run: Run, backbone: Backbone, folder: Path) -> float:
    """How far the model in `folder`, opened by transformers alone, is from the run's.

    Raises StcError if that is more than rounding.
    """
    with quiet():
        model = AutoModel.from_pretrained(
            folder, dtype=backbone.dtype, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    written = Backbone.from_model(model, tokenizer, max_length=backbone.max_length)
    texts = texts_to_try(run)
    wanted = [PooledSite(s, "mean") for s in backbone.sites if s.kind == "resid"]
    ours = backbone.pooled(backbone.tokenize(texts).ids, wanted)
    theirs = written.pooled(written.tokenize(texts).ids, wanted)
    found = _largest_share(ours, theirs)
    if not found <= _TOLERANCE:
        raise StcError(
            f"model of run {run.name!r}",
            expected="hidden states as in the run when transformers opens it",
            got=f"a difference of {found:.1g} of the largest value",
            remedy="Write it with --merged, or pack it as a bundle.",
        )
    return found


def _largest_share(
    ours: Mapping[PooledSite, Tensor], theirs: Mapping[PooledSite, Tensor]
) -> float:
    """The largest difference, as a share of the largest value of ours at that site.

    It is NaN if it is NaN at any site.
    """
    tiny = torch.finfo(torch.float32).tiny  # a site may be zero everywhere
    shares = [
        (ours[one] - theirs[one]).abs().max() / ours[one].abs().max().clamp_min(tiny)
        for one in ours
    ]
    return float(torch.stack(shares).max())  # Python's max leaves NaN out
