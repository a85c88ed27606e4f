"""Folders of a tiny BERT with one fault each, as they are met in the wild."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from helpers.models.tiny import tiny_model, tiny_tokenizer

Fault = Callable[[Path], object]
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n"
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
SETTINGS, WEIGHTS = "tokenizer_config.json", "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD = "model-00001-of-00001.safetensors"
PAGE = b"<!DOCTYPE html><html>Not found</html>"


def save_bert(folder: Path) -> Path:
    tiny_model("bert").save_pretrained(folder)
    tiny_tokenizer("right").save_pretrained(folder)
    return folder


def put(name: str, held: bytes | str) -> Fault:
    data = held if isinstance(held, bytes) else held.encode()
    return lambda folder: (folder / name).write_bytes(data)


def cut(name: str) -> Fault:
    """Half of the file, as a broken line leaves it."""

    def halve(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return halve


def remove(*names: str) -> Fault:
    def fault(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return fault


def in_its_place(name: str) -> Fault:
    """A folder of the file's name."""
    return both(remove(name), lambda folder: (folder / name).mkdir())


def both(*faults: Fault) -> Fault:
    def fault(folder: Path) -> None:
        for one in faults:
            one(folder)

    return fault


def edit(name: str, change: Callable[[Any], object]) -> Fault:
    def fault(folder: Path) -> None:
        held = json.loads((folder / name).read_text("utf-8"))
        change(held)
        (folder / name).write_text(json.dumps(held))

    return fault


def having(name: str, **fields: Any) -> Fault:
    return edit(name, lambda held: held.update(fields))


def index(value: Any) -> Fault:
    return both(remove(WEIGHTS), put(INDEX, json.dumps(value)))


def names_shard(shard: Any, **more: Any) -> Fault:
    return index({"metadata": {}, "weight_map": {"a": shard}, **more})


