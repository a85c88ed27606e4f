"""What words add to the logits."""

import numpy as np
import pytest

from stc_core.errors import StcError
from stc_core.heads.ngrams import ngrams
from stc_core.heads.word_readout import (
    WordReadout,
    load_word_readouts,
    ngram_matrix,
    save_word_readouts,
)

HEAD = WordReadout(
    ("lost", "card lost", "the"), np.array([[2, 1, 0], [0, -1, 3]], np.float32)
)
TEXT = "Card lost, the card"


def test_the_matrix_has_the_values_of_the_known_words():
    found = ngram_matrix([TEXT, "nothing"], {"card": 0, "zebra": 1}).toarray()
    assert found[0, 0] == pytest.approx(ngrams(TEXT).values["card"])
    assert not found[1].any() and not found[:, 1].any()


def test_logits_are_the_weights_times_the_values():
    values = ngrams(TEXT).values
    x = np.array([values[word] for word in HEAD.words])
    np.testing.assert_allclose(HEAD.logits([TEXT])[0], HEAD.weight @ x, rtol=1e-6)
    assert not HEAD.logits(["none of them"]).any()


def test_the_parts_of_a_text_sum_to_its_logits():
    parts = HEAD.parts(TEXT)
    assert [part.word for part in parts] == ["lost", "the", "card lost"]
    total = sum(part.contribution for part in parts)
    np.testing.assert_allclose(total, HEAD.logits([TEXT])[0], rtol=1e-6)
    assert parts[2].places == [(0, 9)]


def test_a_temperature_divides_the_logits():
    cooled = HEAD.cooled(2.0)
    np.testing.assert_allclose(cooled.logits([TEXT]), HEAD.logits([TEXT]) / 2)
    assert cooled.weight.dtype == np.float32


def test_importance_is_the_sum_of_squares_over_classes():
    np.testing.assert_allclose(HEAD.importance, [4, 2, 9])


def test_heads_are_read_as_they_were_written(tmp_path):
    other = WordReadout(("naïve\u00a0“x”",), np.ones((2, 1), np.float32))
    save_word_readouts(tmp_path / "words", [HEAD, other])
    found = load_word_readouts(tmp_path / "words", where="run")
    assert [head.words for head in found] == [HEAD.words, other.words]
    np.testing.assert_array_equal(found[0].weight, HEAD.weight)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "words").write_bytes(b"\x09" * 50)
    with pytest.raises(StcError, match="run 'x': got a damaged words"):
        load_word_readouts(tmp_path / "words", where="run 'x'")
