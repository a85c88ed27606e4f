"""Places of tokens whose tokenizer does not say them: bytes, letters, pieces."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
import transformers as hf
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from helpers.models.tiny import N_BLOCKS, one_thread, shake  # noqa: F401
from helpers.models.tokenizer_kinds import tokenizer_of
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.tokenization.alignment import _path, _Piece
from stc_core.backbone.tokenization.tokens import spans, tokenize
from stc_core.classifiers.base import BaseClassifier
from stc_core.heads.head import SparseHead
from stc_core.types import Feature, Site

HARD = (
    "naïve café",
    "日本語 text",
    "emoji 😀 x",
    "👩‍👩‍👧 fam",
    "e\u0301t\u0301e",
    "ﬁne ½ ß İ",
    "  lead  trail ",
    "tab\tnew\nline",
    "[MASK] and [CLS]",
    "good </s>",
    "</s>",
    "a </s> b",
    "Ã© Ã",
    "",
)
VOCAB = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] a b c d e ##b ##c ##d ##e ab ##cd cafe naive "
    "日 本 , . ! ( # 1 ½ fi"
).split()
PARTS = (
    "ab café e\u0301 naïve 日本 x xax a b abcd AB [MASK] [SEP] , !! 😀 z ﬁ ½ ## 1 cde"
).split()


KINDS = ["slow ByT5", "slow Perceiver", "slow letters"]


def pieces(tokenizer: Any, text: str, max_length: int = 99) -> list[str]:
    found = spans(tokenizer, text, max_length=max_length)
    return [text[span.start : span.end] for span in found]


@pytest.mark.parametrize("text", HARD)
def test_a_byte_stands_for_its_whole_character(text):
    expected = [c for c in regex.findall(r"\X", text) for _ in c.encode()]
    if "[" not in text:
        assert pieces(tokenizer_of("slow Perceiver"), text) == ["", *expected, ""]
    if "</s>" not in text:
        assert pieces(tokenizer_of("slow ByT5"), text) == [*expected, ""]
    expected = [c for c in regex.findall(r"\X", text) for _ in c]
    assert pieces(tokenizer_of("slow letters"), text) == (expected or [""])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("go </s>", ["g", "o", "</s>"]),
        ("go</s>", ["g", "o", "</s>"]),
        ("</s>", ["</s>"]),
        ("a </s> é", ["a", "</s>", "é", "é", ""]),
        ("<pad>é", ["<pad>", "é", "é", ""]),
    ],
)
def test_a_special_token_that_is_written_in_the_text(text, expected):
    assert pieces(tokenizer_of("slow ByT5"), text) == expected


@pytest.mark.parametrize("text", HARD)
@pytest.mark.parametrize("max_length", [4, 7, 99])
@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_span_for_each_id(kind, text, max_length):
    tokenizer = tokenizer_of(kind)
    ids, _ = tokenize(tokenizer, [text], max_length=max_length)
    found = spans(tokenizer, text, max_length=max_length)
    assert len(found) == len(ids[0])
    ends = [0, *(span.end for span in found)]
    assert all(0 <= span.start <= span.end <= len(text) for span in found)
    assert ends == sorted(ends)


def test_a_slow_tokenizer_says_what_its_fast_twin_says(tmp_path: Path):
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(VOCAB), encoding="utf-8")
    slow = BertTokenizerLegacy(str(file))
    fast = hf.BertTokenizer(vocab={word: n for n, word in enumerate(VOCAB)})
    rng = random.Random(0)
    n_shared = n = 0
    for _ in range(150):
        words = (
            rng.choice(PARTS) + rng.choice(("", " ")) for _ in range(rng.randint(0, 9))
        )
        text, max_length = "".join(words), rng.choice((7, 64))
        found = spans(slow, text, max_length=max_length)
        expected = spans(fast, text, max_length=max_length)
        for one, other in zip(found, expected, strict=True):
            n += 1
            if one == other:
                continue
            assert one.unknown and other.unknown, text
            assert one.start <= other.start < other.end <= one.end, text
            n_shared += 1
    assert n > 500
    assert n_shared < 0.02 * n  # unknown words that stand side by side


def bytewise() -> Backbone:
    """A tiny BERT that reads bytes."""
    config = hf.BertConfig(
        vocab_size=400,
        hidden_size=16,
        num_hidden_layers=N_BLOCKS,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=48,
    )
    model = hf.AutoModel.from_config(config).eval()
    shake(model)
    return Backbone.from_model(model, tokenizer_of("slow ByT5"), max_length=20)


def test_a_text_that_brings_its_end_along_is_explained():
    feature, one = Feature(Site(1, "resid"), "mean", 3), np.ones(1, np.float32)
    weight = np.array([[-1.0], [1.0]], np.float32)
    classifier = BaseClassifier()
    classifier.head_ = SparseHead(
        (feature,), one, one, weight, weight[:, 0], ("no", "yes")
    )
    classifier.classes_ = np.array(["no", "yes"])
    classifier.backbone_ = bytewise()
    for text in ("très bien </s>", "</s>", "é" * 30):
        found = classifier.explain(text)
        sums = sum(token["contribution"]["yes"] for token in found["tokens"])
        bias = found["bias"]["yes"]
        assert sums + bias == pytest.approx(found["logits"]["yes"], rel=1e-4)
        shown = {text[t["start"] : t["end"]] for t in found["tokens"]}
        assert shown - {""} <= {*text, "</s>"}


def test_a_long_run_of_unknown_words_takes_no_time_or_memory():
    """In a text without spaces they could stand in too many ways."""
    data = "語".encode() * 150
    pieces = [_Piece((), free=True, added=False)] * 150
    path = _path(data, pieces)
    assert path == [None] * 150
