"""The likeliest code pages of a text that is not Unicode.

The detector (chardet) compares pairs of letters with those of 49 languages. It is
unsure about short texts and about English, which has few letters beyond ASCII. So its
scores are weighted by how common a code page is, and by where the characters of a
reading stand.
"""

import codecs
import encodings
import pkgutil
import re
import unicodedata
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import NamedTuple

from chardet import detect, detect_all
from chardet.enums import EncodingEra

from stc_core.errors import StcError

_SHOWN = 3
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_SURE = 1.3
"""A reading is clear if its score is this many times that of the next."""
NOT_OF_TABLES = (
    "idna punycode undefined unicode_escape raw_unicode_escape unicode-escape "
    "raw-unicode-escape utf-7 charmap"
).split()
WEIGHT_OF_ODD = 4.0
CONTEXT_BYTES = 2048
"""So many bytes of plain lines are also judged: they show the language."""
SNIPPET = 60
NEARLY = 0.7
TYPOGRAPHIC_SIGNS = 300
_BEYOND = re.compile("[^\\x00-\\x7f]")

_RARE = 0.8
_PRIORS = {
    **dict.fromkeys(
        "cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 cp1257 cp874 cp932 gb18030 "
        "big5hkscs cp949 euc_jis_2004 koi8-r koi8-u iso8859-2 iso8859-5".split(),
        1.0,
    ),
    **dict.fromkeys(
        "iso8859-4 iso8859-6 iso8859-7 iso8859-8 iso8859-9 iso8859-13 iso8859-15 "
        "cp1258 mac-roman mac-latin2 mac-turkish cp437 cp850 cp852 cp857 "
        "cp866 cp1125 cp775".split(),
        0.93,
    ),
    "cp1252": 1.1,
    "mac-cyrillic": 0.7,
}
"""How common a code page is among those that read a text alike; all others are rare."""
_SUPERSETS = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-8": "cp1255",
    "iso8859-7": "cp1253",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "euc_kr": "cp949",
    "shift_jis_2004": "cp932",
    "gb2312": "gb18030",
    "cp858": "cp850",
}
"""Code pages with the same characters and more, so that they can read later rows, too.
"""
_LONE = frozenset("àáâèéêìíîòóôöùúûåæøÀÁÈÉÊÌÍÒÓÔÖÙÚÅÆØı")
_OPENING = frozenset("“‘„‚«‹¿¡")
_CLOSING = frozenset("”’»›…")
_SIGNS = frozenset("©®™°№±×÷¬−≈≤≥→♥★☆✓")
_BETWEEN_LETTERS = frozenset("’‘·´ʼ­‐‑")


class Candidate(NamedTuple):
    """A reading of a text: its codec, its language and a line that shows it."""

    encoding: str
    language: str
    line: str
    score: float


class _Reading(NamedTuple):
    """The likeliest readings of a text, best first, and whether the first is clear."""

    candidates: tuple[Candidate, ...]
    sure: bool

    @property
    def encoding(self) -> str:
        """The codec of the best reading."""
        return self.candidates[0].encoding

    @property
    def is_dense(self) -> bool:
        """Whether bytes beyond ASCII make up words, which may be UTF-8 by chance.

        In Latin script they do not.
        """
        return not all(map(_is_latin, filter(str.isalpha, self.candidates[0].line)))


