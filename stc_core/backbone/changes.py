"""What was changed in a backbone: blocks removed, weights tuned, adapters added.

On disk a tuned backbone is changes.json and changes.safetensors. They hold the name of
its base and nothing that the base has already. In a bundle the base is in the same
folder.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stc_core.backbone.adapters import add_bottlenecks, add_lora, merge_lora
from stc_core.backbone.class_guides import GuideSpec, add_guides
from stc_core.backbone.loading import hub
from stc_core.backbone.loading.checkpoint import read_model
from stc_core.backbone.loading.loader_files import file_label, read_object
from stc_core.backbone.loading.loading_errors import weights_fault
from stc_core.errors import StcError
from stc_core.files import make_folder, replacing, write_json

_FORMAT = 1
OWN_BASE = "./base"
"""The name of a base that is in the folder of the changes."""
_DEPTHS = ("num_decoder_layers", "decoder_layers", "num_hidden_layers")
"""Fields of a config that count the blocks of the topmost stack."""


class _Cut(NamedTuple):
    """Where a model ends: after the first `kept` blocks of the list `path`.

    `depth` is the number of blocks that the model then has, for the config's `field`. A
    model that runs one shared block repeatedly has no list to shorten: its path is "".
    """

    path: str
    kept: int
    field: str
    depth: int


class Changes(NamedTuple):
    """The changes of a tuned backbone.

    `tuned` are the modules that changed: blocks for the method full, else linear
    layers.
    """

    base: str
    base_identity: str
    cut: _Cut | None
    method: str  # "full", "lora" or "bottleneck"
    tuned: tuple[str, ...]
    width: int  # the rank of LoRA, the width of a bottleneck; 0 for "full"
    guides: tuple[GuideSpec, ...] = ()


def cut_after(model: nn.Module, block: nn.Module, *, above: int) -> _Cut:
    """The cut that ends `model` with `block` and removes the `above` blocks after it.

    In an encoder-decoder the decoder is cut.
    """
    config = cast(Any, model.config)
    fields = _DEPTHS if getattr(config, "is_encoder_decoder", False) else _DEPTHS[-1:]
    field = next(name for name in fields if hasattr(config, name))
    depth = getattr(config, field) - above
    for path, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and block in list(module):
            position = list(module).index(block)
            is_shared = len(module) != depth + above
            return _Cut("" if is_shared else path, position + 1, field, depth)
    raise AssertionError(f"{type(block).__name__} is in no list of blocks")


def apply_cut(model: nn.Module, cut: _Cut) -> None:
    """Remove the blocks above the cut: they take no memory and never run."""
    if cut.path:
        del cast(nn.ModuleList, model.get_submodule(cut.path))[cut.kept :]
    setattr(cast(Any, model.config), cut.field, cut.depth)


def add_parts(model: nn.Module, changes: Changes) -> None:
    """Add the adapters and guides of `changes`, untrained, if it has any."""
    add_guides(model, changes.guides)
    if changes.method == "lora":
        add_lora(model, changes.tuned, changes.width)
    elif changes.method == "bottleneck":
        add_bottlenecks(model, changes.tuned, changes.width)


def save_changes(folder: Path, changes: Changes, tensors: Mapping[str, Tensor]) -> Path:
    """Write the changes, the JSON last, so that a half-written one never loads."""
    make_folder(folder)
    host = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    with replacing(folder / hub.CHANGED_WEIGHTS) as path:
        save_file(host, path)
    write_changes(folder, changes)
    return folder


def write_changes(folder: Path, changes: Changes) -> None:
    """Write changes.json alone, for changed weights that are in `folder` already."""
    write_json(folder / hub.CHANGES, {"format": _FORMAT, **_plain(changes)})


def read_changes(folder: Path) -> Changes:
    """The changes in changes.json; StcError if it has another format."""
    path = folder / hub.CHANGES
    record = read_object(path)
    if record.pop("format", None) != _FORMAT:
        raise StcError(
            f"tuned backbone {str(folder)!r}",
            expected=f"format {_FORMAT}",
            remedy="Tune it again with this version of STC Studio.",
        )
    try:
        cut = None if record["cut"] is None else _Cut(**record["cut"])
        guides = tuple(
            GuideSpec(spec["block"], spec["d_model"], tuple(spec["groups"]))
            for spec in record.pop("guides", ())
        )
        return Changes(
            **{**record, "cut": cut, "tuned": tuple(record["tuned"]), "guides": guides}
        )
    except (KeyError, TypeError) as error:  # `save_changes` writes all of it
        raise StcError(
            file_label(path),
            expected="all changes to a backbone",
            got=f"only a part, or something else ({error})",
            remedy="Tune it again.",
        ) from error


def read_tuned(folder: Path, name: str, dtype: torch.dtype) -> tuple[nn.Module, Any]:
    """The model and tokenizer in `folder`, tuned or not.

    A tuned model is its base with the changes applied again. StcError if the base is
    not the one that was tuned.
    """
    if not (folder / hub.CHANGES).is_file():
        return read_model(folder, name, dtype)
    changes = read_changes(folder)
    base = base_folder(folder, changes)
    if tuned_identity(base) != changes.base_identity:
        raise StcError(
            f"backbone {name!r}",
            expected=f"its base {changes.base} with weights "
            f"{changes.base_identity[:12]}",
            got=f"weights {tuned_identity(base)[:12]}",
            remedy="Put the files of the base back, or tune again.",
        )
    model, tokenizer = read_tuned(base, changes.base, dtype)
    if changes.cut is not None:
        apply_cut(model, changes.cut)
    add_parts(model, changes)
    _put_back(model, folder)
    if changes.method == "lora":
        merge_lora(model)
    return model, tokenizer


def base_folder(folder: Path, changes: Changes) -> Path:
    """The folder of the base of the tuned backbone in `folder`."""
    is_inside = changes.base == OWN_BASE
    return hub.resolve(str(folder / OWN_BASE) if is_inside else changes.base)


def root_folder(folder: Path) -> Path:
    """The folder of the untuned base, which has the configuration and the tokenizer."""
    while (folder / hub.CHANGES).is_file():
        folder = base_folder(folder, read_changes(folder))
    return folder


def _put_back(model: nn.Module, folder: Path) -> None:
    """Load the tuned weights, in the dtype of the model."""
    path = folder / hub.CHANGED_WEIGHTS
    if (fault := weights_fault(path)) is not None:
        raise fault
    tensors, own = load_file(path), model.state_dict()
    unknown = [
        key
        for key, value in tensors.items()
        if key not in own or own[key].shape != value.shape
    ]
    if unknown:
        raise StcError(
            f"tuned backbone {str(folder)!r}",
            expected="names and shapes of weights as in its base",
            got=f"others, e.g. {unknown[0]}",
            remedy="Tune it again.",
        )
    model.load_state_dict(tensors, strict=False)


def tuned_identity(folder: Path) -> str:
    """sha256 over everything that changes numbers: the base and its changes."""
    if not (folder / hub.CHANGES).is_file():
        return hub.identity(folder)
    changes = _plain(read_changes(folder)) | {"base": ""}
    digest = hashlib.sha256(json.dumps(changes, sort_keys=True).encode())
    with (folder / hub.CHANGED_WEIGHTS).open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _plain(changes: Changes) -> dict[str, Any]:
    """The changes as JSON values."""
    cut = None if changes.cut is None else changes.cut._asdict()
    plain = changes._asdict() | {"cut": cut, "tuned": list(changes.tuned)}
    guides = [spec._asdict() for spec in plain.pop("guides")]
    return plain | ({"guides": guides} if guides else {})
