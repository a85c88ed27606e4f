"""The parts of an explanation of one text: by neuron, by layer, by word, and the sum.

An explanation is the result of `BaseClassifier.explain`.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from stc_core.display import formatted


class Token(NamedTuple):
    """Characters `start:end` of a text and a value; special tokens: start == end.

    `unknown`: the tokenizer does not know these characters.
    """

    start: int
    end: int
    text: str
    value: float
    unknown: bool = False

    @property
    def special(self) -> bool:
        return self.start == self.end


class Segment(NamedTuple):
    """A part of a text, and its token; None between tokens."""

    text: str
    token: Token | None

    @property
    def unread(self) -> bool:
        """True for characters that no token stands for, except white space."""
        return self.token is None and bool(self.text.strip())


class Sum(NamedTuple):
    """The bias and all contributions to a class, and the logit they must give."""

    bias: float
    contributions: float
    logit: float

    @property
    def total(self) -> float:
        return self.bias + self.contributions

    @property
    def exact(self) -> bool:
        """True if the sum is the logit to float precision."""
        return abs(self.total - self.logit) <= 1e-3 * max(1.0, abs(self.logit))


def check_sum(explanation: Mapping[str, Any], label: str) -> Sum:
    """The sum of the contributions to `label`, and the logit that it must give."""
    rows = [*explanation["neurons"], *explanation.get("words", ())]
    parts = [row["contribution"][label] for row in rows]
    return Sum(explanation["bias"][label], sum(parts), explanation["logits"][label])


def sum_line(total: Sum) -> str:
    """The sum as 'Bias −0.120 and contributions +3.334: sums to logit 3.214.'"""
    bias, rest = (formatted(part, "+.3f") for part in (total.bias, total.contributions))
    parts = f"Bias {bias} and contributions {rest}: "
    logit = formatted(total.logit, ".3f")
    if total.exact:
        return f"{parts}sums to logit {logit}."
    return f"{parts}{formatted(total.total, '.3f')}, but the logit is {logit}."


def special_line(tokens: Sequence[Token]) -> str:
    """A sentence on the share of the special tokens in all contributions."""
    total = sum(abs(token.value) for token in tokens)
    special = [token for token in tokens if token.special]
    if not total or not special:
        return ""
    names = ", ".join(dict.fromkeys(token.text for token in special))
    share = 100 * sum(abs(token.value) for token in special) / total
    return (
        f"Special tokens ({names}) carry {share:.0f} % of all contributions: they see "
        "every word."
    )


def range_line(explanation: Mapping[str, Any]) -> str:
    """A sentence on the neurons outside the head's range; empty if there is none."""
    rows = explanation["neurons"]
    if not (n := sum(row.get("outside_range", False) for row in rows)):
        return ""
    have = "1 neuron has a value" if n == 1 else f"{n:,} neurons have values"
    return (
        f"{have} that no training text has. Such a value counts as the nearest one "
        "that was seen in training."
    )


def number_neurons(
    explanation: Mapping[str, Any], neurons: pd.DataFrame
) -> dict[str, Any]:
    """The explanation with the `number` of each neuron in the table `neurons`.

    None: the table has no such neuron, as it is that of another head.
    """
    places = zip(neurons["site"], neurons["index"], neurons["pooling"], strict=True)
    known = {place: number for number, place in enumerate(places)}
    rows = [
        {**row, "number": known.get((row["site"], row["index"], row["pooling"]))}
        for row in explanation["neurons"]
    ]
    return {**explanation, "neurons": rows}