def likeliest_codecs(foreign: bytes, plain: bytes = b"") -> _Reading:
    """The likeliest readings of lines with bytes beyond ASCII; `plain` are other lines.

    There is at least one candidate: Windows-1252 if nothing fits. No two candidates
    read the lines alike.
    """
    if (signs := _only_signs(foreign)) is not None:
        return signs
    scores = _detected(foreign + b"\n" + plain[:CONTEXT_BYTES])
    ranked: dict[str, Candidate] = {}
    for raw_score, encoding, language in scores:
        if (
            len(ranked) >= _SHOWN
            and raw_score
            < sorted(candidate.score for candidate in ranked.values())[-_SHOWN]
        ):
            break
        text = _decoded(foreign, encoding)
        if text is None or "\x1b" in text:
            continue
        codec = _superset(encoding, foreign, text)
        score = raw_score * 2.0 ** (-WEIGHT_OF_ODD * odd_share(text))
        ranked[text] = _commoner(
            ranked.get(text), Candidate(codec, language, "", score)
        )
    best = sorted(ranked.items(), key=lambda candidate: -candidate[1].score)[:_SHOWN]
    if not best:
        text = foreign.decode("cp1252", "replace")
        return _Reading(
            (Candidate("cp1252", "", _telling_lines([text])[0], 0.0),), False
        )
    lines = _telling_lines([text for text, _ in best])
    candidates = [
        candidate._replace(line=line)
        for (_, candidate), line in zip(best, lines, strict=True)
    ]
    is_sure = len(candidates) == 1 or candidates[0].score >= _SURE * candidates[1].score
    return _Reading(tuple(candidates), is_sure)


def _only_signs(foreign: bytes) -> _Reading | None:
    """Windows-1252 if it reads all bytes beyond ASCII as well-placed signs, else None.

    No-break spaces, curly quotes or currency signs do not show a language, so the
    detector would take them for letters of some other code page.
    """
    text = _decoded(foreign, "cp1252")
    signs = _BEYOND.findall(text or "")
    if not text or not signs or any(map(str.isalpha, signs)) or odd_share(text):
        return None
    return _Reading((Candidate("cp1252", "", _telling_lines([text])[0], 1.0),), True)


def _detected(sample: bytes) -> list[tuple[float, str, str]]:
    """(score times how common the codec is, codec, language), best first."""
    eras = EncodingEra.ALL & ~EncodingEra.MAINFRAME
    detected = detect_all(
        sample, encoding_era=eras, ignore_threshold=True, compat_names=False
    )
    scores = [
        (guess["confidence"] * _prior(codec), codec, guess["language"] or "")
        for guess in detected
        if (codec := guess["encoding"]) and not codec.startswith(("utf", "ascii"))
    ]
    return sorted(scores, key=lambda guess: -guess[0])


def _commoner(present: Candidate | None, other: Candidate) -> Candidate:
    """The commoner of two codecs that read a text alike, if it is nearly as good."""
    if present is None:
        return other
    best = max(present.score, other.score)
    rarer, commoner = sorted((present, other), key=_commonness)
    chosen = commoner if commoner.score > NEARLY * best else rarer
    return chosen._replace(score=best)


def _commonness(one: Candidate) -> tuple[float, bool]:
    return _prior(one.encoding), one.encoding.startswith("cp")


def _prior(encoding: str) -> float:
    return _PRIORS.get(_SUPERSETS.get(encoding, encoding), _RARE)


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _superset(encoding: str, raw: bytes, text: str) -> str:
    wider = _SUPERSETS.get(encoding)
    return wider if wider and _decoded(raw, wider) == text else encoding


def odd_share(text: str) -> float:
    """The share of characters beyond ASCII in places where they do not belong.

    Such are a capital or a symbol inside a word, a letter beside letters of another
    script, an opening quote after a word, and a control character.
    """
    padded = f" {text} "
    positions = [
        match.start() for match in islice(_BEYOND.finditer(padded), TYPOGRAPHIC_SIGNS)
    ]
    n_odd = sum(
        _is_odd(padded[position], padded[position - 1], padded[position + 1])
        for position in positions
    )
    return n_odd / max(len(positions), 1)


