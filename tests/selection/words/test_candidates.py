"""Which words may count, and what they are multiplied by."""

import numpy as np
from sklearn.feature_extraction.text import TfidfTransformer

from stc_core.selection.words import candidates as module
from stc_core.selection.words.candidates import find_candidates, inverse_frequency

TEXTS = ["the cat sat", "the dog sat", "a bird", "unseen cat bird"]


def test_words_of_several_learned_texts_are_candidates():
    found = find_candidates(TEXTS, np.array([2, 0, 1]))
    assert found is not None
    assert found.words == ("sat", "the")  # the last text is not learned from
    assert found.rows.tolist() == [0, 1, 2]
    assert found.values.shape == (3, 2) and found.values[2].nnz == 0


def test_values_come_in_the_order_asked_for():
    found = find_candidates(TEXTS, np.arange(4))
    assert found is not None
    np.testing.assert_array_equal(
        found.at(np.array([3, 0])).toarray(), found.values.toarray()[[3, 0]]
    )


def test_the_most_frequent_are_kept(monkeypatch):
    monkeypatch.setattr(module, "MOST_CANDIDATES", 1)
    found = find_candidates(["b a", "b a", "b"], np.arange(3))
    assert found is not None and found.words == ("b",)


def test_texts_that_share_no_word_have_no_candidates():
    assert find_candidates(["one", "two"], np.arange(2)) is None


def test_the_inverse_frequency_is_that_of_scikit_learn():
    found = find_candidates(TEXTS, np.arange(4))
    assert found is not None
    expected = TfidfTransformer().fit(found.values).idf_
    np.testing.assert_allclose(inverse_frequency(found.values), expected, rtol=1e-6)


def test_a_word_of_one_row_of_a_fold_counts_nothing():
    found = find_candidates(TEXTS, np.arange(4))
    assert found is not None
    alone = found.words.index("bird")
    assert inverse_frequency(found.at(np.array([0, 1, 2])))[alone] == 0
