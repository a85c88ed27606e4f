"""Attention over the layers and tokens of a backbone, which turns a text into a vector.

Source: FineText (arXiv 1910.11959), whose abstract says that attention selects the
features of the language model. The layer mixture is that of ELMo (1802.05365), the
attention over tokens that of 1703.03130.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm

_WIDTH = 64
"""The width of the inner layer of the attention over tokens."""
PARTS = ("attention", "max", "mean")
"""The parts of the vector of a text, in this order."""


class Attended(NamedTuple):
    """The vectors of texts for each query, and the share of each token in them."""

    vectors: Float[Tensor, "batch query d3"]
    shares: Float[Tensor, "batch query pos"]


class Split(NamedTuple):
    """The vectors of texts split by layer, or the vector of one text split by token.

    There is a tensor for each of PARTS; only the first depends on the query.
    """

    attention: Float[Tensor, "batch n query d_model"]
    most: Float[Tensor, "batch n d_model"]
    mean: Float[Tensor, "batch n d_model"]

    def vectors(self) -> Float[Tensor, "batch n query d3"]:
        """The parts beside each other, for each query."""
        n_query = self.attention.shape[2]
        rest = (part[:, :, None].expand(-1, -1, n_query, -1) for part in self[1:])
        return torch.cat([self.attention, *rest], dim=-1)


class Attention(nn.Module):
    """z_t = gamma sum_l softmax(s)_l LN(h_lt); a = softmax(v tanh(W z)); sum_t a_t z_t.

    The vector of a text also has the maximum and the mean of z over its tokens. There
    is one query v, or one for each class. At first all layers and tokens have equal
    shares. Padding has no share.
    """

    def __init__(
        self, n_layers: int, d_model: int, n_query: int = 1, *, width: int = _WIDTH
    ) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(n_layers))
        self.gamma = nn.Parameter(torch.ones(()))
        self.inner = nn.Linear(d_model, width, bias=False)
        self.query = nn.Parameter(torch.zeros(n_query, width))
        nn.init.normal_(self.inner.weight, std=d_model**-0.5)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Attention":
        """The attention with the weights `tensors`, as `state_dict` gives them."""
        n_query, width = tensors["query"].shape
        d_model = tensors["inner.weight"].shape[1]
        attention = cls(len(tensors["scores"]), d_model, n_query, width=width)
        attention.load_state_dict(dict(tensors))
        return attention.requires_grad_(False)

    def layer_shares(self) -> Float[Tensor, " n_layers"]:
        """The share of each layer in what is read; the shares sum to one."""
        return self.scores.softmax(0)

    def layers(
        self,
        states: Sequence[Float[Tensor, "batch pos d_model"]],
        mask: Bool[Tensor, "batch pos"],
    ) -> list[Float[Tensor, "batch pos d_model"]]:
        """The part of each layer in z; their sum is z, and padding is 0."""
        shares = self.gamma * self.layer_shares()
        return [
            (share * layer_norm(state.float(), state.shape[-1:])).masked_fill(
                ~mask[:, :, None], 0
            )
            for share, state in zip(shares, states, strict=True)
        ]

    def token_shares(
        self, z: Float[Tensor, "batch pos d_model"], mask: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch query pos"]:
        """The share of each token in what each query reads; the shares sum to one."""
        scores = torch.einsum("qw,bpw->bqp", self.query, self.inner(z).tanh())
        return scores.masked_fill(~mask[:, None], -torch.inf).softmax(-1)

    def forward(
        self,
        states: Sequence[Float[Tensor, "batch pos d_model"]],
        mask: Bool[Tensor, "batch pos"],
    ) -> Attended:
        z = torch.stack(self.layers(states, mask)).sum(0)
        shares = self.token_shares(z, mask)
        attended = torch.einsum("bqp,bpd->bqd", shares, z)
        most = z.masked_fill(~mask[:, :, None], -torch.inf).amax(1)
        mean = z.sum(1) / mask.sum(1, keepdim=True)
        rest = torch.cat([most, mean], 1)[:, None].expand(-1, len(self.query), -1)
        return Attended(torch.cat([attended, rest], dim=-1), shares)

    def by_layer(
        self,
        states: Sequence[Float[Tensor, "batch pos d_model"]],
        mask: Bool[Tensor, "batch pos"],
    ) -> Split:
        """The vectors split by layer, with the shares of the tokens held fixed.

        The split is exact: the sum over layers is the vector. The maximum is taken at
        the token where z is largest.
        """
        parts = torch.stack(self.layers(states, mask), 1)  # (batch, layer, pos, d)
        z = parts.sum(1)
        shares = self.token_shares(z, mask)
        at = z.masked_fill(~mask[:, :, None], -torch.inf).argmax(1)  # (batch, d)
        where = at[:, None, None].expand(-1, parts.shape[1], 1, -1)
        return Split(
            torch.einsum("bqp,blpd->blqd", shares, parts),
            parts.gather(2, where)[:, :, 0],
            parts.sum(2) / mask.sum(1)[:, None, None],
        )

    def by_token(
        self, states: Sequence[Float[Tensor, "1 pos d_model"]], center: Tensor
    ) -> Split:
        """The vectors of one text minus `center`, split by token.

        `center` is (query, 3 d_model). The split is exact, as the shares of tokens sum
        to one.
        """
        mask = torch.ones(states[0].shape[:2], dtype=torch.bool)
        z = torch.stack(self.layers(states, mask)).sum(0)[0]  # (pos, d)
        shares = self.token_shares(z[None], mask)[0]
        first, second, third = center.chunk(3, dim=-1)
        attention = shares.T[:, :, None] * (z[:, None] - first)
        wins = torch.zeros_like(z).scatter_(0, z.argmax(0)[None], 1.0)
        most, mean = wins * (z - second[0]), (z - third[0]) / len(z)
        return Split(attention[None], most[None], mean[None])
