"""Tokenizers of every kind, small, and made in memory."""

import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import transformers as hf
from tokenizers import (
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from helpers.models.tiny import tiny_tokenizer
from helpers.models.vocabularies import published
from stc_core.backbone.loading import hub

CORPUS = [
    "the good film was a good one, and the plot of it did not bore 12 of us",
    "한국어 문장을 좋은 영화 정말",
    "हिन्दी में अच्छी फ़िल्म",
    "ภาพยนตร์ที่ดีมาก",
    "هذا فِيلْم جميل שָׁלוֹם",
    "Tiếng Việt là một ngôn ngữ đẹp straße naïve ılık",
    "日本語の映画が好き 我喜欢电影",
] * 4
"""A few words of many scripts."""
SPECIAL = ["<s>", "</s>", "<unk>", "<pad>"]
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class LettersTokenizer(hf.PreTrainedTokenizer):
    """A token for each letter, as CANINE has them, whose own takes seconds to make."""

    @property
    def vocab_size(self) -> int:
        return 1 << 20

    def get_vocab(self) -> dict[str, int]:
        return {}

    def _tokenize(self, text: str, **more: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return ord(token)

    def _convert_id_to_token(self, index: int) -> str:
        return chr(index)


def _fast(backend: Tokenizer, **more: Any) -> Any:
    """The tokenizer with a start and an end token around each text."""
    ends = [(token, backend.token_to_id(token)) for token in ("<s>", "</s>")]
    if backend.post_processor is None:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=ends
        )
    named = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend, **{**named, "pad_token": "<pad>", **more}
    )


def _wordpiece(*, lower: bool, size: int = 160) -> Any:
    backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
    backend.normalizer = normalizers.BertNormalizer(
        lowercase=lower, strip_accents=lower
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=SPECIAL, show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    return _fast(backend)


def _byte_level(*, prefix: bool, trim: bool, qwen: bool = False) -> Any:
    backend = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=not qwen)
    backend.pre_tokenizer = level
    if qwen:
        backend.normalizer = normalizers.NFC()
        split = pre_tokenizers.Split(Regex(QWEN), "isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    backend.post_processor = (
        processors.ByteLevel(trim_offsets=trim)
        if qwen or not prefix
        else processors.RobertaProcessing(
            ("</s>", 1), ("<s>", 0), trim_offsets=trim, add_prefix_space=prefix
        )
    )
    return _fast(backend, unk_token=None)


def _sentencepiece_bpe(*, prepend: bool, fallback: bool, unknown: bool = True) -> Any:
    """As Llama (`prepend`) and Gemma have it; without `unknown` letters are dropped."""
    backend = Tokenizer(
        models.BPE(
            unk_token="<unk>" if unknown else None,
            fuse_unk=unknown,
            byte_fallback=fallback,
        )
    )
    replace = normalizers.Replace(" ", "▁")
    backend.normalizer = (
        normalizers.Sequence([normalizers.Prepend("▁"), replace])
        if prepend
        else replace
    )
    some_bytes = [f"<0x{byte:02X}>" for byte in range(256)] if fallback else []
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=[*SPECIAL, *some_bytes],
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS[:2], trainer)  # other letters are unknown
    return _fast(backend, **({} if unknown else {"unk_token": None}))


def _clip() -> Any:
    backend = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    backend.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Lowercase(),
        ]
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=200,
        special_tokens=SPECIAL,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    return _fast(backend)


def _unigram(kind: str) -> Any:
    """As T5 and XLM-R have it, or ALBERT, or with bytes for unknown letters."""
    some_bytes = [f"<0x{byte:02X}>" for byte in range(256)] if kind == "bytes" else []
    trained = Tokenizer(models.Unigram())
    charsmap = _family("t5").backend_tokenizer.normalizer
    steps: list[Any] = [charsmap]
    if kind == "albert":
        steps = [
            normalizers.Replace("``", '"'),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            charsmap,
        ]
    trained.normalizer = normalizers.Sequence(steps)
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=160 + len(some_bytes),
        special_tokens=[*SPECIAL, *some_bytes],
        unk_token="<unk>",
        show_progress=False,
    )
    trained.train_from_iterator(CORPUS, trainer)
    return _fast(trained)


def _bert_slow() -> Any:
    words = list(_wordpiece(lower=True).get_vocab())
    words += ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vocab.txt"
        file.write_text("\n".join(words), encoding="utf-8")
        return BertTokenizerLegacy(str(file))


def _family(name: str) -> Any:
    """The tokenizer of a family that is read from its published files."""
    with tempfile.TemporaryDirectory() as folder:
        published(name, Path(folder))
        return hf.AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _minilm() -> Any:
    folder = hub.resolve("all-MiniLM-L6-v2")
    return hf.AutoTokenizer.from_pretrained(folder, local_files_only=True)


MAKERS: dict[str, Callable[[], Any]] = {
    "all-MiniLM": _minilm,
    "wordpiece": lambda: _wordpiece(lower=False),
    "wordpiece, no accents": lambda: _wordpiece(lower=True),
    "bytes, as GPT-2": lambda: _byte_level(prefix=False, trim=True),
    "bytes, not trimmed": lambda: _byte_level(prefix=False, trim=False),
    "bytes, as RoBERTa": lambda: _byte_level(prefix=True, trim=True),
    "bytes, space in front": lambda: _byte_level(prefix=True, trim=False),
    "bytes, as Qwen": lambda: _byte_level(prefix=False, trim=False, qwen=True),
    "bpe, as Llama": lambda: _sentencepiece_bpe(prepend=True, fallback=True),
    "bpe, as Gemma": lambda: _sentencepiece_bpe(prepend=False, fallback=True),
    "bpe, no bytes": lambda: _sentencepiece_bpe(prepend=True, fallback=False),
    "bpe, drops letters": lambda: _sentencepiece_bpe(
        prepend=False, fallback=False, unknown=False
    ),
    "bpe, as CLIP": _clip,
    "unigram, as T5": lambda: _unigram("t5"),
    "unigram, as ALBERT": lambda: _unigram("albert"),
    "unigram, bytes": lambda: _unigram("bytes"),
    "bytes, as Mistral": lambda: _family("mistral"),
    "words": tiny_tokenizer,
    "slow ByT5": hf.ByT5Tokenizer,
    "slow Perceiver": hf.PerceiverTokenizer,
    "slow letters": lambda: LettersTokenizer(eos_token="\ue001"),
    "slow BERT": _bert_slow,
    "slow Marian": lambda: _family("marian"),
    "slow CTRL": lambda: _family("ctrl"),
    "slow MyT5": lambda: _family("myt5"),
    "slow GPT-NeoX Japanese": lambda: _family("gpt_neox_japanese"),
    "slow ESM": lambda: _family("esm"),
}


@cache
def tokenizer_of(kind: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that are not needed here
        return MAKERS[kind]()
