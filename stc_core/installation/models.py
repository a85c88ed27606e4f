"""The language models in the models folder: listed, added and removed."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stc_core.backbone.loading import hub
from stc_core.backbone.loading.loader_files import CONFIG, is_read, read_object
from stc_core.config import DEFAULT_BACKBONE
from stc_core.errors import StcError
from stc_core.files import (
    folder_bytes,
    make_folder,
    remove_leftovers,
    temporary_path,
    write_error,
)
from stc_core.paths import models_folder
from stc_core.runs.run import Run, list_runs
from stc_core.runs.status import BUSY
from stc_core.types import Progress, silent

LARGE_BYTES = 1_000_000_000
"""A model with larger files is not loaded to check it."""
_SHOWN_RUNS = 5


class CachedModel(NamedTuple):
    """A model that can be used without a network; `runs` names the runs that use it.

    `kind` is encoder, decoder, encoder-decoder or unknown, by the configuration alone.
    The embedded model is part of the installation and cannot be removed.
    """

    id: str
    folder: Path
    n_bytes: int
    family: str
    kind: str
    embedded: bool
    runs: tuple[str, ...]

    def record(self) -> dict[str, object]:
        """The facts as `stc models list --json` prints them."""
        facts = self._asdict() | {"folder": str(self.folder), "runs": list(self.runs)}
        facts["bytes"] = facts.pop("n_bytes")
        return facts


class AddedModel(NamedTuple):
    """A model that was added, and what its check found."""

    model: CachedModel
    notes: tuple[str, ...]


def list_models() -> list[CachedModel]:
    """Every model that needs no network, the embedded one first.

    The embedded one is left out if its package is not installed.
    """
    known = dict(_folders())
    users: dict[str, list[str]] = {name: [] for name in known}
    for run in list_runs():
        if (used := _model_of(run, known)) is not None:
            users[used].append(run.folder.name)
    return [_facts(name, folder, users[name]) for name, folder in known.items()]


def add_model(
    source: str, *, name: str | None = None, progress: Progress = silent
) -> AddedModel:
    """Bring a model into the models folder: a copy of a folder, or a Hub download.

    It is loaded and tried on a few tokens, unless it is large, so that what cannot be
    used is refused and leaves nothing behind. `name` is what a copied folder is called;
    without it, its own name. `progress` counts the bytes of a download. Raises StcError
    for a model that cannot be used, and for a name that is taken.
    """
    folder = hub.local_folder(source)
    if folder is None:
        return _downloaded(source, name, progress)
    if (folder / hub.CHANGES).is_file():
        raise StcError(
            f"model {source!r}",
            expected="a whole model",
            got="one that a run tuned, which holds only what was changed",
            remedy="Name its folder with --backbone; it belongs to its run.",
        )
    name = folder.resolve().name if name is None else name
    target = _free_folder(name)
    notes = loading_notes(str(folder))
    _copy(folder, target)
    return AddedModel(_facts(name, target, ()), tuple(notes))


def remove_model(name: str, *, force: bool = False) -> CachedModel:
    """Delete a model from the models folder, and nothing else; return its facts.

    Raises StcError for a name that is not there, for the embedded model, and for one
    that runs use: with `force` only for one that a waiting or active run uses.
    """
    model = _model_named(name)
    busy = [
        run.name
        for run in list_runs()
        if run.folder.name in model.runs and run.status["state"] in BUSY
    ]
    if busy or (model.runs and not force):
        more = len(model.runs) - _SHOWN_RUNS
        named = ", ".join(busy or model.runs[:_SHOWN_RUNS])
        others = f" and {more} more" if more > 0 and not busy else ""
        raise StcError(
            f"model {name!r}",
            expected="one that no run is working with" if busy else "one without runs",
            got=f"one that is used by {named}{others}",
            remedy="Wait until they end, or cancel them first."
            if busy
            else "Delete the runs first, or pass --force: they then need it again to "
            "predict.",
        )
    _delete(model.folder)
    return model


def loading_notes(name: str) -> list[str]:
    """What is to be said of a model after it was loaded and tried on a few tokens.

    A large model is not loaded; its configuration, tokenizer and files are checked.
    Raises StcError for a model that cannot be used.
    """
    from stc_core.backbone.loading import loading_errors
    from stc_core.display import size

    paths = hub.weight_files(hub.resolve(name))
    for fault in filter(None, map(loading_errors.weights_fault, paths)):
        raise fault
    weights = sum(path.stat().st_size for path in paths)
    if weights > LARGE_BYTES:
        return [
            f"Backbone {name!r} has {size(weights)} of weights and was not loaded. Its "
            "configuration, tokenizer and files were checked. Not checked: whether "
            "they fit each other, and whether the model reads text. Training checks "
            "that before it begins; variability on a table of a few rows does so, too."
        ]
    from stc_core.backbone.backbone import Backbone

    return list(Backbone.load(name, device="cpu").notes)


def _folders() -> Iterator[tuple[str, Path]]:
    """The name and the folder of each model that is here."""
    for name in hub.cached_names():
        if name != DEFAULT_BACKBONE:
            yield name, hub.hub_folder(name)
        elif hub.is_embedded():
            yield name, hub.resolve(name)


def _facts(name: str, folder: Path, runs: list[str] | tuple[()]) -> CachedModel:
    config = _configuration(folder)
    return CachedModel(
        id=name,
        folder=folder,
        n_bytes=folder_bytes(folder),
        family=str(config.get("model_type", "unknown")),
        kind=_kind_of(config),
        embedded=name == DEFAULT_BACKBONE,
        runs=tuple(runs),
    )


def _configuration(folder: Path) -> dict:
    """The configuration; empty if it is damaged, as it must not break a list."""
    try:
        return read_object(folder / CONFIG)
    except StcError:
        return {}


def _kind_of(config: dict) -> str:
    """Whether a model of this configuration encodes, writes, or does both."""
    from transformers.models.auto import modeling_auto as known

    family = config.get("model_type")
    if config.get("is_encoder_decoder") or (
        family in known.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES
        and config.get("is_encoder_decoder") is not False
    ):
        return "encoder-decoder"
    if family in known.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "encoder"
    is_decoder = family in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return "decoder" if is_decoder else "unknown"


def _model_of(run: Run, known: dict[str, Path]) -> str | None:
    """Which of the known models a run reads, also through a model tuned from it."""
    try:
        return _known_model(run.config.train.backbone, known)
    except StcError:  # a damaged run, or one whose tuned model is damaged
        return None


def _known_model(name: str, known: dict[str, Path]) -> str | None:
    """The known model that the backbone `name` is, or was tuned from.

    Nothing is downloaded.
    """
    from stc_core.backbone.changes import OWN_BASE, read_changes

    if name in hub.EMBEDDED:
        return DEFAULT_BACKBONE if DEFAULT_BACKBONE in known else None
    folder = hub.local_folder(name)
    if folder is None:
        return name if name in known else None
    if (folder / hub.CHANGES).is_file():
        base = read_changes(folder).base
        inside = str(folder / OWN_BASE)
        return _known_model(inside if base == OWN_BASE else base, known)
    place = folder.resolve()
    return next((one for one, at in known.items() if at.resolve() == place), None)


def _model_named(name: str) -> CachedModel:
    """The model of this name; StcError if it cannot be removed."""
    if name in hub.EMBEDDED:
        raise StcError(
            f"model {name!r}",
            expected="a model in the models folder",
            got="the embedded one, which is part of the installation",
        )
    models = {model.id: model for model in list_models()}
    if name not in models:
        there = [one for one, model in models.items() if not model.embedded]
        raise StcError(
            f"model {name!r}",
            expected=f"one of {', '.join(there)}" if there else "a model that is here",
            got="no such model" if there else f"none in {models_folder()}",
        )
    return models[name]


def _free_folder(name: str) -> Path:
    """The folder for a new model of this name; StcError if it cannot be called so."""
    if not hub.is_hub_id(name):
        raise StcError(
            f"name {name!r}",
            expected="a name like 'my-model' or 'someone/my-model'",
            remedy="Give another one with --name.",
        )
    _check_listed(name, remedy="Give another one with --name.")
    folder = hub.hub_folder(name)
    if name in hub.EMBEDDED or folder.exists():
        raise StcError(
            f"model {name!r}",
            expected="a name that no model has",
            got="one that is here",
            remedy="Give another one with --name, or remove that model first.",
        )
    return folder


def _check_listed(name: str, *, remedy: str) -> None:
    """Raise StcError for a name that could not be listed or removed later."""
    if not hub.is_listed(name):
        raise StcError(
            f"name {name!r}",
            expected=f"a name without '--' that does not end in {hub.PARTIAL}",
            got="one that could not be told from that of another folder",
            remedy=remedy,
        )


def _downloaded(name: str, other: str | None, progress: Progress) -> AddedModel:
    """The model with this Hub id, which is downloaded unless it is here."""
    if other is not None:
        raise StcError(
            "option --name",
            expected="a folder that is copied",
            got=f"{name!r}, which is no folder",
            remedy="Leave --name out: a model of the Hub keeps its id.",
        )
    if hub.is_hub_id(name):
        _check_listed(
            name, remedy="Download it yourself, and add the folder with --name."
        )
    was_here = name in hub.EMBEDDED or hub.hub_folder(name).is_dir()
    folder = hub.resolve(name, progress=progress)
    try:
        notes = loading_notes(name)
    except StcError:
        if not was_here:
            _delete(folder)
        raise
    known = DEFAULT_BACKBONE if name in hub.EMBEDDED else name
    (model,) = (one for one in list_models() if one.id == known)
    return AddedModel(model, tuple(notes))


def _copy(source: Path, target: Path) -> None:
    """Copy the files of a model that are read; the copy appears whole or not at all."""
    make_folder(target.parent)
    remove_leftovers(target.parent, ".*-*.*")
    copy = temporary_path(target)
    try:
        for path in _read_files(source):
            place = copy / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        if hub.identity(copy) != hub.identity(source):
            raise StcError(
                f"model {str(source)!r}",
                expected="files that stay as they are while they are copied",
                got="others in the copy",
                remedy="Add it again when nothing writes to the folder.",
            )
        copy.rename(target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _read_files(folder: Path) -> list[Path]:
    """The files of a model's folder that a loader may read, and its notes on itself."""
    paths = [*folder.glob("*"), *folder.glob("*/*")]
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    small = re.compile(r"[^/]+\.(json|txt|md)|LICEN[CS]E[^/]*")
    read = {path for path, name in names.items() if is_read(name)}
    read |= {path for path, name in names.items() if small.fullmatch(name)}
    return sorted(path for path in {*read, *hub.weight_files(folder)} if path.is_file())


def _delete(folder: Path) -> None:
    """Delete the folder of a model; of a link only the link, never what it leads to."""
    try:
        if folder.is_symlink():
            folder.unlink()
            return
        # First, so that no half of a model can be taken for one.
        doomed = folder.rename(temporary_path(folder))
        shutil.rmtree(doomed)
    except OSError as error:
        raise write_error(folder, error) from error
