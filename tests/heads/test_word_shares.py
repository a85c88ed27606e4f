"""To which tokens the contributions of words belong."""

import numpy as np
import pytest

from stc_core.heads.word_readout import WordReadout
from stc_core.heads.word_shares import word_shares

TEXT = "Card lost, card gone"
HEAD = WordReadout(
    ("card", "lost", "card gone"), np.array([[1, 2, 4], [0, -2, 8]], np.float32)
)
TOKENS = [(0, 0), (0, 2), (2, 4), (5, 9), (9, 10), (11, 15), (16, 20), (0, 0)]


def shares(text: str, tokens, head: WordReadout = HEAD):
    return word_shares(head.parts(text), text, tokens, n_class=2)


def test_a_word_belongs_to_its_tokens_and_a_pair_to_both_words():
    found, unread = shares(TEXT, TOKENS)
    card, lost, pair = (part.contribution for part in HEAD.parts(TEXT))
    np.testing.assert_allclose(found[1], card / 4)  # two places, two tokens each
    np.testing.assert_allclose(found[3], lost)
    np.testing.assert_allclose(found[5], card / 2 + pair / 2)
    np.testing.assert_allclose(found[6], pair / 2)
    assert not found[[0, 4, 7]].any() and not unread


def test_what_no_token_covers_keeps_its_own():
    found, unread = shares(TEXT, TOKENS[:4])
    assert list(unread) == [(11, 15), (16, 20)]
    total = found.sum(axis=0) + sum(unread.values())
    np.testing.assert_allclose(total, HEAD.logits([TEXT])[0], rtol=1e-6)


def test_tokens_that_share_a_letter_share_its_word():
    head = WordReadout(("é",), np.ones((2, 1), np.float32))
    found, unread = shares("é", [(0, 1), (0, 1)], head)
    np.testing.assert_allclose(found[0], found[1])
    assert found.sum() == pytest.approx(head.logits(["é"]).sum()) and not unread


def test_without_words_nothing_is_shared():
    found, unread = shares("nothing here", [(0, 7), (8, 12)])
    assert not found.any() and not unread
