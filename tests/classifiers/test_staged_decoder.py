"""Stages of a decoder: the same states as one plain forward, each block once."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.classifiers.staged_decoder import Stages
from stc_core.errors import StcError
from stc_core.types import Site

FAMILIES = (
    "gpt2",
    "gpt_neox",
    "opt",
    "llama",
    "qwen2",
    "qwen3",
    "phi3",
    "bloom",
    "falcon",
)


def left_padded(ids: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, ids))
    out, mask = (
        torch.zeros(len(ids), width, dtype=torch.long),
        torch.zeros(len(ids), width, dtype=torch.bool),
    )
    for row, one in enumerate(ids):
        out[row, width - len(one) :] = torch.from_numpy(one.astype(np.int64))
        mask[row, width - len(one) :] = True
    return out, mask


def plain(backbone, ids: list[np.ndarray], layer: int) -> np.ndarray:
    """The last token's state by a forward of each whole text alone."""
    found = backbone.token_activations(ids, [Site(layer, "resid")])
    return np.stack([one[Site(layer, "resid")][-1].numpy() for one in found])


@pytest.mark.parametrize("ends", [(1, 3), (1, 2, 3), (2, 3)])
@pytest.mark.parametrize("family", FAMILIES)
def test_states_are_those_of_plain_forwards(family: str, ends: tuple[int, ...]):
    backbone = tiny_backbone(family)
    ids = list(backbone.tokenize(TEXTS[1:6]).ids)
    reading = Stages(backbone, ends).begin(*left_padded(ids))
    more = np.random.default_rng(0).integers(5, 40, size=(5, 5))
    real = np.ones((5, 5), bool)
    real[0, 2:4] = real[3, :2] = False
    assert np.allclose(reading.states(0), plain(backbone, ids, ends[0]), atol=1e-4)
    for step in range(5):
        reading.push(torch.from_numpy(more[step]), torch.from_numpy(real[step]))
        ids = [
            np.append(one, token).astype(np.int32) if there else one
            for one, token, there in zip(ids, more[step], real[step], strict=True)
        ]
        if step in (1, 2, 4):
            assert np.allclose(
                reading.states(0), plain(backbone, ids, ends[0]), atol=1e-4
            )
        if step in (2, 4):
            top = len(ends) - 1
            assert np.allclose(
                reading.states(top), plain(backbone, ids, ends[top]), atol=1e-4
            )
    n = sum(map(len, ids))
    widths = np.diff((0, *ends))
    assert reading.block_tokens == [n * width for width in widths]


@pytest.mark.parametrize("family", ["mistral", "gemma2", "gpt_neo"])
def test_windows_are_kept_for_one_text(family: str):
    backbone = tiny_backbone(family)
    ids = [backbone.tokenize(TEXTS[11:12]).ids[0][:5]]
    reading = Stages(backbone, (2, 3)).begin(*left_padded(ids))
    for token in (6, 9, 12, 15):
        reading.states(0)
        reading.push(torch.tensor([token]), torch.tensor([True]))
        ids = [np.append(ids[0], token).astype(np.int32)]
    for stage, layer in enumerate((2, 3)):
        assert np.allclose(
            reading.states(stage), plain(backbone, ids, layer), atol=1e-4
        )


def test_upper_blocks_wait_and_catch_up_in_one_forward():
    backbone = tiny_backbone("llama")
    ran: list[int] = []
    handles = [
        backbone.block(n).register_forward_hook(lambda m, i, o, n=n: ran.append(n))  # pyright: ignore
        for n in (1, 2, 3)
    ]
    reading = Stages(backbone, (1, 3)).begin(
        *left_padded(list(backbone.tokenize(TEXTS[:3]).ids))
    )
    for _ in range(4):
        reading.states(0)
        reading.push(torch.tensor([7, 8, 9]), torch.tensor([True] * 3))
    assert ran == [1] * 4
    reading.states(1)
    for handle in handles:
        handle.remove()
    assert ran == [1] * 5 + [2, 3]


def test_an_encoder_is_refused():
    with pytest.raises(StcError, match="class heads"):
        Stages(tiny_backbone("bert"), (1, 3))


def test_two_threads_that_share_a_decoder_get_their_own_texts():
    backbone = tiny_backbone("llama")
    stages, mask = Stages(backbone, (1, 3)), torch.ones(1, 20, dtype=torch.bool)
    rng = torch.Generator().manual_seed(0)
    texts = [torch.randint(4, 20, (1, 20), generator=rng) for _ in range(2)]
    expected = [stages.begin(ids, mask).states(1) for ids in texts]
    assert not torch.allclose(expected[0], expected[1])

    def read(which: int) -> None:
        for _ in range(100):
            found = stages.begin(texts[which], mask).states(1)
            torch.testing.assert_close(found, expected[which])

    def pool() -> None:
        for _ in range(100):
            ids = [texts[0][0].numpy().astype(np.int32)]
            backbone.token_activations(ids, [Site(2, "resid")])

    with ThreadPoolExecutor(3) as threads:
        work = [threads.submit(read, which) for which in (0, 1)]
        for done in (*work, threads.submit(pool)):
            done.result()
