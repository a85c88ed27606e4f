"""Names of classes that may mean the same, mean nothing, or be several labels."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from stc_core.config import Repair
from stc_core.data.findings import Finding, finding
from stc_core.data.repairs import label_parts
from stc_core.frames import codes

NULL_WORDS = frozenset("nan na n/a #n/a null none nil - ?".split())
_SHOWN = 3
_Rule = tuple[str, Callable[[str], str]]
_DELIMITERS = (";", "|", ",", "/", "+", "&")
_MANY = 3
"""From so many names on whose parts repeat, they are lists, even if no part is a class.
"""

_SPACES = re.compile(r"\s+")
_MARKS = re.compile(r"(?<=\w)[\s_\-\u2010-\u2015]+(?=\w)")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
_QUOTES = str.maketrans("‘’‚‛“”„‟«»`´", "''''\"\"\"\"\"\"''")
_EDGES = "'\".,;:!?"
_INVISIBLE = {
    "\u200b": "a zero-width space",
    "\u200c": "a zero-width non-joiner",
    "\u200d": "a zero-width joiner",
    "\u2060": "a word joiner",
    "\ufeff": "a byte-order mark",
    "\u00ad": "a soft hyphen",
    "\u200e": "a mark of writing direction",
    "\u200f": "a mark of writing direction",
}


def check_names(frame: pd.DataFrame, name: str, column: str) -> list[Finding]:
    """Findings about class names of label column `column`, in the frame as `name`."""
    code, names = codes(frame, name)
    rows, counts = frame["row"].to_numpy(), np.bincount(code)
    order = sorted(range(len(names)), key=lambda c: -counts[c])
    checks = (
        ("label_several", *_several(names), _splits_of(names)),
        ("label_variants", *_variants(names, order), _merges(names, order)),
        ("label_null_word", *_null_words(names, order), _without_nulls(names)),
    )
    return [
        finding(
            kind,
            "warning",
            f"Label column {column!r} {message}",
            rows=rows[np.isin(code, [names.index(name) for name in classes])],
            mends=mends,
        )
        for kind, classes, message, mends in checks
        if classes
    ]


def _merges(names: Sequence[str], order: Sequence[int]) -> list[list[Repair]]:
    """Each rarer spelling read as the commonest one, all together."""
    groups = spelling_variants([names[c] for c in order])
    merges = [
        Repair(do="merge", what=rarer, into=group[0])
        for group in groups
        for rarer in group[1:]
    ]
    return [merges] if merges else []


def _without_nulls(names: Sequence[str]) -> list[list[Repair]]:
    nulls = [name for name in names if name.casefold() in NULL_WORDS]
    return [[Repair(do="leave-out-class", what=name) for name in nulls]]


def _splits_of(names: Sequence[str]) -> list[list[Repair]]:
    """Ways to read cells with several labels, if one sign parts them all and no others.

    They are levels only if each cell has as many labels as every other.
    """
    several = set(several_labels(names))
    for sign in _DELIMITERS:
        parts = {name: label_parts(name, sign) for name in names}
        if several and {one for one in names if len(parts[one]) > 1} == several:
            ways = ["first"]
            if len({len(own) for own in parts.values()}) == 1:
                ways.append("levels")
            return [[Repair(do=way, what=sign)] for way in ways]
    return []


def _variants(names: Sequence[str], order: Sequence[int]) -> tuple[list[str], str]:
    """The rarer spellings of names that differ only in spelling, and the message."""
    groups = spelling_variants([names[c] for c in order])
    rarer = [name for group in groups for name in group[1:]]
    pairs = [f"{g[0]!r} and {g[1]!r} {difference(*g[:2])}" for g in groups[:_SHOWN]]
    return rarer, (
        f"has classes that may be one: {'; '.join(pairs)}: {{rows}} with the rarer "
        "spelling. They stay separate; merge them if they mean the same."
    )


def _null_words(names: Sequence[str], order: Sequence[int]) -> tuple[list[str], str]:
    """The names that usually mean a missing value, and the message."""
    nulls = [names[c] for c in order if names[c].casefold() in NULL_WORDS]
    return nulls, (
        f"has the class {' and '.join(map(repr, nulls))} on {{rows}}. It is kept as a "
        "class; empty the cells if it means missing."
    )


def _several(names: Sequence[str]) -> tuple[list[str], str]:
    """The names that hold several labels, and the message."""
    several = several_labels(names)
    examples = ", ".join(map(repr, several[:_SHOWN]))
    more = ", ..." if len(several) > _SHOWN else ""
    return several, (
        f"seems to have several labels in a cell ({examples}{more}): {{rows}}. Each "
        "combination is learned as a class of its own. If that is not intended, leave "
        "one label in each cell."
    )


def spelling_variants(names: Sequence[str]) -> list[list[str]]:
    """Groups of names that differ only in spelling, each in the given order."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(spelling_key(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def spelling_key(name: str) -> str:
    """What is left of a name without its spelling; variants have the same."""
    return _alike(name, _RULES)


