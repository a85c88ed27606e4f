"""Leaving words out: the logits of the shortened texts, written by hand."""

import numpy as np
import pytest

from helpers.models.studied import studied_classifier
from stc_core.errors import StcError
from stc_core.interpret.explanation import Token
from stc_core.interpret.occlusion import (
    joined_pieces,
    leave_words_out,
    read_pieces,
    text_that_is_read,
    without_pieces,
)

TEXT = "good film with a plot"


def tokens_of(text: str) -> list[Token]:
    out, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        out.append(Token(start, start + len(word), word, 1.0))
        start += len(word)
    return out


def test_each_loss_is_that_of_the_shortened_text():
    model = studied_classifier("bert")
    found = leave_words_out(model, TEXT)
    assert [row["text"] for row in found["tokens"]] == TEXT.split()
    whole = model.logits([TEXT])[0]
    for row, short in (
        (0, "film with a plot"),
        (2, "good film a plot"),
        (4, "good film with a"),
    ):
        lost = list(found["tokens"][row]["contribution"].values())
        assert lost == pytest.approx(whole - model.logits([short])[0], abs=1e-4)
    assert not found["joined"]
    assert found["label"] == "abc"[int(whole.argmax())]


def test_neighbours_of_a_long_text_are_left_out_together():
    found = leave_words_out(studied_classifier("bert"), TEXT, most=2)
    assert [row["text"] for row in found["tokens"]] == ["good film with", "a plot"]
    assert found["joined"]
    pieces = joined_pieces(TEXT, tokens_of(TEXT), 2)
    assert [piece.value for piece in pieces] == [3, 2]


def test_what_is_not_read_does_not_slide_in():
    pieces = read_pieces(TEXT, tokens_of("good film with"))
    assert text_that_is_read(TEXT, pieces) == "good film with"
    assert without_pieces("good film with", pieces[1:2]) == "good with"


def test_a_script_without_spaces_loses_its_tokens():
    characters = [Token(at, at + 1, one, 0.0) for at, one in enumerate("好电影")]
    assert [one.text for one in read_pieces("好电影", characters)] == list("好电影")
    assert read_pieces("good", tokens_of("good")) == []


def test_a_text_of_one_word_is_refused():
    with pytest.raises(StcError, match="at least two words"):
        leave_words_out(studied_classifier("bert"), "good")
    assert np.isfinite(studied_classifier("bert").logits(["good"])).all()
