"""A class head inside a model that tells the blocks above which class it sees.

Source: the idea of HdLM (arXiv 2507.12930), for encoders. The decision at an inner
layer is embedded and added to the state of every token.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from stc_core.backbone.pooling import pool

GUIDE = "guide"


class Places(NamedTuple):
    """Which text each token belongs to.

    It is given by the mask of a padded batch, or by the lengths of the texts in a
    packed row.
    """

    mask: Bool[Tensor, "batch pos"]
    lengths: Int[Tensor, " texts"] | None = None

    def means(self, hidden: Float[Tensor, "batch pos d"]) -> Float[Tensor, "texts d"]:
        """The mean of each text's tokens, float32."""
        if self.lengths is None:
            return pool(hidden, self.mask, "mean")
        flat = hidden[0].float()  # (tokens, d)
        owner = self._owners()
        sums = flat.new_zeros(len(self.lengths), flat.shape[1])
        return sums.index_add(0, owner, flat) / self.lengths[:, None]

    def spread(self, rows: Float[Tensor, "texts d"]) -> Float[Tensor, "batch _ d"]:
        """One row for each token: the row of its text."""
        if self.lengths is None:
            return rows[:, None]
        return rows[self._owners()][None]

    def _owners(self) -> Int[Tensor, " tokens"]:
        """The text of each token of a packed row."""
        assert self.lengths is not None
        texts = torch.arange(len(self.lengths), device=self.lengths.device)
        # With a given output size it need not wait for the GPU.
        n_tokens = self.mask.shape[1]
        return texts.repeat_interleave(self.lengths, output_size=n_tokens)


class GuideSpec(NamedTuple):
    """A guide below the block called `block`; `groups` holds the class of each leaf."""

    block: str
    d_model: int
    groups: tuple[int, ...]


class Guide(nn.Module):
    """h + embedding of the classes seen in the mean of h, for every token.

    One linear head scores all leaves, since a class is seldom one cluster. The logit of
    a class is the log-sum-exp of the logits of its leaves. A guide adds nothing until
    it is trained. `logits` are those of the classes for the last batch. `places` must
    be set before each forward.
    """

    def __init__(self, d_model: int, groups: Sequence[int]) -> None:
        super().__init__()
        n_class = max(groups) + 1
        self.head = nn.Linear(d_model, len(groups))
        under = torch.tensor(groups) == torch.arange(n_class)[:, None]
        self.register_buffer("under", under, persistent=False)
        self.embedding = nn.Linear(n_class, d_model, bias=False)
        nn.init.zeros_(self.embedding.weight)
        self.register_buffer("mean", torch.zeros(d_model))
        self.register_buffer("sd", torch.ones(d_model))
        self.places: Places | None = None
        self.logits: Tensor | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        places = self.places
        assert places is not None, "set_token_places must be called before a forward"
        states = hidden.reshape(*places.mask.shape, -1)
        mean, sd = cast(Tensor, self.mean), cast(Tensor, self.sd)
        leaves = self.head((places.means(states) - mean) / sd)
        logits = class_logits(leaves, cast(Tensor, self.under))
        added = self.embedding(logits.softmax(-1))
        self.logits = logits
        return (states + places.spread(added).to(states.dtype)).reshape(hidden.shape)


def add_guides(model: nn.Module, specs: Sequence[GuideSpec]) -> None:
    """Add an untrained guide below each named block, in float32."""
    for spec in specs:
        block = model.get_submodule(spec.block)
        device = next(block.parameters()).device
        block.add_module(GUIDE, Guide(spec.d_model, spec.groups).to(device))
        block.register_forward_pre_hook(_before, with_kwargs=True)


def class_logits(
    leaves: Float[Tensor, "texts n_leaf"], under: Bool[Tensor, "n_class n_leaf"]
) -> Float[Tensor, "texts n_class"]:
    """The log-sum-exp of the logits of each class's leaves."""
    # Not by selection: how many a class has is not known to a tracer.
    return leaves[:, None].masked_fill(~under, -torch.inf).logsumexp(dim=2)


def guides_of(model: nn.Module) -> list[Guide]:
    """The guides in a model, from the lowest to the highest."""
    return [module for module in model.modules() if isinstance(module, Guide)]


def set_token_places(guides: Sequence[Guide], places: Places) -> None:
    """Tell the guides which text each token of the next batch belongs to."""
    for guide in guides:
        guide.places = places


def _before(block: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    guide = cast(Any, block.get_submodule(GUIDE))
    if args and isinstance(args[0], Tensor):
        return (guide(args[0]), *args[1:]), kwargs
    return args, {**kwargs, "hidden_states": guide(kwargs["hidden_states"])}
