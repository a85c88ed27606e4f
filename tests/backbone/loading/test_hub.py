"""From names to folders: the embedded one, local ones, and a Hub served from here."""

import errno
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import torch

from helpers.models.tiny import TEXTS, tiny_model, tiny_tokenizer
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading import hub
from stc_core.config import DEFAULT_BACKBONE
from stc_core.errors import StcError
from stc_core.types import PooledSite

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """An empty home of its own."""
    monkeypatch.setenv("STC_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "cached_models"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A tiny GPT-2 as `save_pretrained` leaves it."""
    path = tmp_path / "tiny gpt2"
    tiny_model("gpt2").save_pretrained(path)
    tiny_tokenizer("none", specials=False).save_pretrained(path)
    return path


def use_hub(monkeypatch, url: str) -> None:
    """What HF_ENDPOINT does when huggingface_hub is imported."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    monkeypatch.setattr(
        huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template
    )


@pytest.fixture
def server(folder, monkeypatch) -> Iterator[list[str]]:
    """A Hub with one model, `someone/tiny`; what is asked of it is listed."""
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"other")
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def log_message(self, *args) -> None:
            pass

        def reply(self, status: int, body: bytes, *, send: bool, **headers) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if send:
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET(send=False)

        def do_GET(self, *, send: bool = True) -> None:
            path = self.path.partition("?")[0]
            asked.append(path)
            if path.startswith("/api/models/someone/tiny"):
                files = [p for p in folder.rglob("*") if p.is_file()]
                names = [str(p.relative_to(folder)) for p in files]
                sizes = [p.stat().st_size for p in files]
                body = json.dumps(
                    {
                        "id": "someone/tiny",
                        "sha": SHA,
                        "siblings": [
                            {"rfilename": name, "size": size}
                            for name, size in zip(names, sizes, strict=True)
                        ],
                    }
                )
                return self.reply(200, body.encode(), send=send)
            file = folder / path.rpartition("/")[2]
            if not path.startswith("/someone/tiny/resolve/") or not file.is_file():
                missing = {"X_Error_Code": "RepoNotFound"}
                return self.reply(404, b"", send=send, **missing)
            about = {"ETag": f'"{file.name}"', "X_Repo_Commit": SHA}
            return self.reply(200, file.read_bytes(), send=send, **about)

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    use_hub(monkeypatch, f"http://127.0.0.1:{httpd.server_port}")
    yield asked
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.mark.parametrize("name", hub.EMBEDDED)
def test_the_embedded_backbone_needs_no_network(name, models):
    assert (hub.resolve(name) / "model.safetensors").is_file()
    assert hub.cached_names() == (DEFAULT_BACKBONE,)


def test_a_local_folder_loads_as_it_was_saved(folder):
    loaded = Backbone.load(str(folder), device="cpu")
    kept = Backbone.from_model(tiny_model("gpt2"), tiny_tokenizer("none"))
    ids = loaded.tokenize(TEXTS[:5]).ids
    wanted = [PooledSite(site, "mean") for site in kept.sites]
    expected = kept.pooled(ids, wanted)
    for key, block in loaded.pooled(ids, wanted).items():
        torch.testing.assert_close(block, expected[key])


def test_a_hub_model_is_fetched_once_with_progress(server, models, capfd):
    seen: list[tuple[int, int]] = []
    backbone = Backbone.load(
        "someone/tiny", device="cpu", progress=lambda *step: seen.append(step)
    )
    assert (backbone.name, backbone.family) == ("someone/tiny", "gpt2")
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] > 0
    assert "".join(capfd.readouterr()) == ""
    kept = models / "someone--tiny"
    assert not list(kept.glob("*.bin"))
    assert not (kept / "onnx").exists()
    assert hub.cached_names() == (DEFAULT_BACKBONE, "someone/tiny")

    server.clear()
    again = Backbone.load("someone/tiny", device="cpu")
    assert server == []
    assert again.identity == backbone.identity


def test_half_a_download_is_not_a_model(server, models, monkeypatch):
    fetch = huggingface_hub.hf_hub_download

    def break_off(name, file, **options):
        if file == "model.safetensors":
            raise OSError("the line is cut")
        return fetch(name, file, **options)

    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub, "hf_hub_download", break_off)
        with pytest.raises(StcError, match="cannot be reached"):
            hub.resolve("someone/tiny")
    assert hub.cached_names() == (DEFAULT_BACKBONE,)
    assert hub.resolve("someone/tiny") == models / "someone--tiny"


def test_a_full_disk_is_not_a_hub_that_is_away(server, models, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(StcError, match=r"No space left.*Free some disk space"):
        hub.resolve("someone/tiny")


def test_what_the_hub_does_not_have(server, models):
    with pytest.raises(StcError, match=r"nobody/nothing.*got neither"):
        hub.resolve("nobody/nothing")


def test_offline_says_what_is_here(models, folder, monkeypatch):
    shutil.copytree(folder, models / "someone--kept")
    use_hub(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(
        StcError, match=rf"cannot be reached.*{DEFAULT_BACKBONE}, someone/kept"
    ):
        hub.resolve("someone/absent")
    assert hub.resolve("someone/kept") == models / "someone--kept"


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "a/b/c", "~/x", "what?"])
def test_a_path_that_is_not_there(name, models):
    with pytest.raises(StcError, match="no such folder"):
        hub.resolve(name)


def test_pickled_weights_are_refused(folder, models):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(StcError, match="pickled weights, which could run code"):
        Backbone.load(str(folder))
    with pytest.raises(StcError, match="pickled weights, which could run code"):
        hub.wanted_files(["config.json", "pytorch_model.bin"], "someone/pickled")


def test_of_a_repository_only_what_is_needed_is_wanted():
    files = [
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "consolidated.safetensors",
        "pytorch_model.bin",
        "tokenizer.json",
        "onnx/config.json",
        "README.md",
    ]
    assert hub.wanted_files(files, "x") == [
        "model.safetensors.index.json",
        "tokenizer.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]


def test_a_missing_shard_is_named(folder):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"wte.weight": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(StcError, match=r"model-00001-of-00001\.safetensors"):
        Backbone.load(str(folder))


def edit_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_code_that_comes_with_a_model_is_never_run(folder):
    auto_map = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}
    edit_config(folder, model_type="evil", auto_map=auto_map)
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(StcError, match="comes with its own code"):
        Backbone.load(str(folder))
    edit_config(folder, model_type="gpt2")  # known: its own code is not needed
    assert Backbone.load(str(folder), device="cpu").family == "gpt2"


def test_an_unknown_family_is_named(folder):
    edit_config(folder, model_type="nonesuch")
    with pytest.raises(StcError, match=r"transformers knows; got 'nonesuch'"):
        Backbone.load(str(folder))


def test_a_folder_without_a_model(tmp_path, models):
    with pytest.raises(StcError, match=r"expected config\.json"):
        Backbone.load(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(StcError, match="valid JSON"):
        Backbone.load(str(tmp_path))


def test_weights_of_another_model_are_refused(folder):
    edit_config(folder, n_layer=5)
    with pytest.raises(
        StcError, match=r"weights for every part of the model; got no weights for \d+"
    ):
        Backbone.load(str(folder), device="cpu")


def test_broken_weights_are_refused(folder):
    (folder / "model.safetensors").write_bytes(b"not safetensors at all")
    with pytest.raises(StcError, match=r"model\.safetensors'.*got a damaged file"):
        Backbone.load(str(folder), device="cpu")


def test_identity_is_of_the_bytes_not_of_the_place(folder, tmp_path):
    one = hub.identity(folder)
    copy = shutil.copytree(folder, tmp_path / "copy")
    edit_config(copy, transformers_version="0.0", _name_or_path="elsewhere")
    assert hub.identity(copy) == one
    for name in ("model.safetensors", "tokenizer.json"):
        path = copy / name
        before = path.read_bytes()
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        assert hub.identity(copy) != one
        path.write_bytes(before)
    settings = copy / "tokenizer_config.json"
    held = json.loads(settings.read_text("utf-8"))
    settings.write_text(json.dumps({**held, "name_or_path": "elsewhere"}))
    assert hub.identity(copy) == one
    for change in ({"truncation_side": "left"}, {"do_lower_case": False}):
        settings.write_text(json.dumps({**held, **change}))
        assert hub.identity(copy) != one
    settings.write_text(json.dumps(held))
    edit_config(copy, layer_norm_epsilon=1e-3)
    assert hub.identity(copy) != one


@pytest.mark.parametrize(
    ("architectures", "writes"),
    [
        (["GPT2LMHeadModel"], True),
        (["LlamaForCausalLM"], True),
        (["BertForMaskedLM"], False),
        (["T5ForConditionalGeneration"], False),
        ([], False),
        (None, False),
    ],
)
def test_what_writes_says_so_in_its_config(folder, tmp_path, architectures, writes):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    edit_config(copy, architectures=architectures)
    assert hub.can_write(str(copy)) is writes


def test_the_embedded_backbone_and_a_tuned_one_do_not_write(tmp_path):
    assert not hub.can_write(DEFAULT_BACKBONE)
    (tmp_path / hub.CHANGES).write_text("{}")
    assert not hub.can_write(str(tmp_path))
