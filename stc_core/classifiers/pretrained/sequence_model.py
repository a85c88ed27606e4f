"""A language model that comes with a classification head of its own.

Such a checkpoint is what transformers opens as AutoModelForSequenceClassification. Its
base is an ordinary `Backbone`; the head above it is kept, and nothing is trained.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.hooks import Edit, read_sites
from stc_core.backbone.loading import hub
from stc_core.backbone.loading.checkpoint import (
    check_whole,
    choose_device,
    choose_dtype,
    length_limit,
    load_model,
    load_tokenizer,
)
from stc_core.backbone.loading.loader_files import CONFIG, read_object
from stc_core.backbone.loading.loading_errors import (
    explain_forward_errors,
    too_large,
)
from stc_core.backbone.runner import ModelRunner, check_time
from stc_core.errors import StcError
from stc_core.types import Progress, Site, silent

_BATCH_TOKENS = {"cpu": 4096, "cuda": 32768}
"""The most tokens in a batch."""
MOST_TOKENS_OF_HEAD = 1024
"""The most tokens of a text that are read if nobody says another number."""
_POINTS = 16
"""The number of points on a path that go through the model at once."""
_NO_ID = -1
"""Not the id of any token: every position of a text then counts as one of its own."""


class PathGradients(NamedTuple):
    """How much each activation of some sites adds to each logit, and what is missed.

    `parts` has an array (n_class, pos, width) for each site. All parts of a class sum
    to logits - start + error. `start` are the logits at the beginning of the path.
    """

    parts: dict[Site, Float[np.ndarray, "n_class pos width"]]
    logits: Float[np.ndarray, " n_class"]
    start: Float[np.ndarray, " n_class"]

    @property
    def total(self) -> Float[np.ndarray, " n_class"]:
        """The sum of all parts for each class."""
        of_sites = [part.sum((1, 2), dtype=np.float64) for part in self.parts.values()]
        return np.sum(of_sites, axis=0)

    @property
    def error(self) -> Float[np.ndarray, " n_class"]:
        """The sum of the parts less the difference of the logits."""
        return self.total - (self.logits - self.start)


class SequenceModel:
    """A model with its own head: `backbone` is its base, `labels` are its label names.

    Texts are read in batches of equal length without padding, so a text's logits do
    not depend on the others. Safe to share between threads.
    """

    def __init__(self, model: nn.Module, backbone: Backbone) -> None:
        """Use `load`. `model` is the whole model, `backbone` its base."""
        self.model = model.eval().requires_grad_(False)
        self.backbone, self.labels = backbone, _labels(model, backbone.name)
        self._runner = ModelRunner(model)
        config: Any = model.config
        if getattr(config, "pad_token_id", None) is None:
            config.pad_token_id = _NO_ID  # decoders look for the last token before it

    @classmethod
    def load(
        cls,
        name: str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_length: int | None = None,
        progress: Progress = silent,
    ) -> "SequenceModel":
        """The model called `name`: a local folder or a Hub id, as in `Backbone.load`.

        Without `max_length` it reads as many tokens as the model takes, up to
        MOST_TOKENS_OF_HEAD. Raises StcError if it has no classification head, if the
        head has no weights, or if the head does not choose one label of several.
        """
        target = choose_device(device)
        folder = hub.resolve(name, progress=progress)
        where = f"backbone {name!r}"
        if not has_own_head(name):
            raise _no_head(where, folder)
        model, report = load_model(
            AutoModelForSequenceClassification,
            folder,
            name,
            choose_dtype(dtype, target),
        )
        check_whole(model, report, where)
        base = getattr(model, "base_model", model)
        if base is model:
            raise StcError(where, expected="a head above a base model", got="one piece")
        try:
            model.to(target)
        except torch.OutOfMemoryError as error:
            raise too_large(where) from error
        tokenizer = load_tokenizer(folder, name)
        if max_length is None:
            max_length = min(
                length_limit(base, tokenizer) or MOST_TOKENS_OF_HEAD,
                MOST_TOKENS_OF_HEAD,
            )
        backbone = Backbone.read_from(
            folder, base, tokenizer, name=name, max_length=max_length
        )
        found = cls(model, backbone)
        with explain_forward_errors(where, model):
            found.logits(backbone.tokenize(["a"]).ids)
        return found

    def logits(
        self, ids: Sequence[Int[np.ndarray, " _"]], *, progress: Progress = silent
    ) -> Float[np.ndarray, "n n_label"]:
        """The logits of tokenized texts, float32, a column for each of `labels`."""
        out = np.empty((len(ids), len(self.labels)), np.float32)
        done = 0
        for rows in _equally_long(
            ids, _BATCH_TOKENS.get(self.backbone.device.type, 4096)
        ):
            tokens = self._tensor(np.stack([ids[row] for row in rows]))
            with torch.inference_mode(), self.backbone.alone():
                out[rows] = self._forward(tokens).float().cpu().numpy()
            done += len(rows)
            progress(done, len(ids))
        return out

    def graded(
        self, ids: Tensor, mask: Tensor, *, edit: Edit | None = None
    ) -> Float[Tensor, "batch n_label"]:
        """The logits of padded ids (batch, pos), with gradients if the mode has them.

        An `edit` changes sites of the backbone (batch, pos, width) on the way.
        """
        out: list[Tensor] = []
        inputs = {"input_ids": ids, "attention_mask": mask}

        def run() -> None:
            out.append(self._logits_of(self._runner.run_padded(inputs)))

        with self.backbone.alone():
            if edit is None:
                run()
            else:
                points = self.backbone.points(edit.sites)
                hooked = edit._replace(change=partial(_reshaped, edit, ids.shape))
                read_sites(run, points, _ignore, graded=True, to_end=True, edit=hooked)
        return out[0].float()

    def path_gradients(
        self,
        ids: Int[np.ndarray, " pos"],
        start: Int[np.ndarray, " pos"],
        sites: Sequence[Site],
        *,
        n_steps: int,
        read: Callable[[Tensor], Tensor],
    ) -> PathGradients:
        """Integrated gradients of every logit along a straight path of activations.

        `read` turns the logits of the head (n, n_label) into those that are explained
        (n, n_class).

        The path leads from the activations of the text `start` to those of the text
        `ids`, at all `sites` together; the model above them is computed at `n_steps`
        points by Gauss-Legendre. What a model reads beside these sites stays that of
        `ids`. Source: arXiv 1703.01365.
        """
        states = self.backbone.token_activations([ids, start], sites)
        device, dtype = self.backbone.device, self.backbone.dtype
        to, came = ({s: of[s].to(device, dtype) for s in sites} for of in states)
        with torch.no_grad():
            ends = [
                self._at({s: end[s][None] for s in sites}, ids) for end in (to, came)
            ]
            ends = read(torch.cat(ends)).double().cpu().numpy()
        n_class = ends.shape[1]
        nodes, weights = np.polynomial.legendre.leggauss(n_steps)
        slope = {s: torch.zeros(n_class, *to[s].shape, device=device) for s in sites}
        for first in range(0, n_steps, _POINTS):
            part = slice(first, first + _POINTS)
            alphas = self._tensor((nodes[part] + 1) / 2)
            points = {s: _on_path(came[s], to[s], alphas) for s in sites}
            logits = read(self._at(points, ids))
            shares = self._tensor(weights[part] / 2)
            for label in range(n_class):
                check_time()
                slopes = torch.autograd.grad(
                    logits[:, label].sum(),
                    list(points.values()),
                    retain_graph=label + 1 < n_class,
                )
                for site, of_site in zip(sites, slopes, strict=True):
                    slope[site][label] += torch.tensordot(shares, of_site.float(), 1)
        parts = {s: (slope[s] * (to[s] - came[s]).float()).cpu().numpy() for s in sites}
        return PathGradients(parts, *ends)

    def _at(
        self, states: dict[Site, Tensor], ids: Int[np.ndarray, " pos"]
    ) -> Float[Tensor, "point n_label"]:
        """The logits with `states` in the place of the activations of a text."""
        n = len(next(iter(states.values())))
        tokens = self._tensor(ids)[None].expand(n, -1).contiguous()
        edit = Edit(frozenset(states), lambda site, hidden: states[site])
        return self.graded(tokens, torch.ones_like(tokens), edit=edit)

    def _forward(self, tokens: Tensor) -> Tensor:
        inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
        return self._logits_of(self._runner.run_padded(inputs))

    @staticmethod
    def _logits_of(output: Any) -> Tensor:
        return output.logits

    def _tensor(self, values: np.ndarray) -> Tensor:
        kind = np.int64 if values.dtype.kind in "iu" else np.float32
        return torch.from_numpy(values.astype(kind)).to(self.backbone.device)

    def __repr__(self) -> str:
        return f"SequenceModel({self.backbone.name!r}, {len(self.labels)} labels)"


def has_own_head(name: str) -> bool:
    """Whether config.json of `name` names a model with a classification head.

    The model must be on this machine. Nothing is loaded; `SequenceModel.load` checks
    the weights.
    """
    path = hub.resolve(name) / CONFIG
    config = read_object(path) if path.is_file() else {}
    architectures = config.get("architectures") or []
    return any(
        str(known).endswith("ForSequenceClassification") for known in architectures
    )


def _labels(model: nn.Module, name: str) -> tuple[str, ...]:
    """The names of the labels in the order of the logits; StcError for another task."""
    config: Any = model.config
    where = f"head of backbone {name!r}"
    kind = getattr(config, "problem_type", None)
    if kind == "multi_label_classification":
        raise StcError(
            where,
            expected="a head that gives each text one label",
            got="one that gives several (problem_type in config.json)",
        )
    if kind == "regression" or config.num_labels < 2:
        raise StcError(
            where,
            expected="a head with two or more labels",
            got="one that gives a number",
        )
    known = {int(place): str(label) for place, label in config.id2label.items()}
    labels = tuple(known.get(place, f"LABEL_{place}") for place in range(len(known)))
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise StcError(
            where,
            expected="another name for each label (id2label in config.json)",
            got=f"{twice!r} twice",
            remedy="Give them different names in config.json.",
        )
    return labels


def _equally_long(ids: Sequence[np.ndarray], most: int) -> Iterator[list[int]]:
    """The places of texts of one length, with at most `most` tokens or one text."""
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    some: list[int] = []
    for place in order:
        length = len(ids[place])
        is_full = (len(some) + 1) * length > most
        if some and (length != len(ids[some[0]]) or is_full):
            yield some
            some = []
        some.append(place)
    if some:
        yield some


def _on_path(came: Tensor, to: Tensor, alphas: Tensor) -> Tensor:
    """States (point, pos, width) between two ends; gradients can reach them."""
    shares = alphas.to(to.dtype)[:, None, None]
    return (came + shares * (to - came)).requires_grad_()


def _reshaped(edit: Edit, shape: Sequence[int], site: Site, hidden: Tensor) -> Tensor:
    """The change of `edit` where a model keeps texts and positions in one dimension."""
    return edit.change(site, hidden.reshape(*shape, -1)).reshape(hidden.shape)


def _ignore(site: Site, hidden: Tensor) -> None:
    """Take nothing."""


def _no_head(where: str, folder: Any) -> StcError:
    config = folder / CONFIG
    named = (read_object(config) if config.is_file() else {}).get("architectures")
    return StcError(
        where,
        expected="a model with a classification head (...ForSequenceClassification)",
        got=", ".join(map(str, named or ["a model that names no head"])),
        remedy="Take the folder of a fine-tuned classifier, or train one on this "
        "backbone with the recipe stc.",
    )