def difference(one: str, other: str) -> str:
    """The difference between two names that are spelled almost alike, in words."""
    needed_rules = next(
        rules
        for n in range(1, len(_RULES) + 1)
        for rules in combinations(_RULES, n)
        if _alike(one, rules) == _alike(other, rules)
    )
    phrases = [words for words, alike in needed_rules if alike is not _visible]
    if len(needed_rules) > len(phrases):
        invisible = {
            sign for sign in one + other if one.count(sign) != other.count(sign)
        }
        invisible_names = {_INVISIBLE[sign] for sign in invisible if sign in _INVISIBLE}
        character = (
            invisible_names.pop() if len(invisible_names) == 1 else "a character"
        )
        phrases.insert(0, f"by {character} that cannot be seen")
    return f"differ only {' and '.join(phrases)}"


def several_labels(names: Sequence[str]) -> list[str]:
    """The names that are lists, or that join other names with a delimiter."""
    lists_found = {name for name in names if _is_list(name)}
    for delimiter in _DELIMITERS:
        parts = {
            name: [part.strip() for part in name.split(delimiter)] for name in names
        }
        lists = {
            name: name_parts
            for name, name_parts in parts.items()
            if len(name_parts) > 1 and all(name_parts) and len(set(name_parts)) > 1
        }
        plain_names = set(names) - lists.keys()
        counts = Counter(
            part for name_parts in lists.values() for part in set(name_parts)
        )
        lists_found |= {
            name
            for name, name_parts in lists.items()
            if plain_names.issuperset(name_parts)
        }
        repeating = {
            name
            for name, name_parts in lists.items()
            if all(part in plain_names or counts[part] > 1 for part in name_parts)
        }
        lists_found |= repeating if len(repeating) >= _MANY else set()
    return [name for name in names if name in lists_found]


def _is_list(name: str) -> bool:
    """Whether the name is written as a list of several labels."""
    if not (name.startswith(("[", "{", "(")) and name.endswith(("]", "}", ")"))):
        return False
    try:
        value = json.loads(name.replace("'", '"').translate({40: "[", 41: "]"}))
    except ValueError:
        return name[1:-1].count(",") > 0
    # A list with one item is one label.
    return isinstance(value, dict) or (isinstance(value, list) and len(value) > 1)


def _alike(name: str, rules: Iterable[_Rule]) -> str:
    """The name without the differences that the rules remove."""
    for _, alike in rules:
        name = alike(name)
    return name


def _visible(name: str) -> str:
    return "".join(
        sign
        for sign in name
        if unicodedata.category(sign) != "Cf" and not "\ufe00" <= sign <= "\ufe0f"
    )


def _spaced(name: str) -> str:
    return _SPACES.sub(" ", name).strip()


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _compatible(name: str) -> str:
    return unicodedata.normalize("NFKC", name)


def _cased(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _as_number(name: str) -> str:
    if not _NUMBER.fullmatch(name):
        return name
    number = name.lstrip("+")
    sign = "-" if number.startswith("-") else ""
    whole, _, rest = number.lstrip("-").partition(".")
    whole, rest = whole.lstrip("0") or "0", rest.rstrip("0")
    return f"{sign}{whole}.{rest}" if rest else f"{sign}{whole}"


def _quoted(name: str) -> str:
    return name.translate(_QUOTES).strip(_EDGES + " ") or name


def _marked(name: str) -> str:
    return _MARKS.sub(" ", name)


_RULES: tuple[_Rule, ...] = (
    ("by a character that cannot be seen", _visible),
    ("by the kind or the number of spaces", _spaced),
    ("in how an accented letter is stored (as one sign or as two)", _composed),
    ("by wide or joined forms of letters", _compatible),
    ("in case", _cased),
    ("in how the number is written", _as_number),
    ("in quotes or marks at the ends", _quoted),
    ("by a hyphen, an underscore or a space", _marked),
)
"""What may distinguish two spellings, each with a function that removes the difference.
"""
