"""A Hugging Face language model whose sites can be read, up to any layer."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from stc_core.backbone import changes
from stc_core.backbone.batch_parts import (
    group_positions,
    join_parts,
    lengths_of,
    read_padded,
)
from stc_core.backbone.hooks import Edit, Take, read_sites
from stc_core.backbone.loading import hub
from stc_core.backbone.loading.checkpoint import (
    choose_device,
    choose_dtype,
    choose_length,
    identity_of,
)
from stc_core.backbone.loading.loading_errors import explain_forward_errors, too_large
from stc_core.backbone.notes import reading_notes
from stc_core.backbone.onednn import lay_out
from stc_core.backbone.packing import (
    Batch,
    can_pack,
    has_triton,
    longest_packed,
    make_batch,
    pool_batch,
    send,
)
from stc_core.backbone.pickling import reduce_backbone
from stc_core.backbone.pooling import view
from stc_core.backbone.runner import ModelRunner
from stc_core.backbone.structure.introspect import examine_model
from stc_core.backbone.structure.sites import Point
from stc_core.backbone.tokenization import own_tokens, tokens
from stc_core.backbone.tokenization.tokens import Span, Tokens
from stc_core.backbone.tokenization.vocabulary import adapt_tokenizer
from stc_core.config import DEFAULT_BACKBONE
from stc_core.errors import StcError
from stc_core.types import PooledSite, Pooling, Progress, Site, silent

_K = TypeVar("_K")


class Backbone:
    """A frozen model, its tokenizer and its sites; safe to share between threads.

    `sites` are in computing order. `resid.l` is the raw residual stream (no final
    norm), `mlp.l` the input of block l's down-projection. `layer_names[l]` describes
    layer l. In an encoder-decoder the decoder's embeddings and blocks follow the
    encoder's, and the decoder reads the same text shifted right by one token.
    """

    elsewhere: Any = None  # what runs forwards of many texts; None: this process
    _loaded = False  # True if loaded by a name, which can load it again

    def __init__(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str,
        identity: str,
        max_length: int | None = None,
    ) -> None:
        """Set the model to eval mode without gradients. Use `load` or `from_model`."""
        self.model = model.eval().requires_grad_(False)
        where = f"backbone {name!r}"
        self.tokenizer, vocabulary_notes = adapt_tokenizer(model, tokenizer, where)
        self.name, self.identity, self.revision = name, identity, identity[:12]
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.config: Any = getattr(model, "config", None)
        self.family = getattr(self.config, "model_type", type(model).__name__.lower())
        self.max_length = choose_length(model, self.tokenizer, max_length, name)
        self.packs = can_pack(model) and (self.device.type != "cuda" or has_triton())
        self._lock = threading.RLock()
        self._runner = ModelRunner(model)
        with explain_forward_errors(where, model):
            self._anatomy, self.causal, self.sees_padding = examine_model(
                model, self._runner.run, name=name, device=self.device
            )
        self.sites = tuple(self._anatomy.points)
        self.widths, self.layer_names = self._anatomy.widths, self._anatomy.layer_names
        self.n_layers = len(self.layer_names) - 1
        self.d_model = self.widths[Site(0, "resid")]
        self.notes = self._anatomy.notes + vocabulary_notes
        self.notes += reading_notes(
            model,
            self._runner.frequencies,
            sees_padding=self.sees_padding,
            slow=can_pack(model) and not self.packs,
            max_length=self.max_length,
        )
        lay_out(model)

    @classmethod
    def load(
        cls,
        name: str = DEFAULT_BACKBONE,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_length: int | None = None,
        progress: Progress = silent,
    ) -> "Backbone":
        """The backbone called `name`: the embedded one, a local folder or a Hub id.

        An auto device is cuda, mps or cpu; an auto dtype is bfloat16 on cuda, else
        float32. Nothing is shown; `progress` counts the bytes of a download. StcError
        for problems that the user can solve.
        """
        target = choose_device(device)
        folder = hub.resolve(name, progress=progress)
        model, tokenizer = changes.read_tuned(folder, name, choose_dtype(dtype, target))
        try:
            model.to(target)
        except torch.OutOfMemoryError as error:
            raise too_large(f"backbone {name!r}") from error
        return cls.read_from(
            folder,
            model,
            tokenizer,
            name=DEFAULT_BACKBONE if name in hub.EMBEDDED else name,
            max_length=max_length,
        )

    @classmethod
    def read_from(
        cls,
        folder: Path,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str,
        max_length: int | None = None,
    ) -> "Backbone":
        """The backbone around a model that was loaded from `folder`, called `name`."""
        identity = changes.tuned_identity(folder)
        backbone = cls(
            model, tokenizer, name=name, identity=identity, max_length=max_length
        )
        backbone._loaded = True
        return backbone

    @classmethod
    def from_model(
        cls,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str = "in memory",
        max_length: int | None = None,
    ) -> "Backbone":
        """A backbone around a model in memory; its identity is that of its weights."""
        identity = identity_of(model, tokenizer)
        return cls(
            model, tokenizer, name=name, identity=identity, max_length=max_length
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other threads from running the model, for code that hooks or changes it.

        Forwards of this class use it themselves, and a thread may enter it twice.
        """
        with self._lock:
            yield

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Ids (int32) of each text, cut at `max_length`, and how many were cut."""
        return tokens.tokenize(self.tokenizer, texts, max_length=self.max_length)

    def spans(self, text: str) -> list[Span]:
        """(start, end, token) of each kept token; special tokens have start == end."""
        return tokens.spans(self.tokenizer, text, max_length=self.max_length)

    def pooled(
        self, ids: Sequence[np.ndarray], wanted: Sequence[PooledSite]
    ) -> dict[PooledSite, Float[Tensor, "batch width"]]:
        """Pooled activations of one batch, float32, on the device, rows as in `ids`.

        One forward stops after the highest wanted site. Each site is pooled as soon as
        it is computed, so nothing of shape (batch, pos, width) is kept. A text's values
        do not depend on the other texts of its batch.
        """
        return self._apart(ids, lambda part: self._pooled(part, wanted))

    def _pooled(
        self, ids: Sequence[np.ndarray], wanted: Sequence[PooledSite]
    ) -> dict[PooledSite, Tensor]:
        poolings: dict[Site, list[Pooling]] = {}
        for site, pooling in dict.fromkeys(wanted):
            poolings.setdefault(site, []).append(pooling)
        batch = self._batch(ids)
        is_sorted = bool((np.diff(batch.order) > 0).all())
        restored_order = send(torch.from_numpy(np.argsort(batch.order)), self.device)
        out: dict[PooledSite, Tensor] = {}

        def take(site: Site, hidden: Tensor) -> None:
            for pooling, block in pool_batch(hidden, batch, poolings[site]).items():
                rows = block if is_sorted else block[restored_order]
                out[PooledSite(site, pooling)] = rows

        self._read(batch, poolings, take)
        return {pooled_site: out[pooled_site] for pooled_site in wanted}

    def content_means(
        self, ids: Sequence[np.ndarray], sites: Sequence[Site]
    ) -> dict[Site, Float[Tensor, "batch width"]]:
        """Means over each text's own tokens, float32, on the device, rows as in `ids`.

        Tokens that the tokenizer adds around a text are left out.
        """
        return self._apart(ids, lambda part: self._content_means(part, sites))

    def _content_means(
        self, ids: Sequence[np.ndarray], sites: Sequence[Site]
    ) -> dict[Site, Tensor]:
        batch = self._batch(ids)
        restored_order = send(torch.from_numpy(np.argsort(batch.order)), self.device)
        is_own = own_tokens.own_tokens(ids, own_tokens.added_ids(self.tokenizer))
        out: dict[Site, Tensor] = {}

        def take(site: Site, hidden: Tensor) -> None:
            shifted = self.reads_shifted(site)
            marks = own_tokens.shift_marks(is_own) if shifted else is_own
            out[site] = own_tokens.marked_mean(hidden, batch, marks)[restored_order]

        self._read(batch, dict.fromkeys(sites), take)
        return {site: out[site] for site in sites}

    def graded(
        self,
        inputs: Mapping[str, Tensor],
        sites: Sequence[Site],
        *,
        traced: bool = False,
        edit: Edit | None = None,
    ) -> dict[Site, Float[Tensor, "batch pos width"]]:
        """Activations of a padded batch, with gradients if the caller's mode has them.

        `inputs` are those of `make_batch`, on the model's device. A tracer needs
        `traced`: one forward of the whole batch that is not stopped. An `edit` changes
        sites (batch, pos, width) on the way; its texts must be equally long.
        """
        read = partial(self._graded, sites=sites, to_end=traced, edit=edit)
        whole = traced or edit is not None
        return read(inputs) if whole else self.by_parts(inputs, read)

    def by_parts(
        self,
        inputs: Mapping[str, Tensor],
        read: Callable[[dict[str, Tensor]], dict[_K, Tensor]],
    ) -> dict[_K, Tensor]:
        """`read` of a padded batch, or of each of its parts that may be read together.

        `read` gives tensors (batch, pos, width). If there are several parts, they are 0
        beyond the end of a text.
        """
        if not self._reads_apart:
            return read(dict(inputs))
        lengths = inputs["attention_mask"].sum(1).cpu().numpy()
        return read_padded(inputs, lengths, self._parts(lengths), read)

    def _graded(
        self,
        inputs: Mapping,
        sites: Sequence[Site],
        *,
        to_end: bool = False,
        edit: Edit | None = None,
    ) -> dict[Site, Tensor]:
        out: dict[Site, Tensor] = {}
        shape = inputs["input_ids"].shape

        def take(site: Site, hidden: Tensor) -> None:
            if site in sites:
                out[site] = hidden.reshape(*shape, -1)

        def change(site: Site, hidden: Tensor) -> Tensor:
            assert edit is not None
            return edit.change(site, hidden.reshape(*shape, -1)).reshape(hidden.shape)

        wanted = {*sites, *(edit.sites if edit is not None else ())}
        points = self.points(wanted)
        reshaped = None if edit is None else edit._replace(change=change)
        with self.alone():
            run = partial(self._runner.run_padded, inputs)
            read_sites(run, points, take, graded=True, to_end=to_end, edit=reshaped)
        return out

    def points(self, sites: Iterable[Site]) -> dict[Site, Point]:
        """Where each site is in the model."""
        return {site: self._anatomy.points[site] for site in sites}

    def block(self, layer: int) -> nn.Module | None:
        """The block whose output is layer `layer`; None for embeddings."""
        if not 0 < layer <= self.n_layers or "embeddings" in self.layer_names[layer]:
            return None
        return self._anatomy.points[Site(layer - 1, "resid")].module

    def point(self, site: Site) -> Point:
        """The module whose input or output is read at `site`, and at which call."""
        self._check_sites([site])
        return self._anatomy.points[site]

    def down_projection(self, layer: int) -> nn.Module | None:
        """The module whose input is the FFN neurons of block `layer`, if known."""
        point = self._anatomy.points.get(Site(layer, "mlp"))
        return None if point is None else point.module

    def token_activations(
        self, ids: Sequence[np.ndarray], sites: Sequence[Site]
    ) -> list[dict[Site, Float[Tensor, "pos width"]]]:
        """Each text's activations at every kept token, float32 on the CPU."""
        out: list[dict[Site, Tensor]] = [{} for _ in ids]
        for part in self._parts(lengths_of(ids)):
            self._tokens([ids[text] for text in part], sites, [out[t] for t in part])
        return out

    def _tokens(
        self,
        ids: Sequence[np.ndarray],
        sites: Sequence[Site],
        out: list[dict[Site, Tensor]],
    ) -> None:
        batch = self._batch(ids)

        def take(site: Site, hidden: Tensor) -> None:
            for group in batch.groups:
                real = view(hidden, group, packed=batch.packed)
                copies = real.detach().to("cpu", torch.float32, copy=True)
                for position, copy in enumerate(copies, start=group.start):
                    out[batch.order[position]][site] = copy

        self._read(batch, dict.fromkeys(sites), take)

    def parameters(self, layer: int | None = None) -> int:
        """Parameters of the backbone cut off after `layer` (None: the last).

        Embeddings count; heads, poolers and norms above the last block do not.
        """
        return self._anatomy.parameters[self.n_layers if layer is None else layer]

    def flops_per_token(self, layer: int | None = None) -> int:
        """Forward FLOPs per token of the backbone cut after `layer` (None: the last).

        Two for each weight of a matrix product. Attention scores, which grow with the
        length of the text, and look-ups are left out.
        """
        return self._anatomy.flops[self.n_layers if layer is None else layer]

    def reads_shifted(self, site: Site) -> bool:
        """Whether a decoder reads this site shifted: token t at position t + 1."""
        return self.layer_names[site.layer].startswith("decoder ")

    def __reduce__(self) -> tuple:
        """By its name if it was loaded by name, so that pickles stay small."""
        return reduce_backbone(self, loaded=self._loaded)

    def __deepcopy__(self, memo: dict) -> "Backbone":
        """The backbone itself: it never changes, and estimators are cloned often."""
        return self

    def __repr__(self) -> str:
        return (
            f"Backbone({self.name!r}, {self.family}, {self.n_layers} layers, "
            f"{self.device}, {str(self.dtype).removeprefix('torch.')})"
        )

    @property
    def default_poolings(self) -> tuple[Pooling, ...]:
        """The token in which the family is trained to sum up a text, max and mean."""
        reads_left = self.causal or getattr(self.config, "is_encoder_decoder", False)
        return ("last" if reads_left else "first", "max", "mean")

    @property
    def constant_up_to(self) -> int | None:
        """The longest text whose positions have the frequencies of short texts.

        None if all texts have the same frequencies, or none.
        """
        return self._runner.frequencies.constant_up_to

    @property
    def _reads_apart(self) -> bool:
        """Whether some texts must not be in one batch."""
        return self.sees_padding or self.constant_up_to is not None

    def _parts(self, lengths: np.ndarray) -> list[np.ndarray]:
        """Positions of texts that may be read together; each text is in one part."""
        if not self._reads_apart:
            return [np.arange(len(lengths))]
        if self.sees_padding:
            return group_positions(lengths)
        return group_positions(self._runner.frequencies.groups(lengths))

    def _apart(
        self, ids: Sequence[np.ndarray], read: Callable[[list], dict[_K, Tensor]]
    ) -> dict[_K, Tensor]:
        """The result of `read` on the texts of each part, in the order of `ids`."""
        parts = self._parts(lengths_of(ids))
        if len(parts) < 2:
            return read(list(ids))
        results = [read([ids[text] for text in part]) for part in parts]
        return join_parts(results, parts)

    def _batch(self, ids: Sequence[np.ndarray]) -> Batch:
        limit = longest_packed(self.config)
        packed = self.packs and (limit is None or all(len(row) <= limit for row in ids))
        return make_batch(ids, self.config, device=self.device, packed=packed)

    def _check_sites(self, wanted: Iterable[Site]) -> None:
        unknown = [str(site) for site in wanted if site not in self.widths]
        if unknown:
            raise StcError(
                f"backbone {self.name!r}",
                expected=f"sites of layers 0 to {self.n_layers}",
                got=", ".join(unknown),
                remedy=" ".join(self.notes) or None,
            )

    def _read(self, batch: Batch, wanted: dict, take: Take) -> None:
        self._check_sites(wanted)
        shape = batch.mask.shape

        def take_3d(site: Site, hidden: Tensor) -> None:
            take(site, hidden.reshape(*shape, -1) if hidden.ndim == 2 else hidden)

        points = {site: self._anatomy.points[site] for site in wanted}
        with self.alone():
            read_sites(partial(self._runner.run, batch), points, take_3d)
