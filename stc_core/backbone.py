"""A Hugging Face language model whose sites can be read, up to any layer."""

import hashlib
import inspect
import json
import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as hf_logging

from stc_core import hub, tokens
from stc_core.axes import PooledSite, Pooling, Progress, Site, silent
from stc_core.config import DEFAULT_BACKBONE
from stc_core.errors import StcError
from stc_core.hooks import read_sites
from stc_core.pooling import Group, equal_lengths, pool, pool_groups, view
from stc_core.sites import TRIAL, Anatomy, find_sites
from stc_core.tokens import Span, Tokens

MAX_LENGTH = 256
"""Tokens of a text that are read unless another length is asked for."""
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class _Batch(NamedTuple):
    inputs: dict[str, Tensor]
    order: np.ndarray  # position in the sorted batch -> text
    groups: list[Group]
    mask: Tensor
    packed: bool


class Backbone:
    """A frozen model, its tokenizer and its sites; safe to share between threads.

    `sites` are in computing order; `resid.l` is the raw residual stream (no final
    norm), `mlp.l` the input of block l's down-projection. `layer_names[l]` says what
    layer l is; in an encoder-decoder the decoder's embeddings and blocks follow the
    encoder's, and the decoder reads the same text shifted right by one token.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str,
        identity: str,
        max_length: int | None = None,
    ) -> None:
        """Takes the model over: eval mode, no gradients. Use `load` or `from_model`."""
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.identity = identity
        self.revision = identity[:12]
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.config: Any = getattr(model, "config", None)
        self.family = getattr(self.config, "model_type", type(model).__name__.lower())
        self.max_length = _max_length(model, tokenizer, max_length, name)
        self._lock = threading.Lock()
        self._anatomy, self.causal = self._look()
        self.sites = tuple(self._anatomy.points)
        self.widths = self._anatomy.widths
        self.layer_names = self._anatomy.layer_names
        self.n_layers = len(self.layer_names) - 1
        self.d_model = self.widths[Site(0, "resid")]
        self.notes = self._anatomy.notes
        # The one token that a family is trained to sum a text up in, and the rest.
        reads_left = self.causal or getattr(self.config, "is_encoder_decoder", False)
        self.default_poolings: tuple[Pooling, ...] = (
            "last" if reads_left else "first",
            "max",
            "mean",
        )

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

        Auto is cuda, mps or cpu, and bfloat16 on cuda, float32 elsewhere. Quiet; a
        download tells `progress` its bytes. Raises StcError for what can be mended.
        """
        place = _device(device)
        folder = hub.resolve(name, progress=progress)
        with _quiet():
            model, tokenizer = _read(folder, name, _dtype(dtype, place))
        return cls(
            model.to(place),
            tokenizer,
            name=DEFAULT_BACKBONE if name in hub.EMBEDDED else name,
            identity=hub.identity(folder),
            max_length=max_length,
        )

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
        identity = _identity(model, tokenizer)
        return cls(
            model, tokenizer, name=name, identity=identity, max_length=max_length
        )

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Ids (int32) of each text, cut at `max_length`, and how many were cut."""
        return tokens.tokenize(self.tokenizer, texts, max_length=self.max_length)

    def spans(self, text: str) -> list[Span]:
        """(start, end, token) of each kept token; special ones have start == end."""
        return tokens.spans(self.tokenizer, text, max_length=self.max_length)

    def pooled(
        self, ids: Sequence[np.ndarray], wanted: Sequence[PooledSite]
    ) -> dict[PooledSite, Float[Tensor, "batch width"]]:
        """Pooled activations of one batch, float32, on the device, rows as in `ids`.

        One forward that stops after the highest wanted site; each site is pooled as
        it is made, so nothing of shape (batch, pos, width) is kept. A text's values
        do not depend on the other texts of its batch.
        """
        poolings: dict[Site, list[Pooling]] = {}
        for site, pooling in dict.fromkeys(wanted):
            poolings.setdefault(site, []).append(pooling)
        batch = self._batch(ids)
        back = torch.from_numpy(np.argsort(batch.order)).to(self.device)
        out: dict[PooledSite, Tensor] = {}

        def take(site: Site, hidden: Tensor) -> None:
            for pooling in poolings[site]:
                out[PooledSite(site, pooling)] = _pool(hidden, batch, pooling)[back]

        self._read(batch, poolings, take)
        return {pooled_site: out[pooled_site] for pooled_site in wanted}

    def token_activations(
        self, ids: Sequence[np.ndarray], sites: Sequence[Site]
    ) -> list[dict[Site, Float[Tensor, "pos width"]]]:
        """For each text its activations at every kept token, float32 on the CPU."""
        batch = self._batch(ids)
        out: list[dict[Site, Tensor]] = [{} for _ in ids]

        def take(site: Site, hidden: Tensor) -> None:
            for group in batch.groups:
                real = view(hidden, group, packed=batch.packed)
                copies = real.detach().to("cpu", torch.float32, copy=True)
                for position, copy in enumerate(copies, start=group.start):
                    out[batch.order[position]][site] = copy

        self._read(batch, dict.fromkeys(sites), take)
        return out

    def parameters(self, layer: int | None = None) -> int:
        """Parameters of the backbone cut off after `layer` (None: the last).

        Embeddings count; heads, poolers and norms above the last block do not.
        """
        return self._anatomy.parameters[self.n_layers if layer is None else layer]

    def flops_per_token(self, layer: int | None = None) -> int:
        """Forward FLOPs for a token of the backbone cut off after `layer`.

        Two for each weight of a matrix product; attention scores, which grow with
        the length of the text, and look-ups are left out.
        """
        return self._anatomy.flops[self.n_layers if layer is None else layer]

    def reads_shifted(self, site: Site) -> bool:
        """True for a decoder site of an encoder-decoder: position t reads token t - 1."""
        return self.layer_names[site.layer].startswith("decoder ")

    def __deepcopy__(self, memo: dict) -> "Backbone":
        """Itself: it never changes, and estimators that hold it are cloned often."""
        return self

    def __repr__(self) -> str:
        return (
            f"Backbone({self.name!r}, {self.family}, {self.n_layers} layers, "
            f"{self.device}, {str(self.dtype).removeprefix('torch.')})"
        )

    def _look(self) -> tuple[Anatomy, bool]:
        """The model's anatomy, and whether a token is blind to those after it."""
        # Two texts that differ in their last token only.
        n_texts, n_tokens = TRIAL
        trial = [np.arange(n_tokens, dtype=np.int32) for _ in range(n_texts)]
        trial[1][-1] += 1
        batch = self._batch(trial)
        with torch.inference_mode():
            anatomy = find_sites(self.model, lambda: self.model(**batch.inputs))
        top = max(site for site in anatomy.points if site.kind == "resid")
        first: list[Tensor] = []

        def take(site: Site, hidden: Tensor) -> None:
            self._check_shape(hidden, batch)
            first.extend(hidden[:, 0].clone())

        read_sites(lambda: self.model(**batch.inputs), {top: anatomy.points[top]}, take)
        return anatomy, torch.equal(first[0], first[1])

    def _check_shape(self, hidden: Tensor, batch: _Batch) -> None:
        if hidden.ndim == 3 and hidden.shape[:2] == batch.mask.shape:
            return
        raise StcError(
            f"backbone {self.name!r}",
            expected=f"blocks that give (text, token, width) = {TRIAL} + (width,)",
            got=str(tuple(hidden.shape)),
            remedy="Choose another model: this one does not keep a state per token.",
        )

    def _batch(self, ids: Sequence[np.ndarray]) -> _Batch:
        """The texts sorted by length and padded on the right; padding is masked.

        Positions so start at the left in every family, whatever side the tokenizer
        pads on; what the padding token is does not matter.
        """
        lengths = np.array([len(row) for row in ids])
        _check_lengths(lengths)
        order = np.argsort(lengths, kind="stable")
        padded = np.full((len(ids), lengths.max()), _pad_id(self.config), np.int64)
        mask = np.arange(lengths.max()) < lengths[order][:, None]
        padded[mask] = np.concatenate([ids[text] for text in order])
        mask_on_device = torch.from_numpy(mask).to(self.device)
        inputs = {
            "input_ids": torch.from_numpy(padded).to(self.device),
            "attention_mask": mask_on_device.long(),
        }
        if getattr(self.config, "is_encoder_decoder", False):
            start = torch.full_like(inputs["input_ids"][:, :1], _start_id(self.config))
            shifted = torch.cat([start, inputs["input_ids"][:, :-1]], dim=1)
            inputs["decoder_input_ids"] = shifted
            inputs["decoder_attention_mask"] = inputs["attention_mask"]
        groups = equal_lengths(lengths[order])
        return _Batch(inputs, order, groups, mask_on_device, False)

    def _read(self, batch: _Batch, wanted: dict, take: Any) -> None:
        unknown = [str(site) for site in wanted if site not in self.widths]
        if unknown:
            raise StcError(
                f"backbone {self.name!r}",
                expected=f"sites of layers 0 to {self.n_layers}",
                got=", ".join(unknown),
                remedy=" ".join(self.notes) or None,
            )
        shape = batch.inputs["input_ids"].shape

        def take_3d(site: Site, hidden: Tensor) -> None:
            take(site, hidden.reshape(*shape, -1) if hidden.ndim == 2 else hidden)

        points = {site: self._anatomy.points[site] for site in wanted}
        more = {"use_cache": False} if _takes_cache(self.model) else {}
        with self._lock:
            read_sites(lambda: self.model(**batch.inputs, **more), points, take_3d)


