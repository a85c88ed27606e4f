"""Poolings against plain NumPy on each text alone."""

import numpy as np
import pytest
import torch

from helpers.models.pooled import BY_HAND
from stc_core.backbone.pooling import equal_lengths, pool, pool_groups
from stc_core.poolings import POOLING_RULES

LENGTHS = (1, 2, 2, 3, 5, 5, 5)
WIDTH = 4


def texts() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, WIDTH)).astype(np.float32) - 3 for n in LENGTHS]


def padded(side: str, filler: float) -> tuple[torch.Tensor, torch.Tensor]:
    hidden = np.full((len(LENGTHS), 6, WIDTH), filler, np.float32)
    mask = np.zeros((len(LENGTHS), 6), bool)
    for row, text in enumerate(texts()):
        place = slice(None, len(text)) if side == "right" else slice(-len(text), None)
        hidden[row, place], mask[row, place] = text, True
    return torch.from_numpy(hidden), torch.from_numpy(mask)


def by_hand(pooling: str) -> np.ndarray:
    return np.stack([BY_HAND[pooling](text) for text in texts()])


@pytest.mark.parametrize("pooling", POOLING_RULES)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("filler", [0.0, 1e30, np.nan, np.inf, -np.inf])
def test_padding_never_leaks(pooling, side, filler):
    pooled = pool(*padded(side, filler), pooling)
    np.testing.assert_allclose(pooled, by_hand(pooling), rtol=1e-6)


@pytest.mark.parametrize("pooling", POOLING_RULES)
def test_holes_in_the_mask_are_padding_too(pooling):
    hidden, mask = padded("right", 0.0)
    mask[-1] = torch.tensor([False, True, False, True, True, False])
    expected = BY_HAND[pooling](texts()[-1][[1, 3, 4]])
    np.testing.assert_allclose(pool(hidden, mask, pooling)[-1], expected, rtol=1e-6)


@pytest.mark.parametrize("pooling", POOLING_RULES)
@pytest.mark.parametrize("packed", [False, True])
def test_groups_equal_the_mask(pooling, packed):
    hidden, _ = padded("right", np.nan)
    if packed:
        hidden = torch.from_numpy(np.concatenate(texts()))[None]
    pooled = pool_groups(hidden, equal_lengths(LENGTHS), pooling, packed=packed)
    np.testing.assert_allclose(pooled, by_hand(pooling), rtol=1e-6)


@pytest.mark.parametrize("pooling", POOLING_RULES)
def test_half_precision_is_accumulated_in_float32(pooling):
    hidden = torch.full((2, 4096, WIDTH), 1 / 3, dtype=torch.bfloat16)
    mask = torch.ones(2, 4096, dtype=torch.bool)
    for pooled in (
        pool(hidden, mask, pooling),
        pool_groups(hidden, equal_lengths([4096] * 2), pooling),
    ):
        assert pooled.dtype == torch.float32
        expected = hidden[:, 0].float()
        torch.testing.assert_close(pooled, expected, rtol=1e-5, atol=0)


def test_groups_cover_every_text_once():
    groups = equal_lengths(LENGTHS)
    assert [(g.start, g.stop, g.length, g.token) for g in groups] == [
        (0, 1, 1, 0),
        (1, 3, 2, 1),
        (3, 4, 3, 5),
        (4, 7, 5, 8),
    ]
