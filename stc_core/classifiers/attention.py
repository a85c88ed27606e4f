"""A classifier that reads all layers and tokens with attention, and explains itself."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from stc_core.activations.forward import BatchBudget, for_device, run_batches
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.packing import make_batch
from stc_core.classifiers import persistence
from stc_core.classifiers.attention_pooling import PARTS, Attention
from stc_core.classifiers.base import BaseClassifier, token_rows
from stc_core.classifiers.labelling.given_texts import Strings, check_texts
from stc_core.errors import StcError
from stc_core.files import make_folder, read_json, replacing, write_json
from stc_core.heads.head import softmax
from stc_core.types import PooledSite, Progress, Site, silent

ATTENTION, TENSORS = "attention.json", "attention.safetensors"
TOKENS = {"cpu": 2048, "cuda": 16384}
"""The most tokens in a batch. It is small because all layers are in memory at once."""


class TokenReadout(NamedTuple):
    """logit_k = bias_k + weight_k (vector under the query of class k - center).

    `center` (layer, query, 3 d_model) is the part of each layer in the vector of the
    average text.
    """

    weight: Float[Tensor, "n_class d3"]
    bias: Float[Tensor, " n_class"]
    center: Float[Tensor, "n_layers query d3"]


class AttentionClassifier(BaseClassifier):
    """Labels texts by attention over the layers and tokens of a backbone.

    `attention_` turns a text into a vector and `line_` turns that vector into logits.
    `layers_` are the layers that it reads.
    """

    def __init__(
        self,
        backbone: Backbone,
        attention: Attention,
        line: TokenReadout,
        *,
        layers: Sequence[int],
        classes: Sequence[str],
    ) -> None:
        self.backbone_, self.classes_ = backbone, np.array(classes)
        self.attention_ = attention.to(backbone.device).eval().requires_grad_(False)
        self.line_ = TokenReadout(*(part.to(backbone.device) for part in line))
        self.layers_ = tuple(layers)

    @property
    def top_layer(self) -> int:
        """The highest layer that is read; no block above it is run."""
        return max(self.layers_)

    @property
    def sites(self) -> list[Site]:
        return [Site(layer, "resid") for layer in self.layers_]

    def graded(self, ids: Tensor, mask: Tensor) -> Float[Tensor, "batch n_class"]:
        """The logits of padded ids; gradients can flow back from them."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        return self.graded_logits(self._states(inputs), mask.bool())

    def _states(self, inputs: dict[str, Tensor]) -> list[Tensor]:
        hidden = self.backbone_.graded(inputs, self.sites)
        return [hidden[site] for site in self.sites]

    def graded_logits(
        self,
        states: Sequence[Float[Tensor, "batch pos d_model"]],
        mask: Bool[Tensor, "batch pos"],
    ) -> Float[Tensor, "batch n_class"]:
        """The logits from the states of `sites`; gradients can flow back from them."""
        line = self.line_
        vectors = self.attention_(states, mask).vectors - line.center.sum(0)
        return (vectors * line.weight).sum(-1) + line.bias

    def logits(
        self, texts: Strings, *, progress: Progress = silent
    ) -> Float[np.ndarray, "n n_class"]:
        """The logits, a column for each class; other texts do not change them."""
        texts = check_texts(texts)
        out = np.empty((len(texts), len(self.classes_)), np.float32)
        done = 0
        for rows, logits in batches(
            self.backbone_, texts, self.sites, self.graded_logits
        ):
            out[rows] = logits.cpu().numpy()
            done += len(rows)
            progress(done, len(texts))
        return out

    def predict_proba(self, texts: Strings) -> Float[np.ndarray, "n n_class"]:
        """Calibrated probabilities, columns in the order of `classes_`."""
        return softmax(self.logits(texts))

    def features(self, texts: Strings, *, progress: Progress = silent) -> Any:
        raise StcError(
            "features",
            expected="a classifier on neurons",
            got="a classifier that reads all neurons by attention",
        )

    def explain(self, text: str) -> dict[str, Any]:
        """The explanation as `BaseClassifier.explain` gives it, with the attention.

        Instead of neurons it has the parts of the text's vector, layer by layer. Their
        sum with the bias is the logits, and so is the sum of the tokens with the bias.
        `attention` has the share of each layer, and the share of each token for each
        class. A share says what is read, not what would happen without it.
        """
        check_texts([text])
        parts, bias = self._split_text(text)
        names = [str(name) for name in self.classes_]
        logits = (parts.layers.sum((0, 1)) + bias).numpy().astype(np.float64)
        layer_shares = zip(
            map(str, self.layers_), parts.of_layers.tolist(), strict=True
        )
        return {
            "text": text,
            "label": names[int(logits.argmax())],
            "probabilities": _named(names, softmax(logits[None])[0]),
            "logits": _named(names, logits),
            "bias": _named(names, bias),
            "neurons": self._layer_rows(parts, names),
            "tokens": token_rows(
                self.backbone_.spans(text), names, parts.tokens.numpy()
            ),
            "attention": {
                "layers": dict(layer_shares),
                "tokens": _rows(names, parts.of_tokens),
            },
        }

    def _split_text(self, text: str) -> tuple["_Parts", Tensor]:
        """The parts of the logits of `text`, and the bias, on the CPU."""
        ids = self.backbone_.tokenize([text]).ids
        hidden = self.backbone_.token_activations(ids, self.sites)[0]
        states = [hidden[site][None] for site in self.sites]
        weights = self.attention_.state_dict()
        attention = Attention.of({name: t.cpu() for name, t in weights.items()})
        line = TokenReadout(*(part.cpu() for part in self.line_))
        with torch.inference_mode():
            return _split(attention, line, states), line.bias

    def _layer_rows(self, parts: "_Parts", names: Sequence[str]) -> list[dict]:
        return [
            {
                "site": str(site),
                "layer": site.layer,
                "index": None,
                "pooling": pooling,
                "activation": float(parts.of_layers[place]),
                "contribution": _named(names, parts.layers[place, which]),
            }
            for place, site in enumerate(self.sites)
            for which, pooling in enumerate(PARTS)
        ]

    def __reduce__(self) -> tuple:
        """Pickle its parts, with weights on the CPU, as the reader may have no GPU."""
        weights = {n: t.cpu() for n, t in self.attention_.state_dict().items()}
        line = TokenReadout(*(part.cpu() for part in self.line_))
        return _reader, (
            self.backbone_,
            weights,
            line,
            self.layers_,
            self.classes_.tolist(),
        )

    def save(self, folder: Path, *, params: dict[str, Any]) -> Path:
        """Write the classifier to `folder`; classifier.json is written last."""
        make_folder(folder)
        tensors = {f"line.{name}": part for name, part in self.line_._asdict().items()}
        tensors |= {
            f"attention.{n}": t for n, t in self.attention_.state_dict().items()
        }
        with replacing(folder / TENSORS) as path:
            save_file({n: t.cpu().contiguous() for n, t in tensors.items()}, path)
        write_json(folder / ATTENTION, {"layers": list(self.layers_)})
        about = persistence.About.of(self.backbone_)
        persistence.write_about(folder, self.classes_, about=about, params=params)
        return folder


