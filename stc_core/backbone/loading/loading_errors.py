"""Errors that transformers raises about a user's files, as sentences naming the file.

Only errors raised inside a library are translated. An error that passed through our own
code is our bug and stays as it is.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from stc_core.backbone.loading import hub
from stc_core.backbone.loading import loader_files as files
from stc_core.errors import MemoryShortage, StcError

_OURS = str(Path(__file__).parents[2])
_LIBRARIES = re.compile(
    r"[/\\](transformers|torch|tokenizers|safetensors|huggingface_hub|sentencepiece)"
    r"[/\\]"
)
_MOST = 300
"""The most characters that are shown of a library's error."""


@contextmanager
def explain_model_errors(where: str, folder: Path) -> Iterator[None]:
    """Turn errors about the config or weights of `folder` into StcError."""
    try:
        yield
    except Exception as error:
        if is_ours(error):
            raise
        raise model_fault(where, folder, error) from error


@contextmanager
def explain_tokenizer_errors(where: str, folder: Path) -> Iterator[None]:
    """Turn errors about the tokenizer files of `folder` into StcError."""
    try:
        yield
    except Exception as error:
        if is_ours(error):
            raise
        raise tokenizer_fault(where, folder, error) from error


@contextmanager
def explain_tokenizing_errors(where: str) -> Iterator[None]:
    """Turn errors of a tokenizer on its first ordinary text into StcError."""
    try:
        yield
    except Exception as error:
        if is_ours(error):
            raise
        raise StcError(
            where,
            expected="a tokenizer that reads an ordinary text",
            got=reason(error),
            remedy=_TOKENIZER_AGAIN,
        ) from error


@contextmanager
def explain_forward_errors(where: str, model: object) -> Iterator[None]:
    """Turn errors of a model on its first few tokens into StcError."""
    try:
        yield
    except Exception as error:
        if is_ours(error):
            raise
        raise forward_fault(where, model, error) from error


def is_ours(error: Exception) -> bool:
    """Whether our own code raised `error`, or the error passed through it.

    In a traceback our frames come first, down to the call of a library. After that call
    an error of a library has only the library's frames.
    """
    if isinstance(error, StcError):
        return True
    paths = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    inner = next((i for i, path in enumerate(paths) if _LIBRARIES.search(path)), None)
    return inner is None or any(path.startswith(_OURS) for path in paths[inner:])


def model_fault(where: str, folder: Path, error: Exception) -> StcError:
    """The error in the configuration or the weights that `error` points to."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return too_large(where)
    names = (files.CONFIG, files.INDEX, files.GENERATION)
    broken = _broken_json(folder, names) or _broken_weights(folder)
    if broken is not None:
        return broken
    config = files.read_object(folder / files.CONFIG)
    if config.get("quantization_config"):
        return StcError(
            where,
            expected="weights that this machine can read",
            got=f"quantized weights: {reason(error)}",
            remedy="Take the model in full precision, or install what it needs.",
        )
    if isinstance(error, ImportError):
        return _package(where, error)
    return StcError(
        files.file_label(folder / files.CONFIG),
        expected="settings that belong together",
        got=reason(error),
        remedy=f"Correct them, or copy or download {files.CONFIG} again.",
    )


def tokenizer_fault(where: str, folder: Path, error: Exception) -> StcError:
    """The error in the tokenizer's files that `error` points to."""
    paths = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    if any(re.search(r"[/\\]configuration_\w+\.py$", path) for path in paths):
        return model_fault(where, folder, error)
    vocabulary = files.vocabulary_files(folder)
    settings = [name for name in files.SETTINGS if (folder / name).exists()]
    names = [*settings, *(name for name in vocabulary if name.endswith(".json"))]
    broken = _broken_json(folder, names) or _broken_text(folder, vocabulary)
    if broken is not None:
        return broken
    if isinstance(error, ImportError):
        return _package(where, error)
    if not vocabulary:
        return no_vocabulary(where, folder)
    if files.TOKENIZER in vocabulary:
        try:
            Tokenizer.from_file(str(folder / files.TOKENIZER))
        except Exception as fault:  # noqa: BLE001 - tokenizers raises no narrower kind
            return StcError(
                files.file_label(folder / files.TOKENIZER),
                expected="a tokenizer that this version of tokenizers reads",
                got=reason(fault),
                remedy="A newer version may have made it: save it again with the one "
                "that is installed here, or copy or download it again.",
            )
    return StcError(
        f"{where}, tokenizer files {', '.join([*vocabulary, *settings])}",
        expected="files that make one tokenizer",
        got=reason(error),
        remedy=_TOKENIZER_AGAIN,
    )


