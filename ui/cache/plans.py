"""What a training will take, found out beside the page before it starts."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
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
from ui.cache.tables import corpus_of

if TYPE_CHECKING:
    from stc_core.backbone.backbone import Backbone
    from stc_core.recipes.planning.forecast import Survey


def expected_plan(config: RunConfig) -> dict[str, Any] | None:
    """What the run will take, before it starts: seconds, memory and disk.

    None while the backbone is being loaded and timed, beside the page and once for
    all settings that leave backbone and texts as they are. Raises what went wrong; a
    model that was refused is tried again when its files change, or after `forget`.
    """
    train, corpus = config.train, corpus_of(config.data)
    written = _written(train.backbone)
    place = (train.backbone, train.device, train.dtype, train.max_length, written)
    loading = _backbone(*place)
    surveying = _survey(place, config.data.model_dump_json(), loading, corpus)
    if not surveying.done():
        return None
    fault = surveying.exception()
    if fault is not None and not isinstance(fault, StcError):
        forget()  # no refusal, which would be the same next time
    surveyed = surveying.result()
    from stc_core.recipes.planning.plan import plan

    return plan(config, corpus, backbone=loading.result(), surveyed=surveyed)


@st.cache_resource(show_spinner=False)
def _beside() -> ThreadPoolExecutor:
    """Where slow preparations go on, one after another, while the page is there."""
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
        backbone = _loading.result()  # it was asked for before, so it has ended
        from stc_core.recipes.planning.forecast import survey

        return survey(backbone, _corpus.texts)

    return _beside().submit(measure)


def forget() -> None:
    """Load and time the model again when it is next asked for."""
    _backbone.clear()
    _survey.clear()


def _written(backbone: str) -> int:
    """When a file of the model was last written."""
    files = [resolve(backbone), *resolve(backbone).iterdir()]
    return max(path.stat().st_mtime_ns for path in files)


def is_here(backbone: str) -> bool:
    """True if `backbone` can be loaded with no network."""
    return backbone in cached_names() or local_folder(backbone) is not None


def weight_bytes(backbone: str) -> int:
    """How large the weights of a backbone are that is here."""
    return sum(path.stat().st_size for path in weight_files(resolve(backbone)))


def check_backbone(name: str) -> None:
    """Refuse a name that can be neither loaded from here nor asked for at the Hub."""
    if is_here(name):
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
    """The devices a worker can be sent to, each with what is found there."""
    import torch

    found = {"auto": "the GPU if there is one", "cpu": f"{os.cpu_count()} cores"}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_device_name(0)
    found["auto"] = found.get("cuda", "no GPU found: the CPU")
    return found
