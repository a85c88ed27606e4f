"""Integrated gradients: how much each token moves a logit, through the whole model.

Source: arXiv 1703.01365, computed by captum. Beside the exact split of the read-out,
which stops at the layer that is read, this one goes down to the words.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.packing import make_batch
from stc_core.backbone.pooling import pool
from stc_core.backbone.tokenization.own_tokens import added_ids
from stc_core.classifiers.attention import AttentionClassifier
from stc_core.classifiers.base import BaseClassifier, check_texts
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.types import Site

STEPS = 64
_BATCH = 16
"""Points on the path that go through the model at once."""


def integrated_gradients(
    labeller: BaseClassifier,
    text: str,
    *,
    label: str | None = None,
    n_steps: int = STEPS,
) -> dict[str, Any]:
    """What each token adds to the logit of `label`, from a text without its words.

    label; logit and `start`, that of the same number of blank tokens (special ones
    stay); tokens with their contribution, which sum to logit - start but for `error`,
    which falls as `n_steps` grows. `label` is the predicted one if none is given.
    Raises StcError for an encoder-decoder, which reads every word twice.
    """
    from captum.attr import LayerIntegratedGradients

    check_texts([text])
    backbone = labeller.backbone_
    _check(backbone)
    ids = backbone.tokenize([text]).ids
    batch = make_batch(ids, backbone.config, device=backbone.device, packed=False)
    tokens, mask = (batch.inputs[key] for key in ("input_ids", "attention_mask"))
    attends = isinstance(labeller, AttentionClassifier)
    read = labeller.graded if attends else _Reader(backbone, labeller.head_)
    with torch.no_grad():
        logits = read(tokens, mask)[0]
        blank = _blank(backbone, tokens)
        start = read(blank, mask)[0]
    names = [str(name) for name in labeller.classes_]
    target = int(logits.argmax()) if label is None else _place(names, label)
    layer = backbone.model.get_input_embeddings()  # pyright: ignore[reportCallIssue]
    with backbone.alone():  # captum hooks the embeddings of whoever runs them
        found: Any = LayerIntegratedGradients(read, layer).attribute(
            tokens,
            baselines=blank,
            target=target,
            additional_forward_args=(mask,),
            n_steps=n_steps,
            internal_batch_size=_BATCH,
        )
    values = found.sum(-1)[0].detach().float().cpu().numpy()
    gained = float(logits[target] - start[target])
    return {
        "text": text,
        "label": names[target],
        "logit": float(logits[target]),
        "start": float(start[target]),
        "error": float(values.sum()) - gained,
        "tokens": _tokens(backbone, text, values, names[target]),
    }


class _Reader:
    """Logits of padded ids, differentiable in the embeddings."""

    def __init__(self, backbone: Backbone, head: SparseHead) -> None:
        self.backbone, self.head = backbone, head
        self.sites = sorted({feature.site for feature in head.features})
        place = backbone.device
        self.mean, self.sd, self.weight, self.bias = (
            torch.from_numpy(np.asarray(part, np.float32)).to(place)
            for part in (head.mean, head.sd, head.weight, head.bias)
        )

    def __call__(self, ids: Tensor, mask: Tensor) -> Float[Tensor, "batch n_class"]:
        inputs = {"input_ids": ids, "attention_mask": mask}
        hidden = self.backbone.graded(inputs, self.sites)
        X = _columns(self.head, hidden, mask.bool())
        return (X - self.mean) / self.sd @ self.weight.T + self.bias


def _columns(
    head: SparseHead, hidden: Mapping[Site, Tensor], mask: Tensor
) -> Float[Tensor, "batch n"]:
    """The pooled neurons of the head, in its order."""
    groups: dict[tuple[Site, Any], list[int]] = {}
    for place, (site, pooling, _) in enumerate(head.features):
        groups.setdefault((site, pooling), []).append(place)
    parts, order = [], []
    for (site, pooling), places in groups.items():
        index = [head.features[place].index for place in places]
        parts.append(pool(hidden[site], mask, pooling)[:, index])
        order += places
    return torch.cat(parts, 1)[:, np.argsort(order).tolist()]


def _blank(backbone: Backbone, tokens: Tensor) -> Tensor:
    """The same special tokens around as many tokens that say nothing."""
    tokenizer = backbone.tokenizer
    silent = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id)
    nothing = next((i for i in silent if isinstance(i, int)), 0)
    added = torch.tensor(sorted(added_ids(tokenizer)), device=tokens.device)
    return torch.where(torch.isin(tokens, added), tokens, nothing)


def _tokens(
    backbone: Backbone, text: str, values: Float[np.ndarray, " pos"], label: str
) -> list[dict[str, Any]]:
    return [
        {
            "start": int(start),
            "end": int(end),
            "text": token,
            "contribution": {label: float(value)},
        }
        for (start, end, token), value in zip(backbone.spans(text), values, strict=True)
    ]


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
            remedy="Look at the split of the read-out instead.",
        )
