import numpy as np
import pytest

from stc_core.backbone.batches import (
    FIRST_SHARD,
    LARGEST_SHARD,
    batch_stop,
    shards,
    token_batches,
)


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 3072, 50_000])
def test_shards_cover_every_text_once_and_grow_to_the_largest(n: int):
    found = shards(n)
    assert [i for shard in found for i in range(n)[shard]] == list(range(n))
    sizes = [shard.stop - shard.start for shard in found]
    assert all(0 < size <= LARGEST_SHARD for size in sizes)
    assert sizes[:-1] == [
        min(FIRST_SHARD << i, LARGEST_SHARD) for i in range(len(sizes) - 1)
    ]


def test_a_longer_corpus_begins_with_the_same_shards():
    assert shards(60_000)[:4] == shards(20_000)[:4]


def test_a_batch_is_as_large_as_the_budget_allows():
    lengths = [2, 2, 3, 5, 9]
    assert batch_stop(lengths, 0, 6, max_texts=9) == 2  # 3 texts would be 3 x 3
    assert batch_stop(lengths, 0, 9, max_texts=9) == 3
    assert batch_stop(lengths, 0, 9, max_texts=2) == 2
    assert batch_stop(lengths, 3, 9, max_texts=9) == 4
    assert batch_stop(lengths, 4, 6, max_texts=9) == 5  # longer than the budget, alone


@pytest.mark.parametrize("budget", [16, 64, 4096])
@pytest.mark.parametrize("max_texts", [3, 10_000])
def test_batches_hold_every_text_once_within_the_budget(budget: int, max_texts: int):
    lengths = np.random.default_rng(0).integers(1, 60, 2_500)
    batches = token_batches(lengths, budget, max_texts=max_texts)
    assert sorted(np.concatenate(batches)) == list(range(2_500))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
        assert len(batch) <= max_texts


def test_inside_a_shard_batches_go_from_short_to_long():
    lengths = np.random.default_rng(0).integers(1, 60, FIRST_SHARD)
    order = np.concatenate(token_batches(lengths, 256, max_texts=99))
    assert (np.diff(lengths[order]) >= 0).all()