def _pool(hidden: Tensor, batch: _Batch, pooling: Pooling) -> Tensor:
    # Many short kernels are cheap on a CPU, a copy is not; on a GPU it is the reverse.
    if batch.packed or hidden.device.type == "cpu":
        return pool_groups(hidden, batch.groups, pooling, packed=batch.packed)
    return pool(hidden, batch.mask, pooling)


def _check_lengths(lengths: np.ndarray) -> None:
    if not len(lengths):
        raise StcError("batch", expected="at least one text", got="none")
    if not lengths.all():
        rows = np.flatnonzero(lengths == 0)[:10].tolist()
        raise StcError(
            "batch", expected=">= 1 token per text", got=f"none in rows {rows}"
        )


def _takes_cache(model: nn.Module) -> bool:
    return "use_cache" in inspect.signature(model.forward).parameters


def _pad_id(config: Any) -> int:
    pad = getattr(config, "pad_token_id", None)
    n_words = getattr(config, "vocab_size", None) or 1
    return pad if isinstance(pad, int) and 0 <= pad < n_words else 0


def _start_id(config: Any) -> int:
    names = ("decoder_start_token_id", "bos_token_id", "pad_token_id")
    ids = (getattr(config, name, None) for name in names)
    return next((i for i in ids if isinstance(i, int)), 0)


