"""A hierarchical classifier that spells its labels, ready to label and on disk."""

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
from stc_core.classifiers.base import Strings, check_texts
from stc_core.classifiers.hierarchical import TREE, HierarchicalClassifier
from stc_core.classifiers.label_tree import Descent, Tree
from stc_core.classifiers.spelling import Speller, spelled_names
from stc_core.errors import StcError
from stc_core.files import read_json, replacing, write_json
from stc_core.types import Progress, silent

_WORDS = "words.safetensors"
_CHUNK = 512


class SpelledClassifier(HierarchicalClassifier):
    """A cascade whose levels are spelled by a decoder's words."""

    def __init__(
        self,
        backbone: Backbone,
        tree: Tree,
        layers: Sequence[int],
        heads: Sequence[nn.Module],
        columns: Sequence[str],
        *,
        norm: bool,
    ) -> None:
        super().__init__(backbone, tree, (), columns, layers=layers, temperatures=())
        names = spelled_names(tree, backbone)
        words = [head.to(backbone.device).eval() for head in heads]
        self.speller_ = Speller(backbone, tree, names, layers, words, norm=norm)

    def answer(self, texts: Strings, *, progress: Progress = silent) -> Descent:
        """The way down of each text, through the levels that are answered."""
        given, found = check_texts(texts), []
        for start in range(0, len(given), _CHUNK):
            ids = self.backbone_.tokenize(given[start : start + _CHUNK]).ids
            found.append(self.speller_.descend(ids, self.levels_))
            progress(min(start + _CHUNK, len(given)), len(given))
        shares = zip(*(way.shares for way in found), strict=True)
        return Descent(
            np.concatenate([way.nodes for way in found]),
            tuple(np.concatenate(parts) for parts in shares),
        )

    def features(self, texts: Strings, *, progress: Progress = silent) -> Any:
        """Words are read from all neurons of a layer: StcError."""
        raise StcError(
            "features",
            expected="a classifier on neurons",
            got="a decoder that spells its labels",
            remedy="predict_proba and decision_function are there.",
        )

    def __reduce__(self) -> tuple:
        """Its parts, heads on the CPU: where it is opened may be no GPU."""
        speller = self.speller_
        heads = [head.cpu() for head in copy.deepcopy(speller.heads)]  # tied stay tied
        given = self.backbone_, self.tree_, self.layers_, heads, self.columns_
        more = {"norm": speller.norm, **self._parts_written()}
        return _lexicon, (type(self), given, more, self.levels_)

    def __copy__(self) -> "SpelledClassifier":
        """Another one on the same heads, not new ones as of a pickle."""
        found = type(self).__new__(type(self))
        vars(found).update(vars(self))
        return found

    def _parts_written(self) -> dict[str, Any]:
        """What else it is made of."""
        return {}

    def explain(self, text: str) -> dict[str, Any]:
        """Labels that are spelled have no exact sum over neurons: StcError."""
        raise StcError(
            "explanation",
            expected="a linear head on neurons",
            got="a decoder that spells its labels",
            remedy="Train with --heads class, or with the recipe stc.",
        )

    def save(self, folder: Path, *, params: dict[str, Any]) -> Path:
        """Write words.safetensors and tree.json; the JSON last."""
        folder.mkdir(parents=True, exist_ok=True)
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
        """What is said of it in tree.json."""
        return {
            "heads": "words",
            "norm": self.speller_.norm,
            "columns": self.columns_,
            "layers": self.layers_,
            **self.tree_.record(),
        }


def _lexicon(
    kind: Callable[..., SpelledClassifier],
    given: tuple,
    more: dict[str, Any],
    levels: int,
) -> SpelledClassifier:
    """The lexicon that was pickled, which answers the first `levels`."""
    found = kind(*given, **more)
    found.levels_ = levels
    return found


def open_lexicon(
    folder: str | Path,
    *,
    kind: Callable[..., SpelledClassifier] = SpelledClassifier,
    backbone: Backbone | None = None,
    device: str = "auto",
    progress: Progress = silent,
    **more: Any,
) -> SpelledClassifier:
    """What `SpelledClassifier.save` wrote to `folder`, on the backbone that was tuned.

    `more` is what another `kind` is made of, too.
    """
    folder = Path(folder)
    record, tensors = read_json(folder / TREE), load_file(folder / _WORDS)
    about = persistence.About(**record["backbone"])
    found = about.open(folder, backbone=backbone, device=device, progress=progress)
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
    columns, norm = record["columns"], record["norm"]
    return kind(found, tree, record["layers"], heads, columns, norm=norm, **more)
