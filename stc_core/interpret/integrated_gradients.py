"""Gradients down to the words: how each token moves a logit, through the whole model.

Integrated gradients (arXiv 1703.01365) and gradient times input, by captum. The exact
split of the read-out stops at the layer that the head reads; these go down to the
words.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.packing import make_batch
from stc_core.backbone.tokenization.own_tokens import blank_ids
from stc_core.backbone.tokenization.tokens import Span
from stc_core.classifiers.base import BaseClassifier, token_rows
from stc_core.classifiers.labelling.given_texts import check_texts
from stc_core.errors import StcError
from stc_core.heads.word_shares import word_shares
from stc_core.interpret.graded_head import GradedHead

STEPS = 64
_BATCH = 16
"""The number of points on the path that go through the model at once."""


def integrated_gradients(
    classifier: BaseClassifier,
    text: str,
    *,
    label: str | None = None,
    n_steps: int = STEPS,
) -> dict[str, Any]:
    """The contribution of each token to the logit of `label`, from a blank text on.

    The result has the label, its `logit`, and `start`, the logit of the same number of
    blank tokens (special tokens stay). The contributions of the tokens sum to logit -
    start + `error`; the error falls as `n_steps` grows. The default label is the
    predicted one. Raises StcError for an encoder-decoder, which reads each word twice.
    """
    path = _path_of(classifier, text, label)
    values = path.integrated(n_steps)
    found = {
        "text": text,
        "label": path.names[path.target],
        "logit": path.logit,
        "start": path.start,
        "error": float(values.sum()) - (path.logit - path.start),
        "tokens": path.rows(text, values),
    }
    return _add_words(classifier, text, found)


def gradient_times_input(
    classifier: BaseClassifier, text: str, *, label: str | None = None
) -> dict[str, Any]:
    """The gradient of a logit times the embedding, summed over its width, by token.

    It has `label` and `tokens` like `integrated_gradients`. It is the change to first
    order if the embedding of the token became 0, from one backward pass. Source:
    Shrikumar et al. 2016 (arXiv 1605.01713), computed by captum.
    """
    path = _path_of(classifier, text, label)
    found = {
        "text": text,
        "label": path.names[path.target],
        "tokens": path.rows(text, path.at_the_text()),
    }
    return _add_words(classifier, text, found)


class _Path(NamedTuple):
    """The way from a blank text to a text, and the logit that is followed on it."""

    backbone: Backbone
    read: Callable[[Tensor, Tensor], Tensor]
    tokens: Tensor
    mask: Tensor
    blank: Tensor
    names: list[str]
    target: int
    logit: float
    start: float

    def integrated(self, n_steps: int) -> Float[np.ndarray, " pos"]:
        """The integrated gradient of each token, by captum."""
        from captum.attr import LayerIntegratedGradients

        return self._attribute(
            LayerIntegratedGradients,
            baselines=self.blank,
            n_steps=n_steps,
            internal_batch_size=_BATCH,
        )

    def at_the_text(self) -> Float[np.ndarray, " pos"]:
        """The gradient at the text times the embedding, of each token."""
        from captum.attr import LayerGradientXActivation

        return self._attribute(LayerGradientXActivation)

    def rows(self, text: str, values: np.ndarray) -> list[dict[str, Any]]:
        """The entry of each token, with its value for the followed class."""
        names = [self.names[self.target]]
        return token_rows(self.backbone.spans(text), names, values[:, None])

    def _attribute(self, method: Any, **how: Any) -> Float[np.ndarray, " pos"]:
        layer = self.backbone.model.get_input_embeddings()  # pyright: ignore[reportCallIssue]
        with self.backbone.alone():  # captum hooks the embeddings: no other text runs
            gradients: Any = method(self.read, layer).attribute(
                self.tokens,
                target=self.target,
                additional_forward_args=(self.mask,),
                **how,
            )
        return gradients.sum(-1)[0].detach().float().cpu().numpy()


def _path_of(classifier: BaseClassifier, text: str, label: str | None) -> _Path:
    """The path to `text` for the logit of `label`; None: that of the predicted one."""
    check_texts([text])
    backbone = classifier.backbone_
    _check(backbone)
    ids = backbone.tokenize([text]).ids
    batch = make_batch(ids, backbone.config, device=backbone.device, packed=False)
    tokens, mask = (batch.inputs[key] for key in ("input_ids", "attention_mask"))
    graded = getattr(classifier, "graded", None)
    read = graded or GradedHead(backbone, classifier.head_)
    with torch.no_grad():
        logits = read(tokens, mask)[0]
        blank = torch.from_numpy(blank_ids(backbone.tokenizer, tokens[0].cpu().numpy()))
        blank = blank.to(tokens.device)[None]
        start = read(blank, mask)[0]
    names = [str(name) for name in classifier.classes_]
    said = logits.cpu().numpy()
    if classifier.words_ is not None:
        said = said + classifier.words_.logits([text])[0]
    target = int(said.argmax()) if label is None else _place(names, label)
    ends = float(logits[target]), float(start[target])
    return _Path(backbone, read, tokens, mask, blank, names, target, *ends)


def _add_words(
    classifier: BaseClassifier, text: str, found: dict[str, Any]
) -> dict[str, Any]:
    """The attribution with what the classifier reads of words beside the neurons.

    That is exact, and blank words have none of it.
    """
    if classifier.words_ is None:
        return found
    names = [str(name) for name in classifier.classes_]
    at = names.index(found["label"])
    places = [(row["start"], row["end"]) for row in found["tokens"]]
    parts = classifier.words_.parts(text)
    shares, unread = word_shares(parts, text, places, n_class=len(names))
    more = [Span(start, end, text[start:end]) for start, end in unread]
    rows = token_rows(
        more,
        [found["label"]],
        np.array([row[at] for row in unread.values()]).reshape(-1, 1),
    )
    for row, share in zip(found["tokens"], shares[:, at].tolist(), strict=True):
        row["contribution"][found["label"]] += share
    found = {**found, "tokens": [*found["tokens"], *rows]}
    if "logit" in found:
        found["logit"] += float(sum(part.contribution[at] for part in parts))
    return found


def _place(names: Sequence[str], label: str) -> int:
    if label not in names:
        raise StcError("label", expected=", ".join(names[:20]), got=repr(label))
    return names.index(label)


def _check(backbone: Backbone) -> None:
    if getattr(backbone.config, "is_encoder_decoder", False):
        raise StcError(
            f"integrated gradients of {backbone.name}",
            expected="an encoder or a decoder alone",
            got=f"{backbone.family}, in which two stacks read the words",
            remedy="Use the split of the read-out instead.",
        )
