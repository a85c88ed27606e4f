"""Faithfulness over words against texts that are shortened by hand."""

import numpy as np
import pytest

from helpers.models.studied import studied_classifier
from stc_core.errors import StcError
from stc_core.heads.head import softmax
from stc_core.heads.word_readout import WordReadout
from stc_core.interpret.explanation import token_parts
from stc_core.interpret.faithfulness import over_words
from stc_core.interpret.faithfulness.over_words import faithfulness_over_words
from stc_core.interpret.faithfulness.scores import ATTRIBUTIONS, READOUT
from stc_core.interpret.integrated_gradients import integrated_gradients
from stc_core.interpret.occlusion import read_pieces

TEXT = "good film with a great plot"


def test_one_text_by_hand():
    model = studied_classifier("bert")
    seen: list[int] = []
    found = faithfulness_over_words(
        model, [TEXT], progress=lambda done, _: seen.append(done)
    )
    assert seen == [1]
    logits = model.logits([TEXT])[0]
    code = int(logits.argmax())

    def probability(*words: str) -> float:
        return float(softmax(model.logits([" ".join(words)]))[0, code])

    explanation = model.explain(TEXT)
    words = read_pieces(TEXT, token_parts(explanation, explanation["label"]))
    order = [word.text for word in sorted(words, key=lambda word: -word.value)]
    whole = probability(*TEXT.split())
    counts = [1, 1, 1, 2, 3]
    without, alone = [], []
    for count in counts:
        best = set(order[:count])
        without.append(whole - probability(*(w for w in TEXT.split() if w not in best)))
        alone.append(whole - probability(*(w for w in TEXT.split() if w in best)))
    ours = next(one for one in found.methods if one.method == READOUT)
    assert ours.curve_without == pytest.approx(without, abs=1e-5)
    assert ours.curve_alone == pytest.approx(alone, abs=1e-5)
    assert ours.comprehensiveness.mean == pytest.approx(np.mean(without), abs=1e-5)
    assert ours.sufficiency.mean == pytest.approx(np.mean(alone), abs=1e-5)
    names = {one.method for one in found.methods}
    assert names == ATTRIBUTIONS.keys() - {"gradient_from_mean"}
    assert found.missing == {}


def reading_words(family: str = "bert"):
    """A classifier that reads three words beside its neurons."""
    model = studied_classifier(family)
    weight = np.array([[2.0, -1.0, 0.5], [-2.0, 1.0, 0.0], [0.0, 0.0, -1.5]], "f")
    model.words_ = WordReadout(("good", "plot", "great plot"), weight)
    return model


def test_words_beside_the_neurons_are_part_of_what_is_judged():
    """The values of the words and the bias sum to the logit, words included."""
    model, plain = reading_words(), studied_classifier("bert")
    (logits,), (without,) = model.logits([TEXT]), plain.logits([TEXT])
    assert np.abs(logits - without).max() > 0.1
    code = int(logits.argmax())
    read = over_words._read(model, TEXT, {}, np.random.default_rng(0))
    assert read is not None and read.code == code
    explanation = model.explain(TEXT)
    added = sum(
        token["contribution"][explanation["label"]]
        for token in explanation["tokens"]
        if token["start"] == token["end"]
    )
    total = float(read.values[READOUT].sum()) + added + model.head_.bias[code]
    assert total == pytest.approx(float(logits[code]), abs=1e-4)
    shown = " ".join(word.text for word in read.words)
    assert shown == TEXT
    assert read.whole == pytest.approx(float(softmax(logits[None])[0, code]), abs=1e-5)
    for place, word in enumerate(read.words):
        rest = " ".join(w for w in TEXT.split() if w != word.text)
        lost = logits[code] - model.logits([rest])[0, code]
        assert read.values["leave_one_out"][place] == pytest.approx(lost, abs=1e-4)
    gradient = integrated_gradients(model, TEXT, n_steps=64)
    moved = sum(row["contribution"][gradient["label"]] for row in gradient["tokens"])
    way = gradient["logit"] - gradient["start"] + gradient["error"]
    assert moved == pytest.approx(way, abs=1e-4)
    found = faithfulness_over_words(model, [TEXT])
    assert {one.method for one in found.methods} >= {READOUT, "leave_one_out"}


def test_what_a_model_does_not_allow_is_named():
    """An encoder-decoder has no gradients down to its words."""
    found = faithfulness_over_words(studied_classifier("t5"), [TEXT, "good"])
    assert found.n_texts == 1
    assert found.missing.keys() == {"gradient_input", "integrated_gradients"}
    assert "two stacks" in found.missing["gradient_input"]


def test_texts_of_one_word_alone_are_refused():
    with pytest.raises(StcError, match="two words"):
        faithfulness_over_words(studied_classifier("bert"), ["good"])
