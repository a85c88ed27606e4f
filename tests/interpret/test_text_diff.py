"""What an edit changed: words, probabilities, and the parts of a logit."""

import pytest

from helpers.frames import CLASSES, explanation
from stc_core.interpret import text_diff
from stc_core.interpret.text_diff import (
    neuron_changes,
    probability_changes,
    word_changes,
)


def sides(pieces) -> tuple[str, str]:
    before = "".join(piece.text for piece in pieces if piece.kind != "new")
    after = "".join(piece.text for piece in pieces if piece.kind != "gone")
    return before, after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("my parcel is late", "my refund is late"),
        ("", "new"),
        ("gone", ""),
        ("same", "same"),
        ("a  b\nc, d", "a b, d <b>"),
    ],
)
def test_no_letter_is_lost(before, after):
    assert sides(word_changes(before, after)) == (before, after)


def test_whole_words_change():
    found = word_changes("my parcel is late.", "my parking is late!")
    assert [(piece.kind, piece.text) for piece in found] == [
        ("same", "my "),
        ("gone", "parcel"),
        ("new", "parking"),
        ("same", " is late"),
        ("gone", "."),
        ("new", "!"),
    ]


def test_very_long_texts_are_not_compared_word_by_word(monkeypatch):
    monkeypatch.setattr(text_diff, "MOST_PIECES", 3)
    assert [piece.kind for piece in word_changes("a b", "a c")] == ["gone", "new"]


def after() -> dict:
    """The explanation with neuron 1's part in class a 1 less, so that b is said."""
    found = explanation()
    found["neurons"][1]["contribution"]["a"] -= 1.0
    found["logits"]["a"] -= 1.0
    found["label"] = "b"
    found["probabilities"] = dict(zip(CLASSES, (0.3, 0.55, 0.15), strict=True))
    return found


def test_the_classes_said_and_the_most_moved_are_shown():
    found = probability_changes(explanation(), after())
    assert found["class"].tolist() == ["a", "b", "<i>c</i>"]
    assert found["change"].tolist() == pytest.approx([-0.4, 0.35, 0.05])
    assert len(probability_changes(explanation(), after(), most=1)) == 2


@pytest.mark.parametrize("label", CLASSES)
def test_the_changes_sum_to_that_of_the_logit(label):
    found = neuron_changes(explanation(), after(), label, most=99)
    moved = after()["logits"][label] - explanation()["logits"][label]
    assert sum(found["change"].tolist()) == pytest.approx(moved)


def test_the_most_moved_neuron_comes_first_and_knows_its_number():
    top = neuron_changes(explanation(), after(), "a", most=1).to_dict("records")
    assert top == [{"name": "mlp.2 #3 · max", "neuron": 1, "change": -1.0}]


def test_a_layer_that_attention_reads_has_no_number():
    found = explanation()
    for row in found["neurons"]:
        row["index"] = None
    assert set(neuron_changes(found, found, "a")["neuron"].tolist()) == {None}
