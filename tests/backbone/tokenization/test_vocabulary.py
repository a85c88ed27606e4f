"""A tokenizer suits its model, or the load says why not."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from tokenizers import Tokenizer, models

from helpers.models.broken import put, save_bert
from helpers.models.tiny import N_WORDS, TEXTS, VOCAB, tiny_model, tiny_tokenizer
from helpers.models.vocabularies import FAMILIES, published
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading.checkpoint import quiet
from stc_core.backbone.tokenization.vocabulary import (
    adapt_tokenizer,
    check_vocabulary_files,
    n_vectors,
)
from stc_core.errors import StcError


def enlarged(*, words: int = 0, special: int = 0) -> Any:
    """The tiny tokenizer with more tokens at its end."""
    found = copy.deepcopy(tiny_tokenizer("right"))
    found.add_tokens([f"rare{n}" for n in range(words)])
    extra = [f"<extra {n}>" for n in range(special)]
    found.add_special_tokens({"extra_special_tokens": extra})
    return found


ROOM = N_WORDS - len(VOCAB)
"""How many tokens the model has vectors for and the tokenizer no words."""


@pytest.mark.parametrize("words", [0, ROOM])
def test_a_tokenizer_that_has_a_vector_for_each_word_is_left_alone(words: int):
    tokenizer = enlarged(words=words)
    assert adapt_tokenizer(tiny_model("bert"), tokenizer, "x") == (tokenizer, ())


@pytest.mark.parametrize("words", [ROOM + 1, ROOM + 30])
def test_words_without_a_vector_are_refused(words: int):
    more = words - ROOM
    said = rf"at most 64 tokens.*got {more} more, e.g. 'rare{words - 1}'.*resize_token"
    with pytest.raises(StcError, match=said):
        Backbone.from_model(tiny_model("bert"), enlarged(words=words))


def test_special_tokens_without_a_vector_are_read_as_letters():
    tokenizer = enlarged(special=ROOM + 2)
    tokenizer.add_special_tokens({"pad_token": "<new pad>"})
    last = f"<extra {ROOM + 1}>"
    assert max(tokenizer(f"good {last}")["input_ids"]) >= N_WORDS
    backbone = Backbone.from_model(tiny_model("bert"), tokenizer)
    kept = backbone.tokenize([f"good <extra 0> {last} <new pad>"]).ids[0]
    assert len(VOCAB) in kept and kept.max() < N_WORDS  # the first one has a vector
    assert "no vector for 3 special tokens" in backbone.notes[0]
    expected = Backbone.from_model(tiny_model("bert"), tiny_tokenizer("right"))
    found = [backbone.tokenize(TEXTS), expected.tokenize(TEXTS)]
    assert [a.tolist() for a in found[0].ids] == [b.tolist() for b in found[1].ids]
    assert tokenizer.pad_token == "<new pad>"  # that of the caller is as it was


def test_a_special_token_that_every_text_has_is_refused():
    tokenizer = enlarged(special=ROOM + 1)
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    last = f"<extra {ROOM}>"
    number = tokenizer.convert_tokens_to_ids(last)
    backend["post_processor"]["single"][0]["SpecialToken"]["id"] = last
    named = {"id": last, "ids": [number], "tokens": [last]}
    backend["post_processor"]["special_tokens"][last] = named
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(backend))
    with pytest.raises(StcError, match="at most 64 tokens"):
        Backbone.from_model(tiny_model("bert"), tokenizer)


def test_a_decoder_with_fewer_words_than_its_encoder_counts():
    model = copy.deepcopy(tiny_model("t5"))
    assert n_vectors(model) == N_WORDS
    model.decoder.set_input_embeddings(hf.T5Model(model.config).shared)
    model.decoder.embed_tokens = type(model.shared)(20, 16)
    assert n_vectors(model) == 20


@pytest.mark.parametrize("words", [{}, {"<unk>": 0}, {"<unk>": 0, "<pad>": 1}])
def test_a_tokenizer_without_a_word_is_refused(words: dict[str, int]):
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>"
    )
    with pytest.raises(StcError, match="knows no word"):
        Backbone.from_model(tiny_model("bert"), tokenizer)


@pytest.mark.parametrize("words", ["слово мир", "你 好", "M K T A Y I", "зззз"])
def test_words_of_any_script_are_words(words: str):
    """What the probe does not have is tried as the vocabulary has it."""
    held = {"<unk>": 0, **{word: n + 1 for n, word in enumerate(words.split())}}
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(held, unk_token="<unk>")),
        unk_token="<unk>",
    )
    assert adapt_tokenizer(tiny_model("bert"), tokenizer, "x").notes == ()


NEED_PACKAGES = ("xlm", "flaubert", "biogpt")
FROM_FILES = [
    name
    for name, family in FAMILIES.items()
    if family.files() and name not in NEED_PACKAGES
]


@pytest.mark.parametrize("family", FROM_FILES)
def test_no_family_loads_without_its_words(family: str, tmp_path: Path):
    """Each fails to load, or is made without a word; none goes on silently."""
    for name in published(family, tmp_path):
        (tmp_path / name).unlink()
    try:
        with quiet():
            found = hf.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    except Exception:  # noqa: BLE001 - each family fails in its own way
        return
    with pytest.raises(StcError, match="knows no word"):
        check_vocabulary_files(tmp_path, found, "x")
    with pytest.raises(StcError, match="knows no word"):
        adapt_tokenizer(tiny_model("bert"), found, "x")


@pytest.mark.parametrize(
    ("held", "known"), [("good\nbad\n", True), ("bad\n", True), ("", False)]
)
def test_a_vocabulary_of_one_word_is_one(held: str, known: bool, tmp_path: Path):
    folder = save_bert(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    put("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n" + held)(folder)
    if known:
        found = Backbone.load(str(folder), device="cpu")
        assert 5 in found.tokenize([held.split()[0]]).ids[0]
        return
    with pytest.raises(StcError, match="knows no word"):
        Backbone.load(str(folder), device="cpu")