def _reader(
    backbone: Backbone,
    weights: dict[str, Tensor],
    line: TokenReadout,
    layers: Sequence[int],
    classes: Sequence[str],
) -> AttentionClassifier:
    """The classifier from its pickled parts."""
    attention = Attention.of(weights)
    return AttentionClassifier(
        backbone, attention, line, layers=layers, classes=classes
    )


def open_attention(
    folder: str | Path,
    *,
    backbone: Backbone | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> AttentionClassifier:
    """The classifier that `save` wrote to `folder`, on the backbone that it reads."""
    folder = Path(folder)
    classes, about, _ = persistence.read_saved(folder)
    model = about.open(folder, backbone=backbone, device=device, progress=progress)
    layers = read_json(folder / ATTENTION)["layers"]
    try:
        tensors = load_file(folder / TENSORS)
    except SafetensorError as error:
        raise StcError(
            f"classifier {str(folder)!r}",
            got=f"a damaged {TENSORS} ({error})",
            remedy="Train again.",
        ) from error
    attention = Attention.of(
        {n.partition(".")[2]: t for n, t in tensors.items() if n.startswith("att")}
    )
    line = TokenReadout(*(tensors[f"line.{name}"] for name in TokenReadout._fields))
    return AttentionClassifier(
        model, attention, line, layers=layers, classes=classes.tolist()
    )


def batches(
    backbone: Backbone, texts: Sequence[str], sites: Sequence[Site], make: Any
) -> Iterator[tuple[np.ndarray, Any]]:
    """The rows of each batch of texts, and `make(states, mask)` of that batch.

    The states are those of `sites`, in this order; they are not kept.
    """

    def read(ids: list[np.ndarray]) -> Any:
        batch = make_batch(ids, backbone.config, device=backbone.device, packed=False)
        assert (np.diff(batch.order) > 0).all(), "texts come sorted by length"
        with torch.inference_mode():
            hidden = backbone.graded(batch.inputs, sites)
            return make([hidden[site] for site in sites], batch.mask)

    wanted = [PooledSite(site, "mean") for site in sites]
    budget = BatchBudget(backbone, wanted, for_device(backbone, TOKENS))
    for batch in run_batches(
        backbone, texts, wanted, lambda x: x, budget=budget, read=read
    ):
        yield batch.rows, batch.value


class _Parts(NamedTuple):
    """The logits of one text without the bias, split by layer and part, and by token.

    `of_layers` and `of_tokens` are the shares that attention reads.
    """

    layers: Float[Tensor, "n_layers parts n_class"]
    tokens: Float[Tensor, "pos n_class"]
    of_layers: Float[Tensor, " n_layers"]
    of_tokens: Float[Tensor, "n_class pos"]


def _split(
    attention: Attention, line: TokenReadout, states: Sequence[Tensor]
) -> _Parts:
    mask = torch.ones(states[0].shape[:2], dtype=torch.bool)
    n_class = len(line.bias)
    by_layer = attention.by_layer(states, mask).vectors()[0] - line.center
    by_token = attention.by_token(states, line.center.sum(0)).vectors()[0]
    layers = by_layer.expand(-1, n_class, -1) * line.weight  # (layer, class, 3 d)
    tokens = by_token.expand(-1, n_class, -1) * line.weight
    z = torch.stack(attention.layers(states, mask)).sum(0)
    return _Parts(
        layers.unflatten(-1, (len(PARTS), -1)).sum(-1).transpose(1, 2),
        tokens.sum(-1),
        attention.layer_shares(),
        attention.token_shares(z, mask)[0].expand(n_class, -1),
    )


def _named(names: Sequence[str], values: Any) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _rows(names: Sequence[str], values: Tensor) -> dict[str, list[float]]:
    return {name: row.tolist() for name, row in zip(names, values, strict=True)}
