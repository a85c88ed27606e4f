"""The language of texts is told, and a model that was not made for it."""

import pytest

from stc_core.data.findings import CAUSES_FIRST
from stc_core.data.language import (
    LANGUAGES,
    ONE_LANGUAGE,
    TextLanguage,
    detect_language,
    language_finding,
    made_for,
)

TEXTS = {
    "en": "where is my parcel, it is late",
    "de": "Wo ist mein Paket, es kommt zu spät",
    "fr": "où est mon colis, il est en retard",
    "es": "dónde está mi paquete, llega tarde",
    "it": "dov'è il mio pacco, è in ritardo",
    "pl": "gdzie jest moja paczka, jest spóźniona",
    "zh": "我的快递在哪里，已经晚了",
    "ja": "荷物はどこですか、遅れています",
    "th": "พัสดุของฉันอยู่ที่ไหน มาช้า",
    "ko": "내 소포는 어디에 있나요",
    "ru": "где моя посылка, она опаздывает",
    "tr": "paketim nerede, çok geç kaldı ve param iade edilmedi",
}


@pytest.mark.parametrize("code", TEXTS)
def test_the_commonest_language_is_told(code):
    found = detect_language([TEXTS[code]] * 8 + [TEXTS["en"]] * 2)
    assert found is not None and found.code == code and found.n == 10
    assert found.share == (1 if code == "en" else 0.8)
    assert found.name == LANGUAGES[code]


def test_texts_without_words_have_no_language():
    assert detect_language(["12345", "", "42 %"] * 10) is None
    assert detect_language([TEXTS["de"]] * 4) is None
    assert detect_language([]) is None


def test_many_texts_are_sampled():
    found = detect_language([TEXTS["de"]] * 5000)
    assert found == TextLanguage("de", 1.0, 200)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("all-MiniLM-L6-v2", "en"),
        ("sentence-transformers/all-mpnet-base-v2", "en"),
        ("bert-base-uncased", "en"),
        ("bert-base-multilingual-cased", None),
        ("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", None),
        ("bert-base-german-cased", "de"),
        ("deepset/gbert-base", "de"),
        ("bert-base-chinese", "zh"),
        ("FacebookAI/xlm-roberta-base", None),
        ("intfloat/multilingual-e5-small", None),
        ("BAAI/bge-small-en-v1.5", "en"),
        ("BAAI/bge-m3", None),
        ("gpt2", "en"),
        ("/models/my-own-model", None),
    ],
)
def test_what_a_model_was_made_for_by_its_name(model, code):
    assert made_for(model) == code


def test_every_language_of_a_model_has_a_name():
    assert {code for code, _ in ONE_LANGUAGE} <= LANGUAGES.keys()


def test_a_model_that_was_not_made_for_the_texts_is_told():
    german = TextLanguage("de", 0.9, 10)
    told = language_finding(german, 50, "all-MiniLM-L6-v2")
    assert told is not None and told.kind in CAUSES_FIRST and told.count == 45
    assert "About 90 % of the texts are German" in told.message
    assert "was made for English" in told.message
    for found, model in (
        (TextLanguage("en", 1.0, 10), "all-MiniLM-L6-v2"),
        (TextLanguage("de", 0.2, 10), "all-MiniLM-L6-v2"),
        (None, "all-MiniLM-L6-v2"),
        (german, "xlm-roberta-base"),
        (german, "deepset/gbert-base"),
        (german, "my-own-model"),
    ):
        assert language_finding(found, 50, model) is None
