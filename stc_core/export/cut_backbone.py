"""The part of a backbone that a classifier reads, as a model folder of its own.

Blocks above the classifier's top layer are removed and tuned weights are merged, so
that any program that reads transformers models can read the folder. Adapters that
transformers does not know stay beside their base.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from stc_core.backbone import changes
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.changes import OWN_BASE, Changes, root_folder
from stc_core.backbone.loading import hub
from stc_core.backbone.loading.checkpoint import DTYPES, quiet
from stc_core.backbone.loading.loader_files import CONFIG, is_read
from stc_core.backbone.loading.loading_errors import is_ours, reason
from stc_core.errors import StcError

_WEIGHTS = ".safetensors"
_IS_CONFIG = re.compile(r"config(\..+)?\.json|.+\.index\.json")
_ENCODER_DEPTHS = ("encoder_layers", "num_encoder_layers", "num_layers")


class KeptBlocks(NamedTuple):
    """The blocks of the backbone in a portable run, and those of the whole model.

    `whole_because` says why no block was removed although some are not read; it is
    empty otherwise.
    """

    blocks: int
    blocks_total: int
    whole_because: str


class CutError(StcError):
    """The model cannot be shortened; the reason is for people."""


class _Cut(NamedTuple):
    """The blocks that stay: the first `kept` of the list `path`.

    `fields` are the fields of the config that count them, all set to `depth`.
    """

    path: str
    kept: int
    fields: tuple[str, ...]
    depth: int


def source_folder(backbone: Backbone) -> Path:
    """The folder that `backbone` was loaded from."""
    return hub.resolve(backbone.name)


def write_cut(backbone: Backbone, layer: int, folder: Path) -> None:
    """Write the part of `backbone` up to `layer` to the new folder `folder`.

    Raises CutError if this family cannot be shortened. Whether the part gives the same
    values is for the caller to check.
    """
    source = source_folder(backbone)
    dtype = str(backbone.dtype).removeprefix("torch.")
    if (source / hub.CHANGES).is_file():
        made = changes.read_changes(source)
        if made.guides or made.method == "bottleneck":
            _write_with_adapters(source, made, folder, dtype)
            return
    cuts = _cuts_above(backbone, layer)
    with _explained(backbone.name):
        model, _ = changes.read_tuned(source, backbone.name, DTYPES[dtype])
        for cut in cuts:
            _apply(model, cut)
        _save_model(model, root_folder(source), folder)


def write_whole(source: Path, folder: Path) -> None:
    """Copy the backbone in `source` to the new folder `folder`, with its bases."""
    folder.mkdir(parents=True)
    if not (source / hub.CHANGES).is_file():
        _copy_read_files(source, folder, cut=False)
        for path in hub.weight_files(source):
            shutil.copyfile(path, folder / path.name)
        return
    made = changes.read_changes(source)
    base = folder / OWN_BASE
    write_whole(changes.base_folder(source, made), base)
    _write_changes(source, made, base, folder)


def _write_with_adapters(source: Path, made: Changes, folder: Path, dtype: str) -> None:
    """Write the base, cut as the tuning has cut it, and the changes beside it."""
    base_source = changes.base_folder(source, made)
    base = folder / OWN_BASE
    folder.mkdir(parents=True)
    if made.cut is None or (base_source / hub.CHANGES).is_file():
        write_whole(base_source, base)
    else:
        with _explained(made.base):
            model, _ = changes.read_tuned(base_source, made.base, DTYPES[dtype])
            cut = made.cut
            _apply(model, _Cut(cut.path, cut.kept, (cut.field,), cut.depth))
            _save_model(model, base_source, base)
    _write_changes(source, made, base, folder)


def _write_changes(source: Path, made: Changes, base: Path, folder: Path) -> None:
    """Write the changes of `source` to `folder`, for the base that is there."""
    named = made._replace(base=OWN_BASE, base_identity=changes.tuned_identity(base))
    changes.write_changes(folder, named)
    shutil.copyfile(source / hub.CHANGED_WEIGHTS, folder / hub.CHANGED_WEIGHTS)


def _cuts_above(backbone: Backbone, layer: int) -> list[_Cut]:
    """What to remove so that the model ends after `layer`; at least a block stays."""
    blocks = [n for n in range(1, backbone.n_layers + 1) if backbone.block(n)]
    if not blocks:
        raise CutError(f"The blocks of {backbone.family} are not known")
    stacks = _stacks(blocks)
    cuts = []
    for number, stack in enumerate(stacks):
        kept = max(layer, stack[0])
        if above := [n for n in stack if n > kept]:
            is_encoder = len(stacks) > 1 and number == 0
            cuts.append(_cut_at(backbone, kept, len(above), encoder=is_encoder))
    return cuts


def _stacks(blocks: list[int]) -> list[list[int]]:
    """The layers of each stack of blocks: a decoder's embeddings lie between two."""
    stacks: list[list[int]] = []
    for layer in blocks:
        if stacks and stacks[-1][-1] == layer - 1:
            stacks[-1].append(layer)
        else:
            stacks.append([layer])
    return stacks


def _cut_at(backbone: Backbone, layer: int, n_above: int, *, encoder: bool) -> _Cut:
    """The cut after the block whose output is `layer`, below `n_above` others."""
    block, config = backbone.block(layer), cast(Any, backbone.config)
    assert block is not None, layer
    if not encoder:
        try:
            cut = changes.cut_after(backbone.model, block, above=n_above)
        except (StopIteration, AssertionError) as error:
            raise CutError(
                f"The config of {backbone.family} has no number of blocks to lower"
            ) from error
        return _Cut(cut.path, cut.kept, (cut.field,), cut.depth)
    fields = tuple(name for name in _ENCODER_DEPTHS if hasattr(config, name))[:1]
    for path, module in backbone.model.named_modules():
        if isinstance(module, nn.ModuleList) and block in list(module) and fields:
            kept = list(module).index(block) + 1
            return _Cut(path, kept, fields, kept)
    raise CutError(f"The encoder of {backbone.family} has no list of blocks")


def _apply(model: nn.Module, cut: _Cut) -> None:
    """Remove the blocks above the cut, and what the config says of them."""
    config = cast(Any, model.config)
    before = getattr(config, cut.fields[0])
    for name, value in list(vars(config).items()):
        # Lists with an entry for each block, such as `layer_types`.
        if isinstance(value, list | tuple) and len(value) == before:
            setattr(config, name, type(value)(value[: cut.depth]))
    if cut.path:
        del cast(nn.ModuleList, model.get_submodule(cut.path))[cut.kept :]
    for field in cut.fields:
        setattr(config, field, cut.depth)


def _save_model(model: nn.Module, root: Path, folder: Path) -> None:
    """Write the model with the tokenizer of the folder `root`, which is copied."""
    with quiet():
        cast(Any, model).save_pretrained(folder, max_shard_size="1TB")
    for path in folder.iterdir():
        if path.name != CONFIG and path.suffix != _WEIGHTS:
            path.unlink()  # such as a generation_config.json, which is not read
    _copy_read_files(root, folder, cut=True)


def _copy_read_files(source: Path, folder: Path, *, cut: bool) -> None:
    """Copy what a loader reads beside the weights.

    For a model that was `cut` only its tokenizer is copied: it has its own
    configuration.
    """
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if not path.is_file() or not is_read(name):
            continue
        if cut and (path.suffix == _WEIGHTS or _IS_CONFIG.fullmatch(name)):
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn an error of transformers on a shortened model into a CutError."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if is_ours(error):
            raise
        raise CutError(f"backbone {name!r}", got=reason(error)) from error