def _is_odd(sign: str, before: str, after: str) -> bool:
    """Whether a character does not belong between these neighbours."""
    kind = unicodedata.category(sign)
    if kind.startswith("L"):
        return _is_odd_letter(sign, before, after)
    if kind.startswith("M"):
        return not before.isalpha()
    inside = before.isalpha() and after.isalpha()
    if kind == "Zs":  # a no-break space
        return False
    if sign == "´":  # typed as an apostrophe
        return not before.isalpha()
    if sign in _OPENING:
        return before.isalnum() and not inside
    if sign in _CLOSING:
        stands_alone = before.isspace() and before != "\xa0" and sign != "…"
        return stands_alone or (inside and sign not in _BETWEEN_LETTERS)
    if kind in ("Cc", "Co", "Cn", "Sk") or (
        kind in ("So", "Sm") and sign not in _SIGNS
    ):
        return True
    if kind == "No":
        return after.isalpha() or (before.isalpha() and sign not in "²³")
    if sign in "¶§†‡‰":
        return before.isalpha() or after.isalpha()
    return sign == "¤" or (inside and sign not in _BETWEEN_LETTERS and kind != "Pd")


def _is_odd_letter(sign: str, before: str, after: str) -> bool:
    """Whether a letter does not belong between these neighbours."""
    if sign in "ªºµ":
        return before.isalpha() and after.isalpha()  # as in Spanish 1ª, in 5 µm
    latin = _is_latin(sign)
    if any(one.isalpha() and _is_latin(one) != latin for one in (before, after)):
        return True
    if sign not in _LONE and not (before.isalpha() or after.isalpha()):
        return True
    if latin and before.isdigit() and not after.isalpha():
        return True
    return sign.isupper() and before.islower()


def _is_latin(letter: str) -> bool:
    return letter.isascii() or "LATIN" in unicodedata.name(letter, "")


def _telling_lines(texts: list[str]) -> list[str]:
    """The same line of each reading: the first on which the readings differ most."""
    lines = [text.splitlines() or [""] for text in texts]
    counts = {len(reading_lines) for reading_lines in lines}
    if len(counts) > 1:
        return [_around(reading_lines[0], 0) for reading_lines in lines]
    rows = list(zip(*lines, strict=True))
    best = max(rows, key=lambda row: len(set(row)))
    columns = enumerate(zip(*best, strict=False))
    first_difference = next((n for n, signs in columns if len(set(signs)) > 1), None)
    first_beyond = next((n for n, sign in enumerate(best[0]) if not sign.isascii()), 0)
    position = first_beyond if first_difference is None else first_difference
    return [_around(line, position) for line in best]


def _around(line: str, position: int) -> str:
    """The part of a line around a position, with unprintable characters replaced."""
    start = max(0, position - SNIPPET // 2)
    shown = line[start : start + SNIPPET]
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in shown)
    return ("…" if start else "") + shown + ("…" if start + SNIPPET < len(line) else "")


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte-order mark; None if the bytes are not text."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = max(1, len(head) // 2)
    if odd > 0.3 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.3 * half and odd < 0.05 * half:
        return "utf-16-be"
    found = detect(head, compat_names=False)["encoding"]
    return found if found in WIDE else None


def _codec(name: str) -> str | None:
    """The text codec with this name; None if there is none, or tables do not use it."""
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    is_usable = info._is_text_encoding and info.name not in NOT_OF_TABLES
    return info.name if is_usable else None


@cache
def text_codecs() -> tuple[str, ...]:
    """All text codecs that a table may have, by Python's names, sorted."""
    modules = pkgutil.iter_modules(encodings.__path__)
    return tuple(sorted(set(filter(None, (_codec(one.name) for one in modules)))))


def text_codec(name: str) -> str:
    """The text codec with this name, by Python's name; StcError if there is none."""
    if (codec := _codec(name.strip())) is not None:
        return codec
    import encodings.aliases

    known = sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values()})
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    plain = plain.replace("windows_", "cp")
    similar = get_close_matches(plain, known, n=3, cutoff=0.6)
    suggestion = " or ".join(alias.replace("_", "-") for alias in similar)
    raise StcError(
        f"encoding {name!r}",
        expected="the name of a text encoding, such as utf-8, cp1250 or latin-1",
        remedy=f"Did you mean {suggestion}?" if similar else None,
    )
