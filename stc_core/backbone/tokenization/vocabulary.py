"""Whether a tokenizer knows words, and whether its model has a vector for each."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from tokenizers import Tokenizer
from torch import nn

from stc_core.backbone.loading import loader_files as files
from stc_core.backbone.loading.loading_errors import no_vocabulary, tokenizing
from stc_core.errors import StcError

_PROBE = (
    "The quick brown fox jumps over the lazy dog, and 12345 more. "
    "ACDEFGHIKLMNPQRSTVWY acgt Zażółć gęślą jaźń Съешь ещё этих булок 我能吞下玻璃 "
    "私はガラスを 나는 유리를 أنا قادر אני יכול मैं काँच ฉันกินกระจก"
)
"""Ordinary text in many scripts: of each tokenizer's own some is known."""
SPACES = " ▁Ġ"
"""Letters by which tokenizers write a space."""
TRIED = 64
"""Entries of a vocabulary that are tried as texts."""


class Suited(NamedTuple):
    """A tokenizer that suits its model, and what is to be said about it."""

    tokenizer: Any
    notes: tuple[str, ...]


def check_vocabulary_files(folder: Path, tokenizer: Any, where: str) -> None:
    """Raise StcError if the folder has no file with the words of the tokenizer.

    Many tokenizers are made without it, and know no word.
    """
    named = set(getattr(type(tokenizer), "vocab_files_names", {}))
    held = files.vocabulary(folder) or files.matching_files(folder, [files.ONE_VERSION])
    if named - {"tokenizer_file"} and not held:
        raise no_vocabulary(where, folder)


def suited(model: nn.Module, tokenizer: Any, where: str) -> Suited:
    """The tokenizer, without special tokens for which the model has no vector.

    Such tokens are read in a text as any other letters. Raises StcError if the
    tokenizer knows no word, or words for which the model has no vector.
    """
    words = tokenizer.get_vocab()
    with tokenizing(where):
        knows = _knows(tokenizer, words)
    if not knows:
        raise no_vocabulary(where, None)
    rows = n_vectors(model)
    above = {} if rows is None else {w: i for w, i in words.items() if i >= rows}
    if rows is None or not above:
        return Suited(tokenizer, ())
    fewer = _without(tokenizer, above, rows)
    if fewer is None:
        word = max(above, key=above.__getitem__)
        raise StcError(
            where,
            expected=f"a tokenizer of at most {rows:,} tokens: the model has vectors "
            "for so many",
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
    return Suited(fewer, (note,))


def n_vectors(model: nn.Module) -> int | None:
    """How many tokens have a vector of their own; None if tokens are not looked up."""
    stacks: list[Any] = [model]
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        stacks.append(cast(Any, model).get_decoder())  # it reads the same tokens
    rows = [_rows(stack) for stack in stacks]
    return min((n for n in rows if n is not None), default=None)


def _rows(stack: Any) -> int | None:
    try:
        layer = stack.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        return None
    return layer.num_embeddings if isinstance(layer, nn.Embedding) else None


def _knows(tokenizer: Any, words: dict[str, int]) -> bool:
    """True if an ordinary text, or one of its own words, is read as known words."""
    unknown = {*tokenizer.all_special_ids, tokenizer.unk_token_id}
    unknown |= {i for word, i in words.items() if not word.strip(SPACES)}
    own = [word for word, i in words.items() if i not in unknown]
    return bool(own) and any(set(ids) - unknown for ids in _readings(tokenizer, own))


def _readings(tokenizer: Any, own: list[str]) -> Iterator[list[int]]:
    """The ids of the probe, then of some of the tokenizer's own words."""
    yield tokenizer(_PROBE, add_special_tokens=False, verbose=False)["input_ids"]
    for word in own[:: max(1, len(own) // TRIED)]:
        text = tokenizer.convert_tokens_to_string([word])
        yield tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def _without(tokenizer: Any, above: dict[str, int], rows: int) -> Any | None:
    """A copy of the tokenizer without these added tokens, none of which is a word.

    None if some is a word, or if a text may have one of them nevertheless.
    """
    added, named = tokenizer.added_tokens_decoder, tokenizer.all_special_tokens
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not all(
        i in added and (added[i].special or word in named) for word, i in above.items()
    ):
        return None
    rules = json.loads(backend.to_str())
    kept = [one for one in rules["added_tokens"] if one["content"] not in above]
    fewer = Tokenizer.from_str(json.dumps({**rules, "added_tokens": kept}))
    found = fewer.encode_batch([_PROBE, *above])
    if any(i >= rows for one in found for i in one.ids):
        return None
    changed = copy.deepcopy(tokenizer)
    changed._tokenizer = fewer
    for name in tokenizer.SPECIAL_TOKENS_ATTRIBUTES:
        if str(getattr(tokenizer, name, None)) in above:
            setattr(changed, name, None)
    return changed
