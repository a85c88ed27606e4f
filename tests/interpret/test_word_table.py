"""The table of the words that a classifier reads."""

import numpy as np

from stc_core.heads.word_readout import WordReadout
from stc_core.interpret.word_table import word_table


def test_the_most_important_word_comes_first():
    words = WordReadout(("a", "b"), np.array([[1, -3], [-2, 4]], np.float32))
    table = word_table(words, ["no", "yes"])
    assert table["word"].tolist() == ["b", "a"]
    assert table["raises"].tolist() == ["yes", "no"]
    assert table["lowers"].tolist() == ["no", "yes"]
    assert table["weight"].tolist() == [4, 1]
    assert table["importance"].tolist() == [25, 5]
