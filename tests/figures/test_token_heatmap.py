"""Coloured words: every text escaped, every value in its colour."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest

from helpers.browser.browser import browser
from stc_core.figures.style import ACTIVE, AGAINST, FOR, Colour
from stc_core.figures.text_lists import ClassRow, TextRow, class_list, edited, text_list
from stc_core.figures.token_heatmap import (
    STRONGEST,
    UNREAD,
    Shade,
    background,
    coloured,
    legend,
)
from stc_core.interpret.explanation import Token, units, words
from stc_core.interpret.text_diff import DiffPiece, word_changes

NASTY = '<script>alert("x")</script> & <b onclick="y">fine</b>'


class Seen(HTMLParser):
    """The tags, the attributes and the text of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def tokens_of(text: str, value: float = 1.0) -> list[Token]:
    return [Token(*m.span(), m.group(), value) for m in re.finditer(r"\S+", text)]


@pytest.mark.parametrize("palette", ["diverging", "sequential"])
def test_every_text_is_escaped(palette):
    tokens = [*tokens_of(NASTY), Token(0, 0, "<s>", 0.5)]
    seen = Seen(coloured(NASTY, tokens, palette=palette, unit="<u>"))
    assert set(seen.tags) == {"div", "bdi", "span"}
    assert {name for name, _ in seen.attributes} == {"dir", "style", "title"}
    assert seen.text.startswith(NASTY)
    assert "<s>" in seen.text


def test_no_letter_is_lost_or_added():
    text = "  two  words\nand a line, \u05e9\u05dc\u05d5\u05dd end "
    assert Seen(coloured(text, tokens_of(text), palette="diverging")).text == text


def test_a_value_has_its_colour_and_its_title():
    text = "good bad none"
    values = (2.0, -1.0, 0.0)
    tokens = [t._replace(value=v) for t, v in zip(tokens_of(text), values, strict=True)]
    html = coloured(text, tokens, palette="diverging", unit="to a")
    towards, against, neutral = re.findall(r"background:(rgba\([^)]*\))", html)
    assert towards == Colour(*FOR).css(STRONGEST)
    assert against == Colour(*AGAINST).css(STRONGEST / 2)
    assert neutral.endswith(" 0.000)")
    assert 'title="good: +2.000 to a"' in html


@pytest.mark.parametrize("joined", [units, words])
def test_tokens_that_share_letters_are_one_chip_with_their_sum(joined):
    """A family of emoji in five tokens, and two that share a Korean syllable."""
    text = "👩‍👩‍👧 한"
    tokens = [Token(0, 5, "", 0.5)] * 5 + [Token(6, 7, "", 0.25), Token(6, 7, "", 0.5)]
    html = coloured(text, joined(text, tokens), palette="diverging")
    assert Seen(html).text == text
    assert re.findall('title="(.*?)"', html) == ["👩‍👩‍👧: +2.500", "한: +0.750"]


def test_unknown_words_are_underlined_and_say_so():
    tokens = [Token(0, 2, "", 1.0), Token(3, 5, "", 1.0, unknown=True)]
    html = coloured("an ox", tokens, palette="diverging", unit="to a")
    assert html.count("underline") == 2  # its line and the distance of it
    assert 'title="ox (unknown to the model): +1.000 to a">ox</span>' in html


def test_white_space_with_a_token_of_its_own_is_coloured():
    tokens = [Token(0, 1, "a", 1.0), Token(1, 3, "  ", 0.5)]
    html = coloured("a  ", tokens, palette="diverging")
    assert 'title="white space: +0.500">  </span>' in html


def test_letters_that_the_tokenizer_drops_are_grey():
    tokens = [Token(0, 1, "a", 1.0), Token(4, 5, "c", 0.5)]
    html = coloured("a<b c", tokens, palette="diverging")
    assert '<span style="opacity:0.5" title="not read">&lt;b </span>' in html
    assert "were not read" not in html
    special = [Token(0, 0, "[CLS]", 1.0)]
    assert "(1 character was not read)" in coloured("한", special, palette="diverging")


def test_the_space_a_token_starts_with_has_no_colour():
    html = coloured(
        "a b", [Token(0, 1, "a", 1.0), Token(1, 3, " b", 1.0)], palette="sequential"
    )
    assert re.search(r"</span> <span[^>]*>b</span>", html)


def test_text_that_was_not_read_is_grey():
    html = coloured("read not read", [Token(0, 4, "read", 1.0)], palette="diverging")
    assert 'title="not read"> not read</span>' in html
    assert "not read" not in coloured(
        "read. ", [Token(0, 5, "", 1.0)], palette="diverging"
    )


