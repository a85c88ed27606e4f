"""The language of texts, and whether a language model was made for it."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from stc_core.data.findings import Finding, finding

SAMPLED = 200
FEWEST = 5
"""The fewest texts whose language is clear, below which nothing is said."""
SURE = 0.5
"""From this probability on the language of a text is clear."""
FITS = 0.7
"""The share of the texts that a model must be made for, or a finding says so."""
LANGUAGES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "ms": "Malay",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sr": "Serbian",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
"""The names of the languages that are spoken of by name; others by their code."""
MANY = re.compile("multilingual|xlm|mdeberta|bge-m3|labse|mt5|bloom|qwen|gemma")
ONE_LANGUAGE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("zh", re.compile("chinese|-zh")),
    ("ja", re.compile("japanese|-ja$")),
    ("de", re.compile("german|gbert|gelectra|-de$")),
    ("fr", re.compile("camembert|flaubert|french")),
    ("es", re.compile("spanish|beto")),
    ("it", re.compile("italian")),
    ("nl", re.compile("dutch|bertje|robbert")),
    ("pl", re.compile("polish|herbert|polbert")),
    ("ru", re.compile("russian|rubert")),
    ("tr", re.compile("turkish|berturk")),
    ("ar", re.compile("arabic|arabert")),
    ("ko", re.compile("korean|kobert|klue")),
    (
        "en",
        re.compile(
            "^(all|paraphrase|multi-qa)-(minilm|mpnet|distilroberta|albert)|"
            "^(distil)?bert-(base|large)-(un)?cased|^(distil)?roberta-(base|large)|"
            "^albert-|^electra-|^mpnet-base|^deberta-v?[23]|^deberta-(base|large)|"
            "^modernbert|^(distil)?gpt2|^gpt-neo|^opt-|^pythia|^(bge|e5|gte)-.*(-en|$)|"
            "^t5-|^flan-t5"
        ),
    ),
)
"""The language for which models with such names were made, by their model cards."""


class TextLanguage(NamedTuple):
    """The commonest language, its share of the texts whose language is clear, and how
    many texts those are."""

    code: str
    share: float
    n: int

    @property
    def name(self) -> str:
        return LANGUAGES.get(self.code, self.code)


def detect_language(texts: Sequence[str]) -> TextLanguage | None:
    """The commonest language of the texts; None if it is clear for too few of them.

    At most 200 texts are read, evenly spread over all. A text of digits or of one name
    has no clear language. By py3langid (Naive Bayes on bytes; Lui & Baldwin 2012).
    """
    places = np.linspace(0, len(texts) - 1, min(len(texts), SAMPLED)).astype(int)
    classify = _identifier().classify
    found = (classify(texts[place]) for place in places.tolist())
    counts = Counter(code for code, share in found if share >= SURE and code != "zxx")
    n = counts.total()
    if n < FEWEST:
        return None
    code, rows = counts.most_common(1)[0]
    return TextLanguage(code, rows / n, n)


@cache
def _identifier() -> Any:
    """The model, which takes about two seconds to unpack."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def made_for(model: str) -> str | None:
    """The code of the one language that a model was made for, told by its name.

    None for a model of many languages, and for one whose name tells nothing.
    """
    name = model.rstrip("/").rpartition("/")[2].lower()
    if MANY.search(name):
        return None
    return next((code for code, known in ONE_LANGUAGE if known.search(name)), None)


def language_finding(
    found: TextLanguage | None, n_texts: int, model: str
) -> Finding | None:
    """A finding if most of the texts are in a language that `model` was not made for.

    There is none if the name of the model does not tell its language.
    """
    own = made_for(model)
    if own is None or found is None or found.code == own or found.share < 1 - FITS:
        return None
    return finding(
        "language",
        "warning",
        f"About {100 * found.share:.0f} % of the texts are {found.name}, but {model} "
        f"was made for {LANGUAGES[own]}: scores may be much lower. Choose a model for "
        f"{found.name}, or one for many languages, such as "
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2.",
        count=round(found.share * n_texts),
    )