_TOKENIZER_AGAIN = "Copy or download all files of the tokenizer again."


def no_vocabulary(where: str, folder: Path | None) -> StcError:
    """The error for a tokenizer without words: their files are missing or empty."""
    return StcError(
        where,
        expected="a tokenizer with words"
        + ("" if folder is None else f", as {files.TOKENIZER}, in {folder}"),
        got="a tokenizer that knows no word",
        remedy="Put the tokenizer's files beside the weights, for example with "
        "tokenizer.save_pretrained of the model that they come from.",
    )


def forward_fault(where: str, model: object, error: Exception) -> StcError:
    """The error for a model that could not read a few tokens."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return too_large(where)
    return StcError(
        where,
        expected="a model that reads text and nothing else",
        got=f"{type(model).__name__}, which fails on a few tokens: {reason(error)}",
        remedy="Choose another model. If this one reads text, its settings in "
        f"{files.CONFIG} may be wrong.",
    )


def too_large(where: str) -> MemoryShortage:
    """The error for a model that does not fit into memory."""
    return MemoryShortage(
        where,
        expected="enough memory for its weights",
        got="too little memory",
        remedy="Choose a smaller model, half precision (bfloat16), or the CPU.",
    )


def reason(error: Exception) -> str:
    """The library's error in one line with its kind, without the library's advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if type(error).__name__.startswith("StrictDataclass"):
        message = (
            lines[-1] if lines else ""
        )  # the lines above only say where the check was
        message = message.partition("Error: ")[2] or message
        return message[:_MOST]
    first = lines[0] if lines else ""
    message = " ".join(lines[:2]) if first.endswith(":") else first
    message = message.partition(" Checkout ")[0][:_MOST]
    if isinstance(error, KeyError):
        return f"the name {message}, which is unknown or missing"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _broken_json(folder: Path, names: list[str] | tuple[str, ...]) -> StcError | None:
    """The error of the first of these files that is there without a JSON object."""
    for name in names:
        if not (folder / name).exists():
            continue
        try:
            files.read_object(folder / name)
        except StcError as fault:
            return fault
    return None


def _broken_text(folder: Path, names: list[str]) -> StcError | None:
    """The error of the first of these files, or chat templates, that cannot be read."""
    for name in [*names, *files.matching_files(folder, files.TEMPLATES)]:
        try:
            content = files.read_bytes(folder / name)
            if name.endswith((".txt", ".jinja", ".codes")):
                files.decode_text(folder / name, content)
        except StcError as fault:
            return fault
    return None


def _broken_weights(folder: Path) -> StcError | None:
    """The error of the first file of weights that cannot be opened."""
    faults = map(weights_fault, hub.weight_files(folder))
    return next((fault for fault in faults if fault is not None), None)


def weights_fault(path: Path) -> StcError | None:
    """The error of a file of weights that is missing or incomplete, else None."""
    if not path.is_file():
        got = "a folder" if path.is_dir() else "none"
        return StcError(
            files.file_label(path),
            expected="a file",
            got=got,
            remedy=files.copy_again(path),
        )
    try:
        files.check_content(path)
        with safe_open(path, "pt"):
            return None
    except StcError as fault:
        return fault
    except SafetensorError as error:
        problem = str(error).rpartition("header: ")[2]
        if "not fully covered" in problem:
            problem = "a file that is cut off, or longer than its header says"
        else:
            problem = f"a damaged file, or one of another kind ({problem})"
        return StcError(
            files.file_label(path),
            expected="weights in the format safetensors",
            got=problem,
            remedy=files.copy_again(path),
        )


def _package(where: str, error: Exception) -> StcError:
    """The error for a package that the model or its tokenizer needs."""
    return StcError(
        where,
        expected="packages that its model or tokenizer needs",
        got=reason(error),
        remedy="Install the package, or choose another model.",
    )