def test_of_a_book_that_was_not_read_the_beginning_is_shown_and_its_length_said():
    rest = " <b>" + "q" * 5000
    html = coloured(f"read{rest}", [Token(0, 4, "read", 1.0)], palette="diverging")
    assert "(5,004 characters were not read)" in html and len(html) < 1500
    assert html.count("q") == UNREAD - 4 and "<b>" not in html


def test_special_tokens_stand_apart_from_a_text_that_runs_from_the_right():
    text = "\u05e9\u05dc\u05d5\u05dd <b>"
    html = coloured(
        text, [*tokens_of(text), Token(0, 0, "[SEP]", 1.0)], palette="diverging"
    )
    direction = "one => getComputedStyle(one).direction"
    with browser() as chromium:
        page = chromium.new_page()
        page.set_content(html)
        assert page.locator("div").first.evaluate(direction) == "rtl"
        assert page.locator("bdi").evaluate(direction) == "ltr"
        assert page.locator("bdi").inner_text() == "[SEP] +1.000"


def test_a_text_with_no_token_is_just_shown():
    assert Seen(coloured("x < y", [], palette="diverging")).text == "x < y"


def test_special_tokens_follow_with_their_value():
    tokens = [Token(0, 0, "[CLS]", -0.25), Token(0, 2, "hi", 1.0)]
    assert Seen(coloured("hi", tokens, palette="diverging")).text == "hi [CLS] −0.250"
    assert Seen(coloured("hi", tokens, palette="sequential")).text == "hi [CLS]"


@pytest.mark.parametrize(
    ("value", "share"), [(0.5, 0.0), (1.0, 0.0), (2.0, 0.5), (3.0, 1.0), (9.0, 1.0)]
)
def test_activation_is_shaded_from_floor_to_reach(value, share):
    shade = Shade("sequential", 1.0, 3.0)
    assert background(value, shade) == Colour(*ACTIVE).css(STRONGEST * share)


def test_no_range_has_no_colour():
    assert background(1.0, Shade("diverging", 0.0, 0.0)).endswith(" 0.000)")
    assert background(1.0, Shade("sequential", 2.0, 2.0)).endswith(" 0.000)")


@pytest.mark.parametrize("page", [(255, 255, 255), (17, 22, 29)])
@pytest.mark.parametrize("colour", [FOR, AGAINST, ACTIVE])
def test_words_on_the_strongest_colour_can_be_read(page, colour):
    from helpers.colours import contrast

    ink = (27, 36, 48) if sum(page) > 382 else (230, 234, 240)
    mixed = tuple(
        STRONGEST * c + (1 - STRONGEST) * p for c, p in zip(colour, page, strict=True)
    )
    assert contrast(ink, mixed) > 4.5


def test_the_legend_names_its_ends():
    seen = Seen(legend("diverging", scale=1.5, low="against", high="for <b>"))
    assert seen.text == "against −1.5+1.5 for <b>"
    assert Seen(legend("sequential", scale=2.0, floor=0.5)).text == "0.52"


def test_a_list_of_texts_escapes_labels_and_links():
    html = text_list([TextRow(1.234, NASTY, "<div>ok</div>", 'Examples?a="b"&c=<d>')])
    seen = Seen(html)
    assert set(seen.tags) == {"div", "a"}
    assert ("href", 'Examples?a="b"&c=<d>') in seen.attributes
    assert seen.text == f"1.23{NASTY}okexplain"
    assert unescape(html).count("<script>") == 2  # the label and its title


@pytest.mark.parametrize(("gamma", "share"), [(0.5, 0.5), (1.0, 0.25), (2.0, 0.0625)])
def test_gamma_changes_what_is_between_the_ends(gamma, share):
    shade = Shade("diverging", 0.0, 4.0, gamma)
    assert background(1.0, shade) == Colour(*FOR).css(STRONGEST * share)
    assert background(4.0, shade) == Colour(*FOR).css(STRONGEST)
    html = coloured("a", tokens_of("a"), palette="diverging", scale=4.0, gamma=gamma)
    assert Colour(*FOR).css(STRONGEST * share) in html


def test_texts_alike_are_folded_and_escaped():
    row = TextRow(1.0, "a", "<div>ok</div>", "#", alike=(NASTY, "two"))
    seen = Seen(text_list([row]))
    assert set(seen.tags) == {"div", "a", "details", "summary"}
    assert f"+2 alike{NASTY}two" in seen.text


def test_a_class_has_its_name_and_its_probability():
    seen = Seen(class_list([ClassRow(NASTY, 0.256, "<div>ok</div>")]))
    assert seen.text == f"26 %{NASTY}ok" and set(seen.tags) == {"div"}


def test_an_edit_is_struck_out_and_underlined_and_escaped():
    seen = Seen(edited(word_changes("my <b>", "my <i>")))
    assert seen.text == "my <bi>"
    assert seen.tags == ["div", "del", "ins"]
    assert Seen(edited([DiffPiece("same", NASTY)])).text == NASTY