def _max_length(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    asked: int | None,
    name: str,
) -> int:
    limit = length_limit(model, tokenizer)
    if asked is None:
        return min(limit or MAX_LENGTH, MAX_LENGTH)
    least = tokenizer.num_special_tokens_to_add() + 1
    if asked < least or (limit is not None and asked > limit):
        raise StcError(
            f"max_length of backbone {name!r}",
            expected=f"{least} to {limit or 'any number of'} tokens",
            got=str(asked),
        )
    return asked


def length_limit(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Most tokens that the model can read: its positions, its tokenizer's limit.

    None if neither says one. RoBERTa's positions start after its padding id.
    """
    config = getattr(model, "config", None)
    limits = [getattr(config, "max_position_embeddings", None)]
    for part, module in model.named_modules():
        if part.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            offset = -1 if module.padding_idx is None else module.padding_idx
            limits.append(module.num_embeddings - offset - 1)
    limits.append(tokenizer.model_max_length)
    return min((int(n) for n in limits if n and 0 < n < 1 << 30), default=None)


def _device(asked: str) -> torch.device:
    if asked != "auto":
        try:
            device = torch.device(asked)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise StcError(
                "device",
                expected="auto, cpu, or an accelerator of this machine",
                got=repr(asked),
            ) from error
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _dtype(asked: str, device: torch.device) -> torch.dtype:
    if asked == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if asked not in DTYPES:
        raise StcError("dtype", expected=f"auto, {', '.join(DTYPES)}", got=repr(asked))
    return DTYPES[asked]


def _read(folder: Path, name: str, dtype: torch.dtype) -> tuple[nn.Module, Any]:
    """Model without a language-model head, and tokenizer, from a checked folder."""
    where = f"backbone {name!r}"
    try:
        model, report = AutoModel.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise StcError(
            f"{where} cannot be loaded", got=f"{type(error).__name__}: {reason}"
        ) from error
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise StcError(
            where,
            expected="weights for every block",
            got=f"none for {len(missing)} of them, e.g. {missing[0]}",
            remedy="The files belong to another model, or the download is incomplete.",
        )
    return model, tokenizer


def _identity(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> str:
    digest = hashlib.sha256()
    config: Any = getattr(model, "config", None)
    digest.update(hub.configuration(getattr(config, "to_diff_dict", dict)()))
    digest.update(json.dumps(tokenizer.get_vocab(), sort_keys=True).encode())
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key}{value.dtype}{tuple(value.shape)}".encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no remarks of transformers: the caller shows its own."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
