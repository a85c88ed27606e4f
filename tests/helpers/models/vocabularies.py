"""Folders with the tokenizer files of many families, tiny, as they are published."""

import io
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import sentencepiece

TEXT = "good bad film the a is was plot actor boring long short never awful great scene"
PIECES = sorted({*TEXT.split(), *TEXT.replace(" ", "")})
BERT = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *PIECES,
    *(f"##{p}" for p in PIECES),
]
FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
LETTERS = [*FAIRSEQ, "Ġ", *PIECES, "go", "ba"]
MERGES = "#version: 0.2\ng o\nb a\n"


@cache
def pieces(kind: str = "unigram", special: tuple[str, ...] = ()) -> bytes:
    """A SentencePiece model of a few words."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([TEXT] * 20),
        model_writer=out,
        vocab_size=32,
        model_type=kind,
        pad_id=3,
        control_symbols=list(special),
        minloglevel=2,
    )
    return out.getvalue()


def lines(words: list[str]) -> str:
    return "\n".join(words) + "\n"


def numbered(words: list[str]) -> str:
    return json.dumps({word: i for i, word in enumerate(words)})


def tekken() -> str:
    bytes_ = [bytes([i]) for i in range(256)] + [b"go", b"ba"]
    special = ["<unk>", "<s>", "</s>"]
    return json.dumps(
        {
            "config": {
                "pattern": r"\S+|\s+",
                "num_vocab_tokens": len(bytes_),
                "default_vocab_size": len(bytes_) + len(special),
                "default_num_special_tokens": len(special),
                "version": "v3",
            },
            "vocab": [
                {"rank": i, "token_bytes": b64encode(b).decode(), "token_str": None}
                for i, b in enumerate(bytes_)
            ],
            "special_tokens": [
                {"rank": i, "token_str": word, "is_control": True}
                for i, word in enumerate(special)
            ],
        }
    )


Files = dict[str, str | bytes]


class Family(NamedTuple):
    """What is in the folder of a family, and what tokenizer_config.json says."""

    files: Callable[[], Files]
    model_type: str = ""  # if it is not the name of the family
    settings: Mapping[str, Any] = {}


def _byte_pairs() -> Files:
    return {"vocab.json": numbered(LETTERS), "merges.txt": MERGES}


def _codes() -> Files:
    words = lines([f"{piece} 1" for piece in PIECES])
    return {"vocab.txt": words, "bpe.codes": "g o 3\nb a 2\n"}


def _named(name: str, kind: str, files: Callable[[], Files], **more: Any) -> Family:
    return Family(files, kind, {"tokenizer_class": name, **more})


FAMILIES = {
    "bert": Family(lambda: {"vocab.txt": lines(BERT)}),
    "gpt2": Family(_byte_pairs),
    "roberta": Family(_byte_pairs),
    "t5": Family(lambda: {"spiece.model": pieces()}),
    "llama": Family(lambda: {"tokenizer.model": pieces("bpe")}),
    "xlm-roberta": Family(lambda: {"sentencepiece.bpe.model": pieces()}),
    "albert": Family(
        lambda: {"spiece.model": pieces(special=("[CLS]", "[SEP]", "[MASK]"))}
    ),
    "deberta-v2": Family(lambda: {"spm.model": pieces()}),
    "xlnet": Family(lambda: {"spiece.model": pieces()}),
    "bert-generation": Family(lambda: {"spiece.model": pieces()}),
    "marian": Family(
        lambda: {
            "vocab.json": numbered(["</s>", "<unk>", "<pad>", *PIECES]),
            "source.spm": pieces(),
            "target.spm": pieces(),
        }
    ),
    "m2m_100": Family(
        lambda: {
            "vocab.json": numbered([*FAIRSEQ, *PIECES]),
            "sentencepiece.bpe.model": pieces(),
        }
    ),
    "xlm": Family(_byte_pairs),
    "flaubert": Family(_byte_pairs),
    "ctrl": Family(_byte_pairs),
    "biogpt": Family(_byte_pairs),
    "esm": Family(
        lambda: {"vocab.txt": lines(["<cls>", "<pad>", "<eos>", "<unk>", *PIECES])}
    ),
    "prophetnet": Family(lambda: {"prophetnet.tokenizer": lines(BERT)}),
    "roc_bert": Family(
        lambda: {
            "vocab.txt": lines(BERT),
            "word_shape.json": numbered(BERT),
            "word_pronunciation.json": numbered(BERT),
        }
    ),
    "luke": Family(
        lambda: {
            **_byte_pairs(),
            "entity_vocab.json": numbered(["[PAD]", "[UNK]", "[MASK]", "[MASK2]"]),
        }
    ),
    "blenderbot-small": Family(
        lambda: {
            "vocab.json": numbered(
                ["__start__", "__end__", "__unk__", "__null__", *PIECES]
            ),
            "merges.txt": MERGES,
        }
    ),
    "fsmt": _named(
        "FSMTTokenizer",
        "fsmt",
        lambda: {
            "vocab-src.json": numbered(LETTERS),
            "vocab-tgt.json": numbered(LETTERS),
            "merges.txt": MERGES,
        },
        langs=["en", "de"],
    ),
    "gpt_neox_japanese": Family(
        lambda: {
            "vocab.txt": lines(["<|endoftext|>", "<|startoftext|>", *PIECES]),
            "emoji.json": json.dumps({"emoji": {}, "emoji_inv": {}}),
        }
    ),
    "perceiver": Family(dict),
    "mistral": Family(lambda: {"tekken.json": tekken()}),
    "byt5": _named("ByT5Tokenizer", "t5", dict),
    "myt5": _named(
        "MyT5Tokenizer",
        "t5",
        lambda: {"byte_maps.json": '{"decompose_map": {}, "merge_map": {}}'},
    ),
    "phobert": _named("PhobertTokenizer", "roberta", _codes),
    "bertweet": _named("BertweetTokenizer", "roberta", _codes),
    "bartpho": _named(
        "BartphoTokenizer",
        "mbart",
        lambda: {
            "sentencepiece.bpe.model": pieces(),
            "dict.txt": lines([f"{piece} 1" for piece in "▁ a o d e".split()]),
        },
    ),
    "gpt-sw3": _named("GPTSw3Tokenizer", "gpt2", lambda: {"spiece.model": pieces()}),
}
"""Families of tokenizers, each with files of a kind of its own."""


def published(name: str, folder: Path) -> list[str]:
    """The names of the files of the family `name`, written to `folder`."""
    family = FAMILIES[name]
    config = {"model_type": family.model_type or name}
    (folder / "config.json").write_text(json.dumps(config))
    if family.settings:
        settings = json.dumps(dict(family.settings))
        (folder / "tokenizer_config.json").write_text(settings)
    held = family.files()
    for file, content in held.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / file).write_bytes(data)
    return list(held)
