"""Every character of a text is a token's or in a gap, whatever the tokenizer."""

import copy
import math
import unicodedata

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers.models.tokenizer_kinds import MAKERS, tokenizer_of
from stc_core.backbone.tokenization.coverage import cover
from stc_core.backbone.tokenization.tokens import Span, spans, tokenize
from stc_core.interpret.explanation import segments, token_of, units, words

HARD = [
    *(" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "good", "film,", "x" * 120),
    *("한국어", unicodedata.normalize("NFD", "문장"), "हिन्दी", "क्ष", "फ़िल्म", "ที่", "น้ำ"),
    *("فِيلْم", "שָׁלוֹם", "ữ", unicodedata.normalize("NFD", "Việt"), "ı", "İ", "ß"),
    *("ﬁ", "½", "Ｆ", "ｶﾞ", "日本", "𝔘", "\u0301", "e\u0323\u0301", "\u200b", "\u200d"),
    *(
        "\ufeff",
        "\u00ad",
        "\x00",
        "\x07",
        "\ufffd",
        "\u202e",
        "❤️",
        "👩‍👩‍👧",
        "🇩🇪",
        "👍🏽",
    ),
    *("1️⃣", "``", "#", "<s>", "</s>", "<unk>", "[SEP]", "한x", "日" * 101),
]
# Not st.characters(), which writes a table of Unicode to the working folder.
LETTERS = st.integers(0, 0x10FFFF).filter(lambda n: not 0xD800 <= n < 0xE000).map(chr)
TEXTS = st.lists(st.sampled_from(HARD) | LETTERS, max_size=9).map("".join)
READ_ALL = [kind for kind in MAKERS if kind.startswith("bytes")] + [
    *("bpe, as Llama", "bpe, as Gemma", "bpe, no bytes", "words"),
    *("slow ByT5", "slow Perceiver", "slow letters"),
]
"""Tokenizers that read every character."""


def check(kind: str, text: str, max_length: int) -> None:
    tokenizer = tokenizer_of(kind)
    ids = tokenize(tokenizer, [text], max_length=max_length).ids[0]
    found = spans(tokenizer, text, max_length=max_length)
    assert len(found) == len(ids)
    ends = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    for before, span in zip([Span(0, 0, ""), *found], found, strict=False):
        assert before.start <= span.start <= span.end
        assert before.end <= span.end
        assert {span.start, span.end} <= ends
    always = set(tokenizer("")["input_ids"])
    if text and len(tokenizer(text, add_special_tokens=False)["input_ids"]):
        assert all(
            span.start < span.end or token in always
            for span, token in zip(found, ids.tolist(), strict=True)
        )
    check_words(kind, text, found, max_length)


def check_words(kind: str, text: str, found: list[Span], max_length: int) -> None:
    """Each token is in one word, each character in one segment."""
    tokens = [token_of(text, span, float(2**n)) for n, span in enumerate(found)]
    for merged in (units(text, tokens), words(text, tokens)):
        total = math.fsum(token.value for token in merged)
        assert total == sum(2**n for n in range(len(found)))
        parts = segments(text, merged)
        assert "".join(part.text for part in parts) == text
        inside = [token for token in merged if not token.special]
        assert [part.token for part in parts if part.token] == inside
        if kind in READ_ALL and len(found) < max_length:
            assert not any(part.unread for part in parts)


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=12, derandomize=True, database=None, deadline=None)
@given(text=TEXTS, max_length=st.sampled_from([5, 9, 40]))
@example(text="한국어 ❤️ é", max_length=40)
def test_every_character_is_in_one_segment(kind: str, text: str, max_length: int):
    check(kind, text, max_length)


E, ACUTE, NUL = "e", "\u0301", "\x00"


