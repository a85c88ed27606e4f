"""Every file that transformers reads is in the identity of its folder."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from helpers.models.broken import put, save_bert
from helpers.models.tiny import tiny_tokenizer
from helpers.models.vocabularies import FAMILIES, TEXT, published
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading import hub, loader_files
from stc_core.backbone.loading.checkpoint import quiet
from stc_core.config import DEFAULT_BACKBONE
from stc_core.errors import StcError
from stc_core.types import PooledSite

_WATCHED: list[set[str]] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _WATCHED and event == "open" and isinstance(arguments[0], (str, Path)):
        _WATCHED[0].add(str(arguments[0]))


sys.addaudithook(_watch)  # it stays, and does nothing unless something is watched


@contextmanager
def opened_in(folder: Path) -> Iterator[set[str]]:
    """The files of `folder` that Python opens within it; Rust and C++ are not seen."""
    seen: set[str] = set()
    names: set[str] = set()
    _WATCHED.append(seen)
    try:
        yield names
    finally:
        _WATCHED.clear()
        paths = (Path(one) for one in seen)
        names |= {
            one.relative_to(folder).as_posix()
            for one in paths
            if one.is_relative_to(folder)
        }


def is_hashed(folder: Path, name: str) -> bool:
    """True if another content of the file is another identity."""
    path, before = folder / name, hub.identity(folder)
    held = path.read_bytes()
    try:
        if path.suffix == ".json":
            path.write_text(json.dumps({**json.loads(held), "more": 1}))
        else:
            path.write_bytes(held + b"\n")
        return hub.identity(folder) != before
    finally:
        path.write_bytes(held)


def ids(folder: Path) -> list[int] | None:
    """What the tokenizer in `folder` makes of a text; None if it cannot be loaded."""
    try:
        with quiet():
            found = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            return found(TEXT)["input_ids"]
    except Exception:  # noqa: BLE001 - each family fails in its own way
        return None


@pytest.fixture
def moses(monkeypatch) -> None:
    """Stands for sacremoses, which some tokenizers need: words stand between spaces."""

    class Plain:
        def __init__(self, *given: Any, **more: Any) -> None:
            pass

        def normalize(self, text: str) -> str:
            return text

        def tokenize(self, text: str, **more: Any) -> list[str]:
            return text.split()

    module: Any = ModuleType("sacremoses")
    module.MosesPunctNormalizer = module.MosesTokenizer = Plain
    module.MosesDetokenizer = Plain
    monkeypatch.setitem(sys.modules, "sacremoses", module)


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "with tokenizer.json"])
@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_a_tokenizer_reads_is_hashed(
    family: str, beside: bool, tmp_path: Path, moses: None
):
    names = published(family, tmp_path)
    if beside:
        backend = tiny_tokenizer("right").backend_tokenizer
        put("tokenizer.json", backend.to_str())(tmp_path)
        names = [*names, "tokenizer.json"]
    with opened_in(tmp_path) as opened:
        whole = ids(tmp_path)
    if not beside:
        assert whole is not None and len(set(whole)) > 3
    assert "config.json" in opened
    assert [name for name in opened if not is_hashed(tmp_path, name)] == []
    for name in names:  # whoever reads it, in whatever language
        path, before = tmp_path / name, hub.identity(tmp_path)
        held = path.read_bytes()
        path.unlink()
        assert ids(tmp_path) == whole or hub.identity(tmp_path) != before, name
        path.write_bytes(held)


def test_every_vocabulary_of_transformers_is_known():
    """Nothing that a tokenizer of transformers says it reads is left out."""
    home = Path(transformers.__file__).parent
    found: set[str] = set()
    for path in [*home.glob("tokenization_*.py"), *home.glob("models/*/tokeniz*.py")]:
        for block in re.findall(
            r"^VOCAB_FILES_NAMES[^{=]*= \{(.*?)\}", path.read_text("utf-8"), re.M | re.S
        ):
            found |= set(re.findall(r':\s*"([\w.-]+)"', block))
    assert {"vocab.txt", "source.spm", "bpe.codes", "spm.model"} <= found
    assert [name for name in sorted(found) if not loader_files.is_read(name)] == []


MORE = {
    "chat_template.jinja": "{{ messages }}",
    "additional_chat_templates/tool.jinja": "{{ messages }}",
    "special_tokens_map.json": '{"unk_token": "<unk>"}',
    "added_tokens.json": "{}",
    "generation_config.json": "{}",
    "README.md": "# A model",
    "notes.txt": "of a person",
}


@pytest.mark.parametrize("shards", [False, True], ids=["one file", "shards"])
def test_all_that_a_model_reads_is_hashed(shards: bool, tmp_path: Path, monkeypatch):
    folder = save_bert(tmp_path / "model")
    for name, held in MORE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        put(name, held)(folder)
    if shards:
        tensors = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        parts = {f"model-{n}.safetensors": list(tensors)[n - 1 :: 2] for n in (1, 2)}
        for name, keys in parts.items():
            save_file({key: tensors[key] for key in keys}, folder / name)
        where = {key: name for name, keys in parts.items() for key in keys}
        about = {"metadata": {}, "weight_map": where}
        put("model.safetensors.index.json", json.dumps(about))(folder)
    with opened_in(folder) as opened:
        Backbone.load(str(folder), device="cpu")
    assert {"config.json", "chat_template.jinja"} <= opened
    unread = {"model.safetensors.index.json"}  # its shards are hashed
    assert [n for n in opened - unread if not is_hashed(folder, n)] == []
    assert not is_hashed(folder, "README.md") and not is_hashed(folder, "notes.txt")


def test_the_tokenizer_of_one_version_is_hashed(tmp_path: Path):
    folder = save_bert(tmp_path / "model")
    other = "tokenizer.4.0.0.json"
    (folder / "tokenizer.json").rename(folder / other)
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    settings["fast_tokenizer_files"] = [other]
    put("tokenizer_config.json", json.dumps(settings))(folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    put("config.4.0.0.json", json.dumps({**config, "layer_norm_eps": 0.1}))(folder)
    config["configuration_files"] = ["config.4.0.0.json"]
    put("config.json", json.dumps(config))(folder)
    backbone = Backbone.load(str(folder), device="cpu")
    assert backbone.config.layer_norm_eps == 0.1  # it was read in its place
    assert is_hashed(folder, other) and is_hashed(folder, "config.4.0.0.json")


def test_weights_of_another_name_are_read_and_hashed(tmp_path: Path):
    folder = save_bert(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    before = Backbone.load(str(folder), device="cpu")
    save_file({k: 2 * v for k, v in tensors.items()}, folder / "other.safetensors")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["transformers_weights"] = "other.safetensors"
    put("config.json", json.dumps(config))(folder)
    after = Backbone.load(str(folder), device="cpu")
    rows, site = before.tokenize([TEXT]).ids, PooledSite(before.sites[-1], "mean")
    values = [one.pooled(rows, [site])[site] for one in (before, after)]
    assert not torch.equal(*values)
    assert hub.weight_files(folder) == [folder / "other.safetensors"]
    save_file(tensors, folder / "other.safetensors")
    assert hub.identity(folder) != after.identity


def test_the_class_that_config_json_chooses_is_hashed(tmp_path: Path):
    put("config.json", '{"model_type": "funnel", "architectures": ["A"]}')(tmp_path)
    one = hub.identity(tmp_path)
    put("config.json", '{"model_type": "funnel", "architectures": ["B"]}')(tmp_path)
    assert hub.identity(tmp_path) != one


@pytest.mark.parametrize("family", ["bert", "llama", "mistral", "deberta-v2"])
def test_words_beside_tokenizer_json_that_are_not_read_do_not_count(
    family: str, tmp_path: Path
):
    put("config.json", json.dumps({"model_type": family}))(tmp_path)
    put("tokenizer.json", "{}")(tmp_path)
    before = hub.identity(tmp_path)
    for name in ("vocab.txt", "tokenizer.model", "spm.model", "merges.txt"):
        put(name, "x")(tmp_path)
    assert hub.identity(tmp_path) == before


def test_adapters_that_come_later_are_refused(tmp_path: Path):
    folder = save_bert(tmp_path / "model")
    Backbone.load(str(folder), device="cpu")
    put("adapter_config.json", '{"peft_type": "LORA"}')(folder)
    with pytest.raises(StcError, match="adapters beside full weights"):
        Backbone.load(str(folder), device="cpu")
    with pytest.raises(StcError, match="adapters alone"):
        hub.wanted_files(["adapter_config.json", "adapter_model.safetensors"], "x")


@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_a_tokenizer_reads_is_fetched(family: str, tmp_path: Path):
    names = published(family, tmp_path)
    there = [*names, "chat_template.jinja", "additional_chat_templates/tool.jinja"]
    wanted = hub.wanted_files(["model.safetensors", "x.bin", *there], "x")
    assert set(there) < set(wanted) and "x.bin" not in wanted


def test_the_identity_of_a_plain_folder_is_what_it_was():
    """Classifiers and activations of earlier versions go on to be found by it."""
    identity = hub.identity(hub.resolve(DEFAULT_BACKBONE))
    assert identity.startswith("9030435225a5a0dd966e2fc698896e2a")
