"""Which files of a folder transformers reads to load a model and its tokenizer.

The names are those of the tokenizers of transformers; a test holds them against it.
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
"""The vocabulary of most tokenizers that have no tokenizer.json."""
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
"""The vocabulary of the others."""
ONE_VERSION = "tokenizer.*.json"
TEMPLATES = ("chat_template.jinja", "additional_chat_templates/*.jinja")
ALWAYS = (
    *TEMPLATES,
    "config.*.json",  # for one version of transformers, as config.json may say
    ONE_VERSION,
    TEKKEN,  # beside tokenizer.json it is read where mistral-common is installed
    "entity_vocab.json",
    "head.safetensors",  # of the one family that keeps weights beside its weights
    "readout.safetensors",
)
"""What is read beside the configuration, whatever the tokenizer is."""
_PART = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")
"""Weights as processes that share a model write them; they are read before others."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def is_read(name: str) -> bool:
    """True if a loader may read the small file called `name`, a path in the folder."""
    exact = (CONFIG, INDEX, TOKENIZER, *SETTINGS, *COMMON)
    return name in exact or _matches(name, (*RARE, *ALWAYS))


def vocabulary(folder: Path) -> list[str]:
    """The files of `folder` that may hold the words of a tokenizer.

    In the order in which an identity is made of them, tokenizer.json first.
    """
    known = [name for name in (TOKENIZER, *COMMON) if (folder / name).is_file()]
    return known + [name for name in matching_files(folder, RARE) if name not in COMMON]


def matching_files(folder: Path, patterns: Iterable[str]) -> list[str]:
    """The files of `folder` that match one of the patterns, sorted."""
    found: set[str] = set()
    for pattern in patterns:
        found |= {
            path.relative_to(folder).as_posix()
            for path in folder.glob(pattern)
            if path.is_file()
        }
    return sorted(found)


def weights(folder: Path) -> list[Path]:
    """The safetensors files that hold the weights, in the order of their names.

    None if there are none; StcError if some are missing, or in another folder.
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
    """The files that an index of weights names, all of them in its folder."""
    held = read_object(index)
    named = held.get("weight_map")
    names = list(named.values()) if isinstance(named, dict) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise StcError(
            where_of(index),
            expected="a weight_map that names a file for each weight",
            got=f"an object with {', '.join(held) or 'nothing'}",
            remedy=again(index),
        )
    found = [_inside(index.parent / name, index) for name in sorted(set(names))]
    if not isinstance(held.get("metadata"), dict):  # transformers asks for it
        raise StcError(where_of(index), expected="metadata", remedy=again(index))
    return found


def _inside(path: Path, told_by: Path) -> Path:
    """The file of weights at `path`, if it is in the folder of who names it."""
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
        where_of(told_by),
        expected=expected,
        got=got,
        remedy="Copy or download all files of the model again.",
    )


def names_in(folder: Path) -> list[str]:
    """The names of all that is in the folder."""
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as error:
        raise unreadable(folder, error) from error


def reads_vocabulary(folder: Path) -> bool:
    """True unless tokenizer.json alone holds the words: some tokenizers do not read it.

    Those written in Python read their own files, whatever else is there.
    """
    from transformers import TokenizersBackend
    from transformers.models.auto.tokenization_auto import (
        TOKENIZER_MAPPING_NAMES,
        tokenizer_class_from_name,
    )

    if not (folder / TOKENIZER).is_file():
        return True
    config = read_object(folder / CONFIG)
    inner = config.get("encoder")
    families = [config, inner if isinstance(inner, dict) else {}]
    settings = folder / SETTINGS[0]
    told = [config, read_object(settings) if settings.is_file() else {}]
    names = [TOKENIZER_MAPPING_NAMES.get(one.get("model_type")) for one in families]
    names += [one.get("tokenizer_class") for one in told]
    for name in filter(None, names):
        found = tokenizer_class_from_name(name)
        if found is None or found.__name__ in ("PythonBackend", "MistralCommonBackend"):
            continue  # another is taken, which reads tokenizer.json
        if not issubclass(found, TokenizersBackend):
            return True
    return False


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of the folder; StcError says what is there instead."""
    return parsed(path, read_bytes(path), kind=dict)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of the folder, which is neither empty nor a mere pointer."""
    if not path.is_file():
        got = "a folder" if path.is_dir() else "none"
        raise StcError(where_of(path), expected="a file", got=got, remedy=again(path))
    check_content(path)
    return path.read_bytes()


def parsed(path: Path, held: bytes, *, kind: type) -> Any:
    """The JSON value of a file's bytes, of that kind; StcError says what it is not."""
    try:
        value = json.loads(decoded(path, held))
    except (json.JSONDecodeError, RecursionError) as error:
        place = getattr(error, "lineno", None)
        raise StcError(
            where_of(path),
            expected="valid JSON",
            got=f"a fault in line {place}" if place else "something else",
            remedy=again(path),
        ) from error
    if not isinstance(value, kind):
        raise StcError(
            where_of(path),
            expected="a JSON object, {...}",
            got=_JSON_KINDS.get(type(value), "another value"),
            remedy=again(path),
        )
    return value


def decoded(path: Path, held: bytes) -> str:
    """The text of a file's bytes; StcError if they are no UTF-8."""
    try:
        return held.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StcError(
            where_of(path),
            expected="text in UTF-8",
            got=f"a byte that is not, at {error.start:,}",
            remedy=again(path),
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


def where_of(path: Path) -> str:
    return f"file {str(path)!r}"


def check_files(folder: Path) -> None:
    """Raise StcError for a file that a loader would pass over, or misread silently.

    That is a folder of its name, an empty file, or a pointer of Git LFS.
    """
    for name in (CONFIG, INDEX, WEIGHTS, TOKENIZER, *SETTINGS, *COMMON):
        if (path := folder / name).is_dir():
            raise StcError(
                where_of(path), expected="a file", got="a folder", remedy=again(path)
            )
    for name in vocabulary(folder):
        check_content(folder / name)


def check_content(path: Path) -> None:
    """Raise StcError if a file cannot be read, is empty, or is a pointer of Git LFS."""
    try:
        with path.open("rb") as file:
            head = file.read(len(LFS_POINTER))
    except OSError as error:
        raise unreadable(path, error) from error
    if head == LFS_POINTER:
        raise StcError(
            where_of(path),
            expected="the file itself",
            got="a pointer of Git LFS to it",
            remedy="Run git lfs pull in its folder, or download the file.",
        )
    if not head:
        raise StcError(
            where_of(path),
            expected="a file with content",
            got="an empty file",
            remedy=again(path),
        )


def again(path: Path) -> str:
    """How a file that is broken is got anew."""
    return f"Copy or download {path.name} again."


def unreadable(path: Path, error: OSError) -> StcError:
    return StcError(
        where_of(path),
        expected="a file that may be read",
        got=error.strerror or str(error),
        remedy="Give yourself the right to read it.",
    )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    depth = name.count("/")
    return any(
        pattern.count("/") == depth and fnmatch.fnmatchcase(name, pattern)
        for pattern in patterns
    )