def no_number(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["encoder.layer.0.output.dense.weight"][0, 0] = float("nan")
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def words(*more: str) -> Fault:
    """A vocab.txt in the place of tokenizer.json."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    held = "\n".join([*special, *more]) + "\n"
    return both(remove(TOKENIZER, SETTINGS), put("vocab.txt", held))


def in_model(**fields: Any) -> Fault:
    return edit(TOKENIZER, lambda held: held["model"].update(fields))


def _entry(held: Any) -> None:
    held["model"]["vocab"]["rare"] = 3000


FAULTS: dict[str, tuple[Fault, str]] = {
    **{
        f"{name} {what}": (fault(name), f"{name}'.*{said}")
        for name in (CONFIG, TOKENIZER, SETTINGS)
        for what, fault, said in (
            ("is cut", cut, "valid JSON; got an error in line"),
            ("is empty", lambda name: put(name, ""), "an empty file"),
            ("is a pointer", lambda name: put(name, LFS), "git lfs pull"),
            ("is a page", lambda name: put(name, PAGE), "valid JSON"),
            ("is no UTF-8", lambda name: put(name, b'{"a": "\xff"}'), "UTF-8"),
            ("is a list", lambda name: put(name, "[1]"), "object.*got a list"),
            ("is null", lambda name: put(name, "null"), "object.*got null"),
            ("is a folder", in_its_place, "got a folder"),
        )
    },
    "config.json is nested": (put(CONFIG, "[" * 100_000), "valid JSON"),
    "config.json says nothing": (put(CONFIG, "{}"), "'model_type'.*got None"),
    "model_type is a list": (having(CONFIG, model_type=["bert"]), "'model_type'"),
    "a size is a word": (having(CONFIG, hidden_size="abc"), "config.*hidden_size"),
    "a size is null": (having(CONFIG, vocab_size=None), "config.json.*vocab_size"),
    "a size is negative": (having(CONFIG, intermediate_size=-1), "config.*negative"),
    "heads do not divide": (having(CONFIG, num_attention_heads=3), "config.*heads"),
    "no blocks": (having(CONFIG, num_hidden_layers=0), "at least one block"),
    "no heads": (having(CONFIG, num_attention_heads=0), "config.json"),
    "an unknown function": (having(CONFIG, hidden_act="x9"), "config.json.*x9"),
    "an unknown dtype": (having(CONFIG, dtype="float9"), "config.json.*float9"),
    "pad id is outside": (having(CONFIG, pad_token_id=9999), r"config.*[Pp]adding"),
    "pad id is a word": (having(CONFIG, pad_token_id="x"), "config.*pad_token_id"),
    "other words": (having(CONFIG, vocab_size=99), r"\(99, 16\).*\(64, 16\)"),
    "other positions": (having(CONFIG, max_position_embeddings=9), r"\(9, 16\)"),
    "more blocks": (having(CONFIG, num_hidden_layers=9), "weights for every part"),
    "another config": (having(CONFIG, configuration_files=3), "config.json"),
    "bits": (
        having(CONFIG, quantization_config={"load_in_4bit": True}),
        "quantized.*full precision",
    ),
    "bits of no kind": (having(CONFIG, quantization_config=[1]), "quantized"),
    "a kernel": (having(CONFIG, attn_implementation="some/kernel"), "packages"),
    "weights elsewhere": (
        having(CONFIG, transformers_weights="../x.safetensors"),
        "weights in the folder",
    ),
    "weights of another name": (
        having(CONFIG, transformers_weights="x.safetensors"),
        r"the weight file x\.safetensors",
    ),
    "weights are cut": (cut(WEIGHTS), r"model\.safetensors'.*cut off"),
    "weights are empty": (put(WEIGHTS, ""), r"model\.safetensors'.*an empty file"),
    "weights are a pointer": (put(WEIGHTS, LFS), "safetensors.*git lfs pull"),
    "weights are a page": (put(WEIGHTS, PAGE * 9), "a damaged file"),
    "weights are a folder": (in_its_place(WEIGHTS), "safetensors.*got a folder"),
    "weights are no numbers": (no_number, "nan or inf in encoder.layer.0"),
    "weights in parts": (
        put("shard-00000-model-00001-of-00002.safetensors", "x"),
        "several processes",
    ),
    "weights of Flax": (
        both(remove(WEIGHTS), put("flax_model.msgpack", "x")),
        "flax_model.msgpack.*Convert",
    ),
    "index is a list": (index([]), "index.*object.*got a list"),
    "index is cut": (both(remove(WEIGHTS), put(INDEX, '{"we')), "index.*valid JSON"),
    "index has no map": (index({"metadata": {}}), "index.*weight_map"),
    "index has a list": (index({"weight_map": ["a"]}), "index.*weight_map"),
    "index has a number": (names_shard(1), "index.*weight_map"),
    "index leads nowhere": (names_shard(SHARD), f"the weight file {SHARD}"),
    "index leads out": (names_shard("../a.safetensors"), "weights in the folder"),
    "index leads away": (names_shard("/etc/passwd"), "weights in the folder"),
    "index leads to pickles": (names_shard("pytorch_model.bin"), "safetensors"),
    "adapters beside": (put("adapter_config.json", "{}"), "beside.*merge_and_unload"),
    "adapters alone": (
        both(remove(CONFIG, WEIGHTS), put("adapter_config.json", "{}")),
        "adapters alone.*merge_and_unload",
    ),
    "tokenizer is newer": (having(TOKENIZER, version="9.0"), "newer version"),
    "tokenizer of a new kind": (in_model(type="Future"), r"tokenizer\.json.*newer"),
    "tokenizer has no model": (edit(TOKENIZER, lambda t: t.pop("model")), "Model"),
    "tokenizer is half": (edit(TOKENIZER, lambda t: t.pop("added_tokens")), "added"),
    "tokenizer of no class": (having(SETTINGS, tokenizer_class=3), SETTINGS),
    "tokenizer of another class": (
        having(SETTINGS, tokenizer_class="T5Tokenizer"),
        "files that make one tokenizer",
    ),
    "tokenizer wants a package": (
        having(SETTINGS, tokenizer_class="XLMTokenizer"),
        "packages.*sacremoses",
    ),
    "a special token is a number": (having(SETTINGS, pad_token=5), SETTINGS),
    "a side is wrong": (having(SETTINGS, padding_side="up"), "files.*side"),
    "a length is a word": (having(SETTINGS, model_max_length="x"), "ordinary text"),
    "special tokens are a list": (
        put("special_tokens_map.json", "[1]"),
        "special_tokens_map.json.*object",
    ),
    "added tokens are a list": (put("added_tokens.json", "[1]"), "added_tokens.json"),
    "a template is no UTF-8": (put("chat_template.jinja", b"\xff"), "jinja.*UTF-8"),
    "no tokenizer": (remove(TOKENIZER, SETTINGS), "knows no word"),
    "no words": (words(), "knows no word"),
    "an empty vocabulary": (in_model(vocab={}), "knows no word"),
    "no word for the unknown": (in_model(vocab={"good": 5}), "ordinary text.*UNK"),
    "words are a pointer": (both(words(), put("vocab.txt", LFS)), "git lfs pull"),
    "words are UTF-16": (
        both(words(), put("vocab.txt", "good".encode("utf-16"))),
        "UTF-8",
    ),
    "more words than vectors": (words(*map(str, range(99))), "at most 64 tokens"),
    "a word beyond the vectors": (edit(TOKENIZER, _entry), "'rare'.*3,000"),
}
"""Each fault by name: how it is made, and what is said of it."""


@cache
def _whole(folder: Path) -> Path:
    return save_bert(folder / "whole")


def broken(name: str, folder: Path) -> Path:
    """A folder of a tiny BERT, made below `folder`, with the fault of that name."""
    place = folder / "model"
    shutil.copytree(_whole(folder.parent), place)
    FAULTS[name][0](place)
    return place
