"""A model of transformers with its own head, as a classifier that explains itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.tokenization.own_tokens import blank_ids
from stc_core.classifiers import persistence
from stc_core.classifiers.base import BaseClassifier, token_rows
from stc_core.classifiers.labelling.given_texts import Strings, check_texts
from stc_core.classifiers.pretrained.own_labels import LabelMatch
from stc_core.classifiers.pretrained.sequence_model import (
    PathGradients,
    SequenceModel,
)
from stc_core.errors import StcError
from stc_core.files import make_folder, read_json, write_json
from stc_core.heads.head import softmax
from stc_core.types import Progress, Site, silent

HEAD_FILE = "own_head.json"
PATH_STEPS = (32, 64, 128, 256)
"""The numbers of points on a path that are tried until the parts sum to the logits."""
EXACT = 0.01
"""The largest miss of the sum that is good enough, as a share of its change."""


class SequenceClassifier(BaseClassifier):
    """Labels texts by the head that a model of transformers already has.

    Nothing is trained. `model_` is the whole model, and `match_` says which label of
    its head stands for which of `classes_`; without a match they are the head's own.
    """

    def __init__(self, model: SequenceModel, match: LabelMatch | None = None) -> None:
        self.model_, self.backbone_ = model, model.backbone
        self.match_ = match or LabelMatch.of_all(model.labels)
        self.classes_ = np.array(self.match_.classes)

    @classmethod
    def load(cls, name: str, **arguments: Any) -> "SequenceClassifier":
        """The classifier called `name`, as `SequenceModel.load` opens it."""
        return cls(SequenceModel.load(name, **arguments))

    @property
    def top_layer(self) -> int:
        """The highest layer: the head stands above all blocks."""
        return self.backbone_.n_layers

    def logits(
        self, texts: Strings, *, progress: Progress = silent
    ) -> Float[np.ndarray, "n n_class"]:
        """The logits of the head, a column for each class: see `LabelMatch.logits`."""
        ids = self.backbone_.tokenize(check_texts(texts)).ids
        own = self.model_.logits(ids, progress=progress)
        return self.match_.logits(torch.from_numpy(own)).numpy()

    def predict_proba(self, texts: Strings) -> Float[np.ndarray, "n n_class"]:
        """The probabilities of the head, columns in the order of `classes_`.

        They are as the model gives them: nothing here has calibrated them.
        """
        return softmax(self.logits(texts))

    def features(self, texts: Strings, *, progress: Progress = silent) -> Any:
        """Raise StcError: the head reads the whole last layer."""
        raise StcError(
            "features",
            expected="a classifier on selected neurons",
            got="a model with its own head, which reads its whole last layer",
        )

    def graded(self, ids: Tensor, mask: Tensor) -> Float[Tensor, "batch n_class"]:
        """The logits of padded ids; gradients can flow back from them."""
        return self.match_.logits(self.model_.graded(ids, mask))

    def explain(self, text: str) -> dict[str, Any]:
        """The explanation as `BaseClassifier.explain` gives it, with its `error`.

        The bias is what the model says of as many blank tokens. Neurons are those of
        the last layer, tokens are those of the text. The parts of either sum to the
        logits with the bias, but for `error`, the larger miss of both sums. They are
        integrated gradients (arXiv 1703.01365): the path of the neurons goes through
        the head alone, that of the tokens through the whole model.
        """
        check_texts([text])
        backbone = self.backbone_
        (ids,) = backbone.tokenize([text]).ids
        blank = blank_ids(backbone.tokenizer, ids)
        last = Site(backbone.n_layers, "resid")
        of_head = self._path(ids, blank, [last])
        words = self._path(ids, blank, self._embeddings)
        (state,) = backbone.token_activations([ids], [last])
        names, spans = list(self.match_.classes), backbone.spans(text)
        change = of_head.logits - of_head.start
        errors = [np.abs(found.total - change).max() for found in (of_head, words)]
        return {
            "text": text,
            "label": names[int(of_head.logits.argmax())],
            "probabilities": _named(names, softmax(of_head.logits[None])[0]),
            "logits": _named(names, of_head.logits),
            "bias": _named(names, of_head.start),
            "neurons": _neurons(last, state[last].numpy(), of_head.parts[last], names),
            "tokens": token_rows(spans, names, self._by_token(words.parts, len(spans))),
            "error": float(max(errors)),
        }

    def _path(
        self, ids: np.ndarray, blank: np.ndarray, sites: Sequence[Site]
    ) -> PathGradients:
        """The gradients along a path, with as many points as the sum needs."""
        for n_steps in PATH_STEPS:
            found = self.model_.path_gradients(
                ids, blank, sites, n_steps=n_steps, read=self.match_.logits
            )
            change = np.abs(found.logits - found.start).max()
            if np.abs(found.error).max() <= EXACT * change:
                break
        return found

    @property
    def _embeddings(self) -> list[Site]:
        """The sites where words come in: one, or two in an encoder-decoder."""
        names = enumerate(self.backbone_.layer_names)
        return [Site(layer, "resid") for layer, name in names if "embeddings" in name]

    def _by_token(
        self, parts: dict[Site, np.ndarray], n: int
    ) -> Float[np.ndarray, "pos n_class"]:
        """The sum of the parts of each token; a decoder reads token t at t + 1."""
        found = np.zeros((n, len(self.classes_)))
        for site, values in parts.items():
            of_position = values.sum(2, dtype=np.float64).T
            if self.backbone_.reads_shifted(site):
                found[: n - 1] += of_position[1:n]
            else:
                found += of_position[:n]
        return found

    def __reduce__(self) -> tuple:
        """By the name of the model and the match of its labels."""
        return _reopened, (self.backbone_.name, *_about(self.backbone_), self.match_)

    def save(self, folder: Path, *, params: dict[str, Any]) -> Path:
        """Write which model it is and the match of its labels; no weights are copied.

        classifier.json is written last.
        """
        make_folder(folder)
        write_json(folder / HEAD_FILE, self.match_._asdict())
        about = persistence.About.of(self.backbone_)
        persistence.write_about(folder, self.classes_, about=about, params=params)
        return folder


def open_sequence_classifier(
    folder: str | Path,
    *,
    backbone: Backbone | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> SequenceClassifier:
    """The classifier that `save` wrote to `folder`, with its model.

    A `backbone` in memory has no head, so the model is loaded again. Raises StcError if
    the model has other weights, or if its labels have other names or another order.
    """
    folder = Path(folder)
    _, about, _ = persistence.read_saved(folder)
    kept = read_json(folder / HEAD_FILE)
    match = LabelMatch(*(tuple(kept[name]) for name in LabelMatch._fields))
    found = SequenceModel.load(
        about.path(folder),
        device=device,
        dtype=about.dtype,
        max_length=about.max_length,
        progress=progress,
    )
    about.check(found.backbone, folder)
    return _matched(found, match, folder)


def _matched(
    model: SequenceModel, match: LabelMatch, folder: str | Path
) -> SequenceClassifier:
    """The classifier; StcError if the labels of the head are not those of the match."""
    if model.labels != match.own:
        raise StcError(
            f"classifier {str(folder)!r}",
            expected=f"a head with the labels {', '.join(match.own[:8])}",
            got=", ".join(model.labels[:8]),
            remedy="Restore id2label in config.json of the model, or train again.",
        )
    return SequenceClassifier(model, match)


def _about(backbone: Backbone) -> tuple[str, str, int]:
    dtype = str(backbone.dtype).removeprefix("torch.")
    return backbone.identity, dtype, backbone.max_length


def _reopened(
    name: str, identity: str, dtype: str, max_length: int, match: LabelMatch
) -> SequenceClassifier:
    """The classifier from its pickle; StcError if the model is another one now."""
    model = SequenceModel.load(name, dtype=dtype, max_length=max_length)
    about = persistence.About(name, identity, dtype, max_length)
    about.check(model.backbone, name)
    return _matched(model, match, name)


def _neurons(
    site: Site,
    state: Float[np.ndarray, "pos width"],
    parts: Float[np.ndarray, "n_class pos width"],
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """The neurons of the last layer, with their contributions over all positions.

    The pooling is that of the head, as far as the contributions tell it.
    """
    read = np.flatnonzero(np.abs(parts).max(axis=(0, 2)) > 0)
    ends = {0: "first", len(state) - 1: "last"}
    place = int(read[0]) if len(read) == 1 else -1
    pooling = ends.get(place, "mean")
    values = state[place] if place in ends else state.mean(axis=0)
    summed = parts.sum(axis=1, dtype=np.float64)
    return [
        {
            "site": str(site),
            "layer": site.layer,
            "index": column,
            "pooling": pooling,
            "activation": float(values[column]),
            "contribution": _named(names, summed[:, column]),
        }
        for column in range(len(values))
    ]


def _named(names: Sequence[str], values: Any) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}
