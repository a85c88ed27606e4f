"""A hierarchical classifier that spells its labels, and its files on disk."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from stc_core.backbone.backbone import Backbone
from stc_core.classifiers import persistence
from stc_core.classifiers.hierarchical import TREE, WHOLE_FLOPS, HierarchicalClassifier
from stc_core.classifiers.label_tree import Descent, Tree
from stc_core.classifiers.labelling.given_texts import Strings, check_texts
from stc_core.classifiers.spelling import Speller, spelled_names
from stc_core.errors import StcError
from stc_core.files import make_folder, read_json, replacing, write_json
from stc_core.types import Progress, silent

_WORDS = "words.safetensors"
_CHUNK = 512


class SpelledClassifier(HierarchicalClassifier):
    """A hierarchical classifier whose labels a decoder spells in words."""

    abilities = ("predict",)

    def __init__(
        self,
        backbone: Backbone,
        tree: Tree,
        layers: Sequence[int],
        heads: Sequence[nn.Module],
        columns: Sequence[str],
        *,
        norm: bool,
        whole_flops: int | None = None,
    ) -> None:
        super().__init__(
            backbone, tree, (), columns, layers=layers, whole_flops=whole_flops
        )
        names = spelled_names(tree, backbone)
        words = [head.to(backbone.device).eval() for head in heads]
        self.speller_ = Speller(backbone, tree, names, layers, words, norm=norm)

    def _paths(self, texts: Strings, progress: Progress = silent) -> Descent:
        """The predicted path of each text, for the first `levels_` levels."""
        listed, chunks = check_texts(texts), []
        for start in range(0, len(listed), _CHUNK):
            ids = self.backbone_.tokenize(listed[start : start + _CHUNK]).ids
            chunks.append(self.speller_.descend(ids, self.levels_))
            progress(min(start + _CHUNK, len(listed)), len(listed))
        shares = zip(*(way.shares for way in chunks), strict=True)
        return Descent(
            np.concatenate([way.nodes for way in chunks]),
            tuple(np.concatenate(parts) for parts in shares),
        )

    def _deciding_layer(self, level: int) -> int:
        return self.layers_[level]

    def features(self, texts: Strings, *, progress: Progress = silent) -> Any:
        """Raise StcError: words are read from all neurons of a layer."""
        raise StcError(
            "features",
            expected="a classifier on neurons",
            got="a decoder that spells its labels",
            remedy="Use predict_proba or decision_function.",
        )

    def __reduce__(self) -> tuple:
        """Pickle its parts, with heads on the CPU, as the reader may have no GPU."""
        speller = self.speller_
        heads = [head.cpu() for head in copy.deepcopy(speller.heads)]  # tied stay tied
        args = self.backbone_, self.tree_, self.layers_, heads, self.columns_
        kwargs = {
            "norm": speller.norm,
            "whole_flops": self.whole_flops_,
            **self._parts_written(),
        }
        return _unpickle, (type(self), args, kwargs, self.levels_)

    def __copy__(self) -> "SpelledClassifier":
        """A copy that shares the heads; a pickle would copy them."""
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    def _parts_written(self) -> dict[str, Any]:
        """The further arguments that a subclass is made with."""
        return {}

    def explain(self, text: str) -> dict[str, Any]:
        """Raise StcError: spelled labels have no exact sum over neurons."""
        raise StcError(
            "explanation",
            expected="a linear head on neurons",
            got="a decoder that spells its labels",
            remedy="Train with --heads class, or with the recipe stc.",
        )

    def save(self, folder: Path, *, params: dict[str, Any]) -> Path:
        """Write words.safetensors, then tree.json."""
        make_folder(folder)
        tensors = {
            f"{level}.{name}": tensor.detach().float().cpu().contiguous().clone()
            for level, head in enumerate(self.speller_.heads)
            for name, tensor in head.state_dict().items()
        }
        with replacing(folder / _WORDS) as path:
            save_file(tensors, path)
        about = persistence.About.of(self.backbone_).beside(folder)
        record = {**self._record(), "backbone": about._asdict()}
        write_json(folder / TREE, record)
        return folder

    def _record(self) -> dict[str, Any]:
        """The content of tree.json."""
        return {
            "heads": "words",
            "norm": self.speller_.norm,
            "columns": self.columns_,
            "layers": self.layers_,
            **self.tree_.record(),
        }


def _unpickle(
    kind: Callable[..., SpelledClassifier],
    args: tuple,
    kwargs: dict[str, Any],
    levels: int,
) -> SpelledClassifier:
    """The classifier from its pickled parts, which predicts the first `levels`."""
    classifier = kind(*args, **kwargs)
    classifier.levels_ = levels
    return classifier


def open_spelled_kind(
    folder: str | Path,
    *,
    kind: Callable[..., SpelledClassifier] = SpelledClassifier,
    backbone: Backbone | None = None,
    device: str = "auto",
    progress: Progress = silent,
    **more: Any,
) -> SpelledClassifier:
    """The classifier that `SpelledClassifier.save` wrote to `folder`.

    It runs on the tuned backbone. `more` holds further arguments of another `kind`.
    """
    folder = Path(folder)
    record, tensors = read_json(folder / TREE), load_file(folder / _WORDS)
    about = persistence.About(**record["backbone"])
    model = about.open(folder, backbone=backbone, device=device, progress=progress)
    heads = []
    for level in range(len(record["layers"])):
        weight = tensors[f"{level}.weight"]
        bias = tensors.get(f"{level}.bias")
        head = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        with torch.no_grad():
            head.weight.copy_(weight)
            if bias is not None:
                head.bias.copy_(bias)
        heads.append(head.requires_grad_(False))
    tree = Tree.of(record)
    more = {"norm": record["norm"], "whole_flops": record.get(WHOLE_FLOPS), **more}
    return kind(model, tree, record["layers"], heads, record["columns"], **more)
