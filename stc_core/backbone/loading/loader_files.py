"""The files of a folder that transformers reads to load a model and its tokenizer.

The names are those of the tokenizers in transformers; a test compares them.
"""

import fnmatch
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stc_core.errors import StcError

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
ADAPTER, GENERATION = "adapter_config.json", "generation_config.json"
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
COMMON = (
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)
"""The vocabulary files of most tokenizers that have no tokenizer.json."""
TEKKEN = "*tekken*.json"
RARE = (
    "*.model",
    "*.model.*",
    "*.spm",
    "*.tiktoken",
    TEKKEN,
    "bpe.codes",
    "byte_maps.json",
    "dict.txt",
    "emoji.json",
    "normalizer.json",
    "prophetnet.tokenizer",
    "target_vocab.json",
    "vocab-src.json",
    "vocab-tgt.json",
    "word_pronunciation.json",
    "word_shape.json",
)
"""The vocabulary files of the other tokenizers."""
ONE_VERSION = "tokenizer.*.json"
TEMPLATES = ("chat_template.jinja", "additional_chat_templates/*.jinja")
ALWAYS = (
    *TEMPLATES,
    "config.*.json",  # for one version of transformers, if config.json names it
    ONE_VERSION,
    TEKKEN,  # read beside tokenizer.json if mistral-common is installed
    "entity_vocab.json",
    "head.safetensors",  # of the only family with weights in a second file
    "readout.safetensors",
)
"""Files that are read beside the configuration, whatever the tokenizer is."""
_PART = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")
"""Weights as written by processes that share a model; they are read before others."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def is_read(name: str) -> bool:
    """Whether a loader may read the small file `name`, a path inside the folder."""
    exact = (CONFIG, INDEX, TOKENIZER, *SETTINGS, *COMMON)
    return name in exact or _matches(name, (*RARE, *ALWAYS))


def vocabulary_files(folder: Path) -> list[str]:
    """The files of `folder` that may hold the words of a tokenizer.

    They are in the order in which an identity is made of them, tokenizer.json first.
    """
    known = [name for name in (TOKENIZER, *COMMON) if (folder / name).is_file()]
    return known + [name for name in matching_files(folder, RARE) if name not in COMMON]


def matching_files(folder: Path, patterns: Iterable[str]) -> list[str]:
    """The files of `folder` that match one of the patterns, sorted."""
    names: set[str] = set()
    for pattern in patterns:
        names |= {
            path.relative_to(folder).as_posix()
            for path in folder.glob(pattern)
            if path.is_file()
        }
    return sorted(names)


def weights(folder: Path) -> list[Path]:
    """The safetensors files that hold the weights, sorted by name; [] if none.

    StcError if some are missing, or in another folder.
    """
    if parts := [name for name in names_in(folder) if _PART.fullmatch(name)]:
        raise StcError(
            f"folder {folder}",
            expected=f"weights in {WEIGHTS}",
            got=f"the parts of several processes, e.g. {min(parts)}",
            remedy="Load them with transformers and save the whole with "
            "save_pretrained, in another folder.",
        )
    named = read_object(folder / CONFIG).get("transformers_weights")
    single = folder / (named if isinstance(named, str) else WEIGHTS)
    if single.name.endswith(INDEX):
        return _shards(single)
    if named is not None or single.exists():
        return [_inside(single, folder / CONFIG)]
    index = folder / INDEX
    return _shards(index) if index.exists() else []


def _shards(index: Path) -> list[Path]:
    """The files that an index of weights names, which must all be in its folder."""
    index_object = read_object(index)
    weight_map = index_object.get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise StcError(
            file_label(index),
            expected="a weight_map that names a file for each weight",
            got=f"an object with {', '.join(index_object) or 'nothing'}",
            remedy=copy_again(index),
        )
    paths = [_inside(index.parent / name, index) for name in sorted(set(names))]
    if not isinstance(index_object.get("metadata"), dict):  # transformers requires it
        raise StcError(file_label(index), expected="metadata", remedy=copy_again(index))
    return paths


def _inside(path: Path, told_by: Path) -> Path:
    """The weight file at `path`; StcError unless it is in the folder of `told_by`."""
    folder = told_by.parent
    if ".." in path.parts or not path.is_relative_to(folder):
        got, expected = repr(str(path)), "weights in the folder of the model"
    elif path.suffix != ".safetensors":
        got, expected = repr(path.name), "weights in files *.safetensors"
    elif not path.is_file():
        got, expected = "none", f"the weight file {path.name}"
    else:
        return path
    raise StcError(
        file_label(told_by),
        expected=expected,
        got=got,
        remedy="Copy or download all files of the model again.",
    )


def names_in(folder: Path) -> list[str]:
    """The names of everything in the folder."""
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as error:
        raise unreadable(folder, error) from error


def reads_vocabulary(folder: Path) -> bool:
    """Whether the tokenizer may read words from files other than tokenizer.json.

    Tokenizers written in Python read their own files, whatever else is there.
    """
    from transformers import TokenizersBackend
    from transformers.models.auto.tokenization_auto import (
        TOKENIZER_MAPPING_NAMES,
        tokenizer_class_from_name,
    )

    if not (folder / TOKENIZER).is_file():
        return True
    config = read_object(folder / CONFIG)
    encoder = config.get("encoder")
    families = [config, encoder if isinstance(encoder, dict) else {}]
    settings = folder / SETTINGS[0]
    sources = [config, read_object(settings) if settings.is_file() else {}]
    names = [TOKENIZER_MAPPING_NAMES.get(one.get("model_type")) for one in families]
    names += [one.get("tokenizer_class") for one in sources]
    for name in filter(None, names):
        tokenizer_class = tokenizer_class_from_name(name)
        if tokenizer_class is None or tokenizer_class.__name__ in (
            "PythonBackend",
            "MistralCommonBackend",
        ):
            continue  # then transformers takes one that reads tokenizer.json
        if not issubclass(tokenizer_class, TokenizersBackend):
            return True
    return False


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of the folder; StcError if it holds something else."""
    return parse_json(path, read_bytes(path), kind=dict)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of the folder; StcError if it is empty or a mere pointer."""
    if not path.is_file():
        got = "a folder" if path.is_dir() else "none"
        raise StcError(
            file_label(path), expected="a file", got=got, remedy=copy_again(path)
        )
    check_content(path)
    return path.read_bytes()


def parse_json(path: Path, content: bytes, *, kind: type) -> Any:
    """The JSON value of a file's bytes; StcError unless it is of this kind."""
    try:
        value = json.loads(decode_text(path, content))
    except (json.JSONDecodeError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise StcError(
            file_label(path),
            expected="valid JSON",
            got=f"an error in line {line}" if line else "something else",
            remedy=copy_again(path),
        ) from error
    if not isinstance(value, kind):
        raise StcError(
            file_label(path),
            expected="a JSON object, {...}",
            got=_JSON_KINDS.get(type(value), "another value"),
            remedy=copy_again(path),
        )
    return value


def decode_text(path: Path, content: bytes) -> str:
    """The text of a file's bytes; StcError if they are not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StcError(
            file_label(path),
            expected="text in UTF-8",
            got=f"another byte at position {error.start:,}",
            remedy=copy_again(path),
        ) from error


_JSON_KINDS = {
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    dict: "an object",
}


def file_label(path: Path) -> str:
    """The file as an error names it."""
    return f"file {str(path)!r}"


def check_files(folder: Path) -> None:
    """StcError for a file that a loader would silently skip or misread.

    That is a folder with the name of a file, an empty file, or a pointer of Git LFS.
    """
    for name in (CONFIG, INDEX, WEIGHTS, TOKENIZER, *SETTINGS, *COMMON):
        if (path := folder / name).is_dir():
            raise StcError(
                file_label(path),
                expected="a file",
                got="a folder",
                remedy=copy_again(path),
            )
    for name in vocabulary_files(folder):
        check_content(folder / name)


def check_content(path: Path) -> None:
    """StcError if a file cannot be read, is empty, or is a pointer of Git LFS."""
    try:
        with path.open("rb") as file:
            head = file.read(len(LFS_POINTER))
    except OSError as error:
        raise unreadable(path, error) from error
    if head == LFS_POINTER:
        raise StcError(
            file_label(path),
            expected="the file itself",
            got="a pointer of Git LFS to it",
            remedy="Run git lfs pull in its folder, or download the file.",
        )
    if not head:
        raise StcError(
            file_label(path),
            expected="a file with content",
            got="an empty file",
            remedy=copy_again(path),
        )


def copy_again(path: Path) -> str:
    """The remedy for a broken file."""
    return f"Copy or download {path.name} again."


def unreadable(path: Path, error: OSError) -> StcError:
    """The error for a file or folder that cannot be read."""
    return StcError(
        file_label(path),
        expected="a file that may be read",
        got=error.strerror or str(error),
        remedy="Give yourself permission to read it.",
    )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a path matches one of the patterns of the same depth."""
    depth = name.count("/")
    return any(
        pattern.count("/") == depth and fnmatch.fnmatchcase(name, pattern)
        for pattern in patterns
    )
