"""What transformers raises about a user's files, as a sentence that names the file.

Only what is raised inside of a library is told so: an error that passed through our own
code on its way is a bug of ours, and stays one.
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
from stc_core.errors import StcError

_OURS = str(Path(__file__).parents[2])
_LIBRARIES = re.compile(
    r"[/\\](transformers|torch|tokenizers|safetensors|huggingface_hub|sentencepiece)"
    r"[/\\]"
)
_MOST = 300
"""Characters of an error of a library that are told."""


@contextmanager
def reading_model(where: str, folder: Path) -> Iterator[None]:
    """Within it transformers reads config.json and the weights of `folder`."""
    try:
        yield
    except Exception as error:
        if is_ours(error):
            raise
        raise model_fault(where, folder, error) from error


@contextmanager
def reading_tokenizer(where: str, folder: Path) -> Iterator[None]:
    """Within it transformers reads the tokenizer of `folder`."""
    try:
        yield
    except Exception as error:
        if is_ours(error):
            raise
        raise tokenizer_fault(where, folder, error) from error


@contextmanager
def tokenizing(where: str) -> Iterator[None]:
    """Within it a tokenizer reads an ordinary text for the first time."""
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
def trying(where: str, model: object) -> Iterator[None]:
    """Within it a model is run on a few tokens, to see if it reads text."""
    try:
        yield
    except Exception as error:
        if is_ours(error):
            raise
        raise forward_fault(where, model, error) from error


def is_ours(error: Exception) -> bool:
    """True if `error` was raised by our own code, or on its way through it.

    Our frames come first, down to the call of a library; then only the library's.
    """
    if isinstance(error, StcError):
        return True
    paths = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    inner = next((i for i, path in enumerate(paths) if _LIBRARIES.search(path)), None)
    return inner is None or any(path.startswith(_OURS) for path in paths[inner:])


def model_fault(where: str, folder: Path, error: Exception) -> StcError:
    """What is wrong with the configuration or the weights, seen from `error`."""
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
            got=f"quantized ones: {reason(error)}",
            remedy="Take the model in full precision, or install what it needs.",
        )
    if isinstance(error, ImportError):
        return _package(where, error)
    return StcError(
        files.where_of(folder / files.CONFIG),
        expected="settings that belong together",
        got=reason(error),
        remedy=f"Correct them, or copy or download {files.CONFIG} again.",
    )


def tokenizer_fault(where: str, folder: Path, error: Exception) -> StcError:
    """What is wrong with the files of the tokenizer, seen from `error`."""
    passed = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    if any(re.search(r"[/\\]configuration_\w+\.py$", path) for path in passed):
        return model_fault(where, folder, error)
    held = files.vocabulary(folder)
    settings = [name for name in files.SETTINGS if (folder / name).exists()]
    names = [*settings, *(name for name in held if name.endswith(".json"))]
    broken = _broken_json(folder, names) or _broken_text(folder, held)
    if broken is not None:
        return broken
    if isinstance(error, ImportError):
        return _package(where, error)
    if not held:
        return no_vocabulary(where, folder)
    if files.TOKENIZER in held:
        try:
            Tokenizer.from_file(str(folder / files.TOKENIZER))
        except Exception as fault:  # noqa: BLE001 - of no other kind, and told below
            return StcError(
                files.where_of(folder / files.TOKENIZER),
                expected="a tokenizer that this version of tokenizers reads",
                got=reason(fault),
                remedy="A newer version may have made it: save it again with the one "
                "that is installed here, or copy or download it again.",
            )
    return StcError(
        f"{where}, tokenizer files {', '.join([*held, *settings])}",
        expected="files that make one tokenizer",
        got=reason(error),
        remedy=_TOKENIZER_AGAIN,
    )


_TOKENIZER_AGAIN = "Copy or download all files of the tokenizer again."


def no_vocabulary(where: str, folder: Path | None) -> StcError:
    """No word is known: the files that hold them are not there, or hold none."""
    return StcError(
        where,
        expected="a tokenizer with words"
        + ("" if folder is None else f", as {files.TOKENIZER}, in {folder}"),
        got="one that knows no word",
        remedy="Put the tokenizer's files beside the weights, for example with "
        "tokenizer.save_pretrained of the model that they come from.",
    )


def forward_fault(where: str, model: object, error: Exception) -> StcError:
    """Why a model could not read a few tokens."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return too_large(where)
    return StcError(
        where,
        expected="a model that reads text and nothing else",
        got=f"{type(model).__name__}, which fails on a few tokens: {reason(error)}",
        remedy="Choose another model. If this one reads text, its settings in "
        f"{files.CONFIG} may be wrong.",
    )


def too_large(where: str) -> StcError:
    return StcError(
        where,
        expected="room in memory for its weights",
        got="too little",
        remedy="Choose a smaller model, half precision (bfloat16), or the CPU.",
    )


def reason(error: Exception) -> str:
    """The error in one line, by its kind, without the advice of a library."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if type(error).__name__.startswith("StrictDataclass"):
        said = lines[-1] if lines else ""  # the lines before say where it was checked
        said = said.partition("Error: ")[2] or said
        return said[:_MOST]
    first = lines[0] if lines else ""
    said = " ".join(lines[:2]) if first.endswith(":") else first
    said = said.partition(" Checkout ")[0][:_MOST]
    if isinstance(error, KeyError):
        return f"the name {said}, which is unknown or missing"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _broken_json(folder: Path, names: list[str] | tuple[str, ...]) -> StcError | None:
    """The first of these files, if it is there, that holds no JSON object."""
    for name in names:
        if not (folder / name).exists():
            continue
        try:
            files.read_object(folder / name)
        except StcError as fault:
            return fault
    return None


def _broken_text(folder: Path, names: list[str]) -> StcError | None:
    """The first of these files, or of its chat templates, that cannot be read."""
    for name in [*names, *files.matching_files(folder, files.TEMPLATES)]:
        try:
            held = files.read_bytes(folder / name)
            if name.endswith((".txt", ".jinja", ".codes")):
                files.decoded(folder / name, held)
        except StcError as fault:
            return fault
    return None


def _broken_weights(folder: Path) -> StcError | None:
    """The first file of weights that cannot be opened."""
    faults = map(weights_fault, hub.weight_files(folder))
    return next((fault for fault in faults if fault is not None), None)


def weights_fault(path: Path) -> StcError | None:
    """What is wrong with a file of weights, if it is not whole."""
    if not path.is_file():
        got = "a folder" if path.is_dir() else "none"
        return StcError(
            files.where_of(path), expected="a file", got=got, remedy=files.again(path)
        )
    try:
        files.check_content(path)
        with safe_open(path, "pt"):
            return None
    except StcError as fault:
        return fault
    except SafetensorError as error:
        said = str(error).rpartition("header: ")[2]
        if "not fully covered" in said:
            said = "a file that is cut off, or longer than its header says"
        else:
            said = f"a damaged file, or one of another kind ({said})"
        return StcError(
            files.where_of(path),
            expected="weights in the format safetensors",
            got=said,
            remedy=files.again(path),
        )


def _package(where: str, error: Exception) -> StcError:
    """A package that the model or its tokenizer needs is not installed."""
    return StcError(
        where,
        expected="packages that its model or tokenizer needs",
        got=reason(error),
        remedy="Install the package, or choose another model.",
    )
