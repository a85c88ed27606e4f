"""Names of classes that may be meant as one, as none, or as several labels."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from stc_core.data.findings import Finding, finding
from stc_core.frames import codes

NULL_WORDS = frozenset("nan na n/a #n/a null none nil - ?".split())
_SHOWN = 3
_Rule = tuple[str, Callable[[str], str]]
_DELIMITERS = (";", "|", ",", "/", "+", "&")
_MANY = 3
"""So many names made of parts that come again are lists, if no part is a class."""

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
    """Odd class names of the label column `column`, which the frame has as `name`."""
    code, names = codes(frame, name)
    rows, counts = frame["row"].to_numpy(), np.bincount(code)
    order = sorted(range(len(names)), key=lambda c: -counts[c])
    found = []
    groups = spelling_variants([names[c] for c in order])
    if groups:
        rarer = [names.index(one) for group in groups for one in group[1:]]
        pairs = [
            f"{g[0]!r} and {one!r} {difference(g[0], one)}"
            for g in groups[:_SHOWN]
            for one in g[1:2]
        ]
        found.append(
            finding(
                "label_variants",
                "warning",
                f"Label column {column!r} has classes that may be one: "
                f"{'; '.join(pairs)}: {{rows}} with the rarer spelling. They stay "
                "apart; make them one if they mean the same.",
                rows=rows[np.isin(code, rarer)],
            )
        )
    null = [c for c in order if names[c].casefold() in NULL_WORDS]
    if null:
        found.append(
            finding(
                "label_null_word",
                "warning",
                f"Label column {column!r} has the class "
                f"{' and '.join(repr(names[c]) for c in null)} on "
                "{rows}. It is kept as a class; empty the cells if it means missing.",
                rows=rows[np.isin(code, null)],
            )
        )
    several = several_labels(names)
    if several:
        some = ", ".join(map(repr, several[:_SHOWN]))
        found.append(
            finding(
                "label_several",
                "warning",
                f"Label column {column!r} seems to have several labels in a cell "
                f"({some}{', ...' if len(several) > _SHOWN else ''}): {{rows}}. Each "
                "combination is learned as one class of its own. If that is not meant, "
                "leave one label in each cell.",
                rows=rows[np.isin(code, [names.index(one) for one in several])],
            )
        )
    return found


def spelling_variants(names: Sequence[str]) -> list[list[str]]:
    """Groups of names that differ in spelling only, each in the given order."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_alike(name, _RULES), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def difference(one: str, other: str) -> str:
    """In words, what sets two names apart that are spelled almost alike."""
    needed = next(
        rules
        for n in range(1, len(_RULES) + 1)
        for rules in combinations(_RULES, n)
        if _alike(one, rules) == _alike(other, rules)
    )
    said = [words for words, alike in needed if alike is not _visible]
    if len(needed) > len(said):
        unseen = {sign for sign in one + other if one.count(sign) != other.count(sign)}
        known = {_INVISIBLE[sign] for sign in unseen if sign in _INVISIBLE}
        what = known.pop() if len(known) == 1 else "a character"
        said.insert(0, f"by {what} that cannot be seen")
    return f"differ only {' and '.join(said)}"


def several_labels(names: Sequence[str]) -> list[str]:
    """Those names that are lists, or are made of other names by a delimiter."""
    found = {name for name in names if _is_list(name)}
    for delimiter in _DELIMITERS:
        parts = {
            name: [part.strip() for part in name.split(delimiter)] for name in names
        }
        lists = {
            name: some
            for name, some in parts.items()
            if len(some) > 1 and all(some) and len(set(some)) > 1
        }
        alone = set(names) - lists.keys()
        times = Counter(part for some in lists.values() for part in set(some))
        found |= {name for name, some in lists.items() if alone.issuperset(some)}
        again = {
            name
            for name, some in lists.items()
            if all(part in alone or times[part] > 1 for part in some)
        }
        found |= again if len(again) >= _MANY else set()
    return [name for name in names if name in found]


def _is_list(name: str) -> bool:
    if not (name.startswith(("[", "{", "(")) and name.endswith(("]", "}", ")"))):
        return False
    try:
        value = json.loads(name.replace("'", '"').translate({40: "[", 41: "]"}))
    except ValueError:
        return name[1:-1].count(",") > 0
    # A list of one is one label.
    return isinstance(value, dict) or (isinstance(value, list) and len(value) > 1)


def _alike(name: str, rules: Iterable[_Rule]) -> str:
    """The name without what the rules make alike."""
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
"""What may set two spellings apart, each with what makes them alike."""
