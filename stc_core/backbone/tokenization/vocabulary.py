"""Checks that a tokenizer knows words, and that its model has a vector for each."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from tokenizers import Tokenizer
from torch import nn

from stc_core.backbone.loading import loader_files as files
from stc_core.backbone.loading.loading_errors import (
    explain_tokenizing_errors,
    no_vocabulary,
)
from stc_core.errors import StcError

_PROBE = (
    "The quick brown fox jumps over the lazy dog, and 12345 more. "
    "ACDEFGHIKLMNPQRSTVWY acgt Zażółć gęślą jaźń Съешь ещё этих булок 我能吞下玻璃 "
    "私はガラスを 나는 유리를 أنا قادر אני יכול मैं काँच ฉันกินกระจก"
)
"""Ordinary text in many scripts: every tokenizer knows some of it."""
SPACES = " ▁Ġ"
"""Characters with which tokenizers write a space."""
TRIED = 64
"""So many entries of a vocabulary are tried as texts."""


class AdaptedTokenizer(NamedTuple):
    """A tokenizer that suits its model, and the notes about it."""

    tokenizer: Any
    notes: tuple[str, ...]


def check_vocabulary_files(folder: Path, tokenizer: Any, where: str) -> None:
    """StcError if the folder has no file with the words of the tokenizer.

    Many tokenizers can be made without such a file, and then know no word.
    """
    named = set(getattr(type(tokenizer), "vocab_files_names", {}))
    present = files.vocabulary_files(folder) or files.matching_files(
        folder, [files.ONE_VERSION]
    )
    if named - {"tokenizer_file"} and not present:
        raise no_vocabulary(where, folder)


def adapt_tokenizer(model: nn.Module, tokenizer: Any, where: str) -> AdaptedTokenizer:
    """The tokenizer, without special tokens for which the model has no vector.

    In a text such tokens are read as any other letters. StcError if the tokenizer knows
    no word, or knows words for which the model has no vector.
    """
    words = tokenizer.get_vocab()
    with explain_tokenizing_errors(where):
        knows = _knows(tokenizer, words)
    if not knows:
        raise no_vocabulary(where, None)
    rows = n_vectors(model)
    above = {} if rows is None else {w: i for w, i in words.items() if i >= rows}
    if rows is None or not above:
        return AdaptedTokenizer(tokenizer, ())
    fewer = _without(tokenizer, above, rows)
    if fewer is None:
        word = max(above, key=above.__getitem__)
        raise StcError(
            where,
            expected=f"a tokenizer of at most {rows:,} tokens: the model has no more "
            "vectors",
            got=f"{len(above):,} more, e.g. {word!r} ({above[word]:,})",
            remedy="Put the tokenizer of this model into its folder. If you added "
            "words, save the model again after "
            "model.resize_token_embeddings(len(tokenizer)).",
        )
    some = ", ".join(sorted(above)[:3])
    note = (
        f"The model has no vector for {len(above):,} special tokens of its tokenizer "
        f"({some}): in a text they are read as plain letters."
    )
    return AdaptedTokenizer(fewer, (note,))


def n_vectors(model: nn.Module) -> int | None:
    """The number of token vectors of the model; None if tokens are not looked up."""
    stacks: list[Any] = [model]
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        stacks.append(
            cast(Any, model).get_decoder()
        )  # the decoder reads the same tokens
    rows = [_rows(stack) for stack in stacks]
    return min((n for n in rows if n is not None), default=None)


def _rows(stack: Any) -> int | None:
    try:
        layer = stack.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        return None
    return layer.num_embeddings if isinstance(layer, nn.Embedding) else None


def _knows(tokenizer: Any, words: dict[str, int]) -> bool:
    """Whether an ordinary text, or a word of its own, is read as known words."""
    unknown = {*tokenizer.all_special_ids, tokenizer.unk_token_id}
    unknown |= {i for word, i in words.items() if not word.strip(SPACES)}
    own = [word for word, i in words.items() if i not in unknown]
    return bool(own) and any(set(ids) - unknown for ids in _readings(tokenizer, own))


def _readings(tokenizer: Any, own: list[str]) -> Iterator[list[int]]:
    """Yield the ids of the probe text, then of some of the tokenizer's own words."""
    yield tokenizer(_PROBE, add_special_tokens=False, verbose=False)["input_ids"]
    for word in own[:: max(1, len(own) // TRIED)]:
        text = tokenizer.convert_tokens_to_string([word])
        yield tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def _without(tokenizer: Any, above: dict[str, int], rows: int) -> Any | None:
    """A copy of the tokenizer without these added tokens.

    None if one of them is a word, or if a text could still contain one.
    """
    added, named = tokenizer.added_tokens_decoder, tokenizer.all_special_tokens
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not all(
        i in added and (added[i].special or word in named) for word, i in above.items()
    ):
        return None
    rules = json.loads(backend.to_str())
    kept_rules = [
        rule for rule in rules["added_tokens"] if rule["content"] not in above
    ]
    smaller = Tokenizer.from_str(json.dumps({**rules, "added_tokens": kept_rules}))
    encodings = smaller.encode_batch([_PROBE, *above])
    if any(i >= rows for rule in encodings for i in rule.ids):
        return None
    changed = copy.deepcopy(tokenizer)
    changed._tokenizer = smaller
    for name in tokenizer.SPECIAL_TOKENS_ATTRIBUTES:
        if str(getattr(tokenizer, name, None)) in above:
            setattr(changed, name, None)
    return changed
