"""Words are counted by script: by spaces, or by letters where there are none."""

import pytest

from stc_core.data.scripts import count_words, is_unspaced


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("", 0),
        ("where is my parcel?", 4),
        ("Wo ist mein Paket", 4),
        ("快递丢了", 2),
        ("我的快递在哪里", 4),
        ("买了 iPhone 15 手机", 4),
        ("荷物はどこですか", 4),
        ("พัสดุของฉันอยู่ที่ไหน", 5),
        ("내 소포는 어디에 있나요", 4),
    ],
)
def test_words_by_script(text, n):
    assert count_words(text) == n


@pytest.mark.parametrize(
    ("text", "unspaced"),
    [
        ("", False),
        ("123", False),
        ("parcel", False),
        ("快递", True),
        ("快 parcel", False),
    ],
)
def test_a_text_is_unspaced_if_most_letters_are(text, unspaced):
    assert is_unspaced(text) == unspaced
