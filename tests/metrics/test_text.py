"""BLEU-2 and distinct-n against sacrebleu and counts by hand."""

import math

import pytest
from sacrebleu.metrics.bleu import BLEU

from stc_core.metrics.text import bleu_2, distinct_n


def test_bleu_2_is_the_geometric_mean_of_words_and_pairs():
    # words 5 of 6 are right, pairs 3 of 5; as long as the true one: no penalty
    said, true = "the cat sat on the mat", "the cat is on the mat"
    assert bleu_2([said], [true]) == pytest.approx(100 * math.sqrt(5 / 6 * 3 / 5))
    short = bleu_2(["the cat"], [true])
    assert short == pytest.approx(100 * math.exp(1 - 6 / 2))
    oracle = BLEU(max_ngram_order=2).corpus_score([said, "a b"], [[true, "a c d"]])
    assert bleu_2([said, "a b"], [true, "a c d"]) == pytest.approx(oracle.score)
    assert bleu_2([true], [true]) == pytest.approx(100)


def test_distinct_counts_what_differs():
    texts = ["We will check", "we will call you"]
    assert distinct_n(texts, 1) == 5 / 7
    assert distinct_n(texts, 2) == 4 / 5
    assert distinct_n(["", "one"], 2) == 0
