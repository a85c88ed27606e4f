"""Words join the neurons where they clearly help, and only there."""

import numpy as np
import pytest

from helpers.toy_features import Toy, make
from stc_core.metrics.scores import accuracy
from stc_core.selection.folds import MOST_CROSS_FITTED
from stc_core.selection.stc import Fitted, fit_stc
from stc_core.selection.words.choose import add_words
from stc_core.types import PooledSite

WEAK = make(2, strength=0.8)


def texts_of(toy: Toy, *, telling: float) -> list[str]:
    """Texts of five words; one of them tells the class with this probability."""
    rng = np.random.default_rng(3)
    said = []
    for code in toy.task.codes:
        word = ("fine", "poor")[code if rng.random() < telling else 1 - code]
        said.append(" ".join([word, *rng.choice(list("abcdefgh"), 4)]))
    return said


def fit(toy: Toy, texts: list[str], how) -> Fitted:
    def finish(search, option, fitted):
        return add_words(search, option, fitted, texts, how=how)

    return fit_stc(toy.read, toy.task, toy.probes(), finish=finish)


@pytest.fixture(scope="module")
def helped() -> Fitted:
    return fit(WEAK, texts_of(WEAK, telling=0.9), "auto")


def held_accuracy(fitted: Fitted) -> float:
    y = WEAK.task.codes[fitted.held]
    return accuracy(y, fitted.held_logits.argmax(axis=1))


def test_words_that_tell_the_class_are_read(helped):
    alone = fit_stc(WEAK.read, WEAK.task, WEAK.probes())
    choice = helped.word_choice
    assert helped.words is not None and choice is not None
    best = helped.words.words[int(helped.words.importance.argmax())]
    assert best in ("fine", "poor")
    assert held_accuracy(helped) - held_accuracy(alone) == pytest.approx(choice.gain)
    assert choice.gain > choice.error > 0
    assert helped.head.features == alone.head.features  # the neurons stay
    assert helped.chosen["word_share"] == choice.share


def test_no_row_is_judged_by_words_that_were_chosen_with_it(helped):
    """The held logits are those of the fold heads, which do not know the row."""
    texts = texts_of(WEAK, telling=0.9)
    assert len(helped.fold_words) == len(helped.fold_heads) == 5
    place = int(np.flatnonzero(helped.fold == 2)[0])
    row = int(helped.held[place])
    head, words = helped.fold_heads[2], helped.fold_words[2]
    x = [
        WEAK.blocks[PooledSite(f.site, f.pooling)][row, f.index] for f in head.features
    ]
    logits = head.logits(np.array([x], np.float32)) + words.logits([texts[row]])
    np.testing.assert_allclose(logits[0], helped.held_logits[place], atol=1e-4)


def test_words_that_tell_nothing_are_not_read():
    fitted = fit(WEAK, texts_of(WEAK, telling=0.5), "auto")
    assert fitted.words is None and not fitted.fold_words
    assert fitted.word_choice is not None  # what they gain is told


def test_words_are_read_if_asked_for():
    fitted = fit(WEAK, texts_of(WEAK, telling=0.5), "on")
    assert fitted.words is not None


def test_off_changes_nothing():
    fitted = fit(WEAK, texts_of(WEAK, telling=0.9), "off")
    assert fitted.words is None and fitted.word_choice is None


def test_texts_without_a_common_word_have_none():
    texts = [f"only{row}" for row in range(len(WEAK.task.codes))]
    fitted = fit(WEAK, texts, "on")
    assert fitted.words is None and fitted.word_choice is None


def test_validation_judges_a_large_table(monkeypatch):
    monkeypatch.setattr("stc_core.selection.folds.MOST_CROSS_FITTED", 0)
    assert MOST_CROSS_FITTED > len(WEAK.task.learned)  # by default it is small
    fitted = fit(WEAK, texts_of(WEAK, telling=0.95), "on")
    assert sorted(fitted.held) == sorted(WEAK.task.validation)
    assert len(fitted.fold_words) == 1


def test_many_rows_are_judged_by_models_of_some(monkeypatch):
    monkeypatch.setattr("stc_core.selection.words.choose.MOST_JOINT_ROWS", 80)
    fitted = fit(WEAK, texts_of(WEAK, telling=0.95), "auto")
    assert fitted.words is not None and {"fine", "poor"} <= set(fitted.words.words)