def neuron_parts(explanation: Mapping[str, Any], label: str) -> pd.DataFrame:
    """A table with name, layer, neuron, activation and value of each contribution.

    `neuron` is its number in the run; None if the run does not keep it, and for the
    words that are read beside the neurons, which have no layer. The table is sorted by
    falling absolute value. The values and the bias sum to the logit.
    """
    rows = [
        {
            "name": part_name(row),
            "layer": row["layer"],
            "neuron": run_number(row, place),
            "activation": row["activation"],
            "value": row["contribution"][label],
        }
        for place, row in enumerate(explanation["neurons"])
    ]
    rows += [
        {
            "name": f"“{row['word']}”",
            "layer": None,
            "neuron": None,
            "activation": row["value"],
            "value": row["contribution"][label],
        }
        for row in explanation.get("words", ())
    ]
    columns = ["name", "layer", "neuron", "activation", "value"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(
        "value", key=lambda value: -value.abs(), kind="stable"
    ).reset_index(drop=True)


def run_number(row: Mapping[str, Any], place: int) -> int | None:
    """The number in the run of the part at `place` of an explanation.

    None for a part of a whole layer, and for a neuron that the run does not keep.
    """
    return None if row["index"] is None else row.get("number", place)


def part_name(row: Mapping[str, Any]) -> str:
    """The name of a part, as 'mlp.3 #17 · max'.

    There is no number for a part of a whole layer, which attention reads.
    """
    number = "" if row["index"] is None else f" #{row['index']}"
    return f"{row['site']}{number} · {row['pooling']}"


def layer_parts(explanation: Mapping[str, Any], label: str) -> pd.DataFrame:
    """A table with name, layer and value of each layer, the first layer first.

    Words that are read beside the neurons come last, in one row.
    """
    parts = neuron_parts({**explanation, "words": ()}, label)
    sums = parts.groupby("layer")["value"].agg(["sum", "size"]).reset_index()
    whole = any(row["index"] is None for row in explanation["neurons"])
    names = [
        f"layer {layer}"
        if whole
        else f"layer {layer} ({n} {'neuron' if n == 1 else 'neurons'})"
        for layer, n in zip(sums["layer"], sums["size"], strict=True)
    ]
    rows = zip(names, sums["layer"].tolist(), sums["sum"].tolist(), strict=True)
    rows = list(rows)
    if "words" in explanation:
        of_words = [row["contribution"][label] for row in explanation["words"]]
        rows.append((f"words ({len(of_words)})", None, sum(of_words)))
    return pd.DataFrame(rows, columns=["name", "layer", "value"])


def strongest(parts: pd.DataFrame, most: int) -> pd.DataFrame:
    """The first `most` rows, and one row with the sum of all other rows."""
    if len(parts) <= most:
        return parts
    rest = parts.iloc[most:]
    what = "parts" if rest["layer"].isna().any() else "neurons"
    row = {"name": f"{len(rest):,} other {what}", "value": rest["value"].sum()}
    return pd.concat([parts.iloc[:most], pd.DataFrame([row])], ignore_index=True)


def unknown_line(tokens: Sequence[Token]) -> str:
    """A sentence on the tokens that are unknown to the model; empty if none is."""
    if not any(token.unknown for token in tokens):
        return ""
    return (
        "Words that are underlined with dots are unknown to the model: it reads the "
        "same token for all of them."
    )


def token_parts(explanation: Mapping[str, Any], label: str) -> list[Token]:
    """Each token with its contribution to `label`."""
    return [
        Token(
            row["start"],
            row["end"],
            row["text"],
            row["contribution"][label],
            row.get("unknown", False),
        )
        for row in explanation["tokens"]
    ]


def token_of(text: str, span: tuple[int, int, str, bool], value: float = 0.0) -> Token:
    """The token of a `Span` of `text`, with a value; a special token has its name."""
    start, end, name, unknown = span
    return Token(start, end, text[start:end] or name, value, unknown)


def units(
    text: str,
    tokens: Sequence[Token],
    total: Callable[[Iterable[float]], float] = sum,
) -> list[Token]:
    """The tokens; those that share characters are one, with the total of their values.

    Such tokens are the bytes of a letter, or the parts of a Korean syllable.
    """
    groups: list[list[Token]] = []
    for token in tokens:
        if groups and not token.special and token.start < groups[-1][-1].end:
            groups[-1].append(token)
        else:
            groups.append([token])
    return [_joined(text, group, total) for group in groups]


def words(text: str, tokens: Sequence[Token]) -> list[Token]:
    """The words of a text: the tokens of a word are merged and their values added.

    Special tokens stay separate. White space and unread letters separate words. White
    space that has a token belongs to the word that follows. The sum of all values does
    not change.
    """
    groups: list[list[Token]] = []
    for unit in units(text, tokens):
        last = groups[-1][-1] if groups else None
        if last is None or unit.special or last.special or _apart(text, last, unit):
            groups.append([unit])
        else:
            groups[-1].append(unit)
    return [_joined(text, group, sum) for group in groups]


def segments(text: str, tokens: Sequence[Token]) -> list[Segment]:
    """The text in parts: each character is in one part, in the order of the text.

    `tokens` are units or words, which share no characters.
    """
    parts: list[Segment] = []
    end = 0
    for token in tokens:
        if token.special:
            continue
        assert token.start >= end, (token, end)
        if token.start > end:
            parts.append(Segment(text[end : token.start], None))
        parts.append(Segment(text[token.start : token.end], token))
        end = token.end
    return [*parts, Segment(text[end:], None)] if end < len(text) else parts


def _joined(
    text: str, group: Sequence[Token], total: Callable[[Iterable[float]], float]
) -> Token:
    if len(group) == 1:
        return group[0]
    start, end = group[0].start, group[-1].end
    value = total(token.value for token in group)
    unknown = any(token.unknown for token in group)
    return Token(start, end, text[start:end], value, unknown)


def _apart(text: str, last: Token, token: Token) -> bool:
    """True if `token` begins a word."""
    between = text[last.end : token.start]
    if any(c.isspace() or unicodedata.category(c) not in ("Cc", "Cf") for c in between):
        return True
    starts_with_space = text[token.start : token.end][:1].isspace()
    return starts_with_space and bool(text[last.start : last.end].strip())
