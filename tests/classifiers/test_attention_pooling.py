"""Attention over layers and tokens, against its formula written out in numpy."""

import numpy as np
import pytest
import torch

from stc_core.classifiers.attention_pooling import Attention

N_LAYERS, D, LENGTHS = 3, 8, (5, 2, 4)
MASK = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]


def shaken(n_query: int = 1) -> Attention:
    torch.manual_seed(0)
    found = Attention(N_LAYERS, D, n_query, width=4)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(torch.randn_like(parameter))
    return found.requires_grad_(False)


def states(seed: int = 1) -> list[torch.Tensor]:
    torch.manual_seed(seed)
    return [3 * torch.randn(len(LENGTHS), max(LENGTHS), D) for _ in range(N_LAYERS)]


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def vector(attention: Attention, tokens: list[np.ndarray]) -> np.ndarray:
    """The vectors of one text by each query, from the states of its tokens."""
    own = {n: t.numpy() for n, t in attention.state_dict().items()}
    z = np.zeros_like(tokens[0])
    for share, h in zip(softmax(own["scores"]), tokens, strict=True):
        centred = h - h.mean(1, keepdims=True)
        z += own["gamma"] * share * centred / np.sqrt(h.var(1, keepdims=True) + 1e-5)
    a = softmax(own["query"] @ np.tanh(z @ own["inner.weight"].T).T)
    rest = np.tile([*z.max(0), *z.mean(0)], (len(a), 1))
    return np.concatenate([a @ z, rest], axis=1)


@pytest.mark.parametrize("n_query", [1, 4])
def test_the_formula(n_query: int):
    attention, hidden = shaken(n_query), states()
    found = attention(hidden, MASK)
    for row, length in enumerate(LENGTHS):
        tokens = [h[row, :length].numpy() for h in hidden]
        expected = vector(attention, tokens)
        assert np.allclose(found.vectors[row].numpy(), expected, atol=1e-5)
    assert torch.allclose(found.shares.sum(-1), torch.ones(()))
    assert (found.shares.transpose(1, 2)[~MASK] == 0).all()


def test_it_begins_with_equal_shares():
    found = Attention(N_LAYERS, D)(states(), MASK)
    assert torch.allclose(found.vectors[..., :D], found.vectors[..., 2 * D :])
    assert found.shares[1, 0].tolist() == [0.5, 0.5, 0, 0, 0]


def test_padding_never_leaks():
    clean, dirty = states(), states()
    for h in dirty:
        h[~MASK] = torch.nan
    attention = shaken(2)
    assert torch.equal(attention(clean, MASK).vectors, attention(dirty, MASK).vectors)


@pytest.mark.parametrize("n_query", [1, 4])
def test_layers_and_tokens_sum_to_the_vector(n_query: int):
    attention, hidden = shaken(n_query), states()
    whole = attention(hidden, MASK).vectors
    assert torch.allclose(
        attention.by_layer(hidden, MASK).vectors().sum(1), whole, atol=1e-5
    )
    center = torch.randn(n_query, 3 * D)
    center[:, D:] = center[:1, D:]  # only attention has a query
    for row, length in enumerate(LENGTHS):
        one = [h[row : row + 1, :length] for h in hidden]
        parts = attention.by_token(one, center).vectors()[0]
        assert torch.allclose(parts.sum(0), whole[row] - center, atol=1e-5)


def test_it_comes_back_from_its_tensors():
    attention = shaken(4)
    again = Attention.of(attention.state_dict())
    hidden = states()
    assert torch.equal(again(hidden, MASK).vectors, attention(hidden, MASK).vectors)
