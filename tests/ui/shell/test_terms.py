"""A question mark beside the title tells what the terms of a page mean."""

import pytest

from helpers.app import fine, visit
from ui.shell.page_list import PAGES
from ui.shell.terms import OF_PAGE, TERMS, terms_of


def test_every_term_is_told_on_a_page_that_is_there():
    assert {term for terms in OF_PAGE.values() for term in terms} == set(TERMS)
    assert set(OF_PAGE) <= {title for title, _ in PAGES.values()}


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_told_in_short_sentences(term: str):
    assert TERMS[term].endswith(".")
    assert max(len(part.split()) for part in TERMS[term].split(". ")) <= 24


def test_the_terms_of_a_page_stand_beside_its_title(tmp_path, monkeypatch):
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    (title,) = fine(visit("pages/3_Layers.py")).title
    assert title.proto.help == terms_of("Layers") != ""
    assert terms_of("Home") is None
