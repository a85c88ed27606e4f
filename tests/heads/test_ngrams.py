"""The words of a text and their values."""

import math

import pytest

from stc_core.heads.ngrams import ngrams, word_places


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in word_places(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My card's lost!", ["My", "card", "'", "s", "lost", "!"]),
        ("straße ÉTÉ x_1", ["straße", "ÉTÉ", "x_1"]),
        ("快递丢了 iPhone", ["快", "递", "丢", "了", "iPhone"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs and virama stay inside
        ("cafe\u0301 😀👍", ["cafe\u0301", "😀", "👍"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("  \n", []),
    ],
)
def test_words_of_many_scripts(text, expected):
    assert words(text) == expected


def test_every_visible_character_is_in_a_word():
    text = "a\u200db, c—d… 1.5€ é\u0301 한국어 العَرَبِيَّة 𝕏 ไทย"
    covered = "".join(words(text))
    assert covered == "".join(char for char in text if not char.isspace())


def test_words_and_pairs_stand_where_they_are():
    text = "Card lost. CARD lost"
    found = ngrams(text)
    assert found.places["card"] == [(0, 4), (11, 15)]
    assert found.places["card lost"] == [(0, 9), (11, 20)]
    assert found.places["lost ."] == [(5, 10)]


def test_values_grow_with_the_logarithm_of_the_count():
    values = ngrams("b a a a").values
    assert values["a"] / values["b"] == pytest.approx(1 + math.log(3))
    assert sum(value**2 for value in values.values()) == pytest.approx(1)


def test_a_text_without_words_has_no_values():
    assert ngrams(" ").values == {} and ngrams("").places == {}