@pytest.mark.parametrize(
    ("text", "places", "expected"),
    [
        ("한", [(0, 1), (0, 1), (0, 1)], [(0, 1), (0, 1), (0, 1)]),
        (E + ACUTE + "x", [(0, 1), (2, 3)], [(0, 2), (2, 3)]),  # the accent is dropped
        ("a" + NUL + "b", [(0, 1), (2, 3)], [(0, 1), (2, 3)]),  # NUL is dropped
        ("ab", [(0, 0), (0, 2)], [(0, 2), (0, 2)]),  # a space in front of the text
        ("ab", [(0, 2), (2, 2)], [(0, 2), (0, 2)]),
        ("a b c d", [(0, 1), (1, 1), (1, 1), (6, 7)], [(0, 1), (2, 5), (2, 5), (6, 7)]),
        ("a  b", [(0, 1), (3, 3), (3, 4)], [(0, 1), (1, 3), (3, 4)]),
        ("a b", [(0, 0), (0, 0)], [(0, 3), (0, 3)]),
        (" \u0301x", [(0, 0)], [(0, 3)]),  # a cluster that begins with white space
        ("ab", [(1, 2), (0, 1)], [(1, 2), (1, 2)]),  # in order
        ("ab", [(0, 9)], [(0, 2)]),
    ],
)
def test_places_follow_the_rule(text, places, expected):
    added = [False] * len(places)
    assert cover(text, places, added, read=(0, len(text))) == expected
    around = cover(
        text,
        [(0, 0), *places, (0, 0)],
        [True, *added, True],
        read=(0, len(text)),
    )
    last = expected[-1][1]
    assert around == [(0, 0), *expected, (last, last)]


def test_a_token_without_a_place_has_nothing_of_what_was_cut():
    added = [False, False]
    assert cover("a b", [(0, 1), (0, 0)], added, read=(0, 1)) == [(0, 1), (0, 1)]
    assert cover("a b", [(0, 0), (2, 3)], added, read=(2, 3)) == [(2, 3), (2, 3)]
    assert cover("a b", [(0, 0), (0, 0)], added, read=(0, 0)) == [(0, 0), (0, 0)]


def shown(kind: str, text: str, max_length: int = 40) -> list[str]:
    """The characters of each token, without special tokens."""
    found = spans(tokenizer_of(kind), text, max_length=max_length)
    return [text[start:end] for start, end, *_ in found if start < end]


def test_jamo_bytes_and_accents_belong_to_their_letter():
    nfd = unicodedata.normalize("NFD", "한")
    assert shown("all-MiniLM", "한") == ["한"] * 3  # three jamo
    assert shown("bytes, as Qwen", nfd) == [nfd] * 3  # three bytes of the syllable
    assert shown("slow ByT5", "한") == ["한"] * 3
    assert shown("all-MiniLM", "e\u0301 ✌️") == ["e\u0301", "✌️"]
    assert shown("bpe, as Llama", "❤️") == ["❤️"] * 7  # a space, and six bytes


def test_a_word_that_is_too_long_is_unknown():
    span = spans(tokenizer_of("all-MiniLM"), "x" * 101, max_length=9)[1]
    assert span == Span(0, 101, "[UNK]", unknown=True)
    assert not spans(tokenizer_of("all-MiniLM"), "[UNK]", max_length=9)[1].unknown


def test_unknown_words_side_by_side_are_kept_apart():
    """A slow tokenizer names no places, but its words are read one by one."""
    assert shown("slow ESM", "한 日 good") == ["한", "日", "good"]
    assert shown("slow CTRL", "한국 日") == ["한국", "한국", "日"]


@pytest.mark.parametrize("kind", ["slow ByT5", "slow BERT", "bytes, as Qwen"])
def test_the_side_that_was_cut_is_not_read(kind: str):
    tokenizer = copy.deepcopy(tokenizer_of(kind))
    text = "good film " * 40
    found = spans(tokenizer, text, max_length=9)
    assert (found[0].start, max(span.end for span in found) < 60) == (0, True)
    tokenizer.truncation_side = "left"
    found = spans(tokenizer, text, max_length=9)
    assert min(span.start for span in found) > len(text) - 60
    assert found[-1].end >= len(text) - 1
    assert all(span.start < span.end for span in found[1:-1])
