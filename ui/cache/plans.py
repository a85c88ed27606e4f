"""What a training will take, computed in a thread before the training starts."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from stc_core.backbone.loading.hub import (
    cached_names,
    local_folder,
    resolve,
    weight_files,
)
from stc_core.config import RunConfig
from stc_core.data.corpus import Corpus
from stc_core.errors import StcError
from stc_core.paths import model_folders
from ui.cache.tables import corpus_of

if TYPE_CHECKING:
    from stc_core.backbone.backbone import Backbone
    from stc_core.recipes.planning.forecast import Survey


def expected_plan(config: RunConfig) -> dict[str, Any] | None:
    """The seconds, memory and disk that the run will take; None while not yet known.

    The backbone is loaded and timed in a thread, once for all settings that leave
    backbone and texts unchanged. An error of the thread is raised here. A model that
    was refused is tried again when its files change, or after `forget_plans`.
    """
    train, corpus = config.train, corpus_of(config.data)
    written = _written(train.backbone)
    model = (train.backbone, train.device, train.dtype, train.max_length, written)
    loading = _backbone(*model)
    surveying = _survey(model, config.data.model_dump_json(), loading, corpus)
    if not surveying.done():
        return None
    fault = surveying.exception()
    if fault is not None and not isinstance(fault, StcError):
        forget_plans()  # not a refusal, so another try may succeed
    surveyed = surveying.result()
    from stc_core.recipes.planning.plan import plan

    return plan(config, corpus, backbone=loading.result(), surveyed=surveyed)


@st.cache_resource(show_spinner=False)
def _beside() -> ThreadPoolExecutor:
    """A thread that prepares plans one after another while the page can be used."""
    return ThreadPoolExecutor(1, "plan")


@st.cache_resource(max_entries=1, ttl=600, show_spinner=False)
def _backbone(
    name: str, device: str, dtype: str, max_length: int | None, written: int
) -> "Future[Backbone]":
    def load() -> "Backbone":
        from stc_core.backbone.backbone import Backbone  # seconds of imports

        return Backbone.load(name, device=device, dtype=dtype, max_length=max_length)

    return _beside().submit(load)


@st.cache_resource(max_entries=4, ttl=600, show_spinner=False)
def _survey(
    place: tuple, data: str, _loading: "Future[Backbone]", _corpus: Corpus
) -> "Future[Survey]":
    def measure() -> "Survey":
        backbone = _loading.result()  # the same thread has loaded it before
        from stc_core.recipes.planning.forecast import survey

        return survey(backbone, _corpus.texts)

    return _beside().submit(measure)


def forget_plans() -> None:
    """Drop the loaded model and its timing, so that the next plan does both again."""
    _backbone.clear()
    _survey.clear()


def _written(backbone: str) -> int:
    """When a file of the model was last written."""
    folder = resolve(backbone)
    files = [path for path in folder.iterdir() if path.exists()]
    return max(path.stat().st_mtime_ns for path in [folder, *files])


def is_local(backbone: str) -> bool:
    """True if `backbone` can be loaded without a network, by a user of the app."""
    if backbone in cached_names():
        return True
    return local_folder(backbone) is not None and not _is_elsewhere(backbone)


def _is_elsewhere(name: str) -> bool:
    """Whether a name is the path of a folder, or of nothing, outside the allowed ones.

    A path looks the same whether its folder exists or not: the answer tells nothing
    about this machine.
    """
    if local_folder(name) is None and not name.startswith(("/", "~", ".")):
        return False
    try:
        path = Path(name).expanduser().resolve()
    except (OSError, ValueError, RuntimeError):  # no folder can have this name
        return True
    return not any(path.is_relative_to(folder) for folder in model_folders())


def weight_bytes(backbone: str) -> int:
    """The size of the weight files of a backbone on this machine, in bytes."""
    return sum(path.stat().st_size for path in weight_files(resolve(backbone)))


def check_backbone(name: str) -> None:
    """Raise StcError if `name` is neither a local model nor a valid Hub id.

    A path must lead into one of `model_folders()`: whoever opens the app may not look
    at other folders of this machine.
    """
    if name not in cached_names() and _is_elsewhere(name):
        allowed = [str(folder) for folder in model_folders()]
        raise StcError(
            f"language model {name!r}",
            expected=f"a Hugging Face id, or a folder in {' or '.join(allowed)}",
            remedy="Move the model there, or name its folder in $STC_MODELS before "
            "the app starts.",
        )
    if is_local(name):
        resolve(name)
        return
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise StcError(
            f"language model {name!r}",
            expected="a folder on this machine, or a Hugging Face id like 'gpt2'",
            remedy="Choose one from the list, or correct the name.",
        ) from error


@st.cache_resource(show_spinner="Looking for a GPU …")
def devices() -> dict[str, str]:
    """The devices that a run can use, each with a description for people."""
    import torch

    names = {"auto": "the GPU if there is one", "cpu": f"{os.cpu_count()} cores"}
    if torch.cuda.is_available():
        names["cuda"] = torch.cuda.get_device_name(0)
    names["auto"] = names.get("cuda", "no GPU found: the CPU")
    return names
