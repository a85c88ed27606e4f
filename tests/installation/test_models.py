"""The models of the home: listed, added from folders and the Hub, and removed."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest

from helpers.app import written_run
from helpers.models.broken import broken
from helpers.models.saved import tuned_folder
from helpers.models.tiny import saved_tiny
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading import hub
from stc_core.config import DEFAULT_BACKBONE, DataConfig, RunConfig, TrainConfig
from stc_core.errors import StcError
from stc_core.installation import models
from stc_core.installation.models import add_model, list_models, remove_model
from stc_core.paths import models_folder, runs_folder
from stc_core.runs.status import new_status
from stc_core.runs.writer import RunWriter, create_run


@pytest.fixture(autouse=True)
def home(own_home: Path) -> Path:
    return own_home


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved_tiny(tmp_path / "tiny model", "gpt2")


def run_of(name: str, backbone: str, *, state: str = "done") -> None:
    """A run in the runs folder that names this backbone."""
    config = RunConfig(
        name=name, data=DataConfig(path="x"), train=TrainConfig(backbone=backbone)
    )
    folder = runs_folder() / name
    if state == "done":
        RunWriter(folder, config).finish()
    else:
        create_run(folder, config, status=new_status("queued"))


def ids() -> list[str]:
    return [model.id for model in list_models()]


def test_the_embedded_model_is_always_listed():
    (model,) = list_models()
    assert model.id == DEFAULT_BACKBONE and model.embedded
    assert (model.family, model.kind, model.runs) == ("bert", "encoder", ())
    weights = model.folder / "model.safetensors"
    assert model.n_bytes > weights.stat().st_size


def test_without_its_package_the_embedded_model_is_not_listed(monkeypatch):
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    assert list_models() == []


def test_a_folder_is_copied_and_answers_as_before(folder: Path):
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"other")
    added = add_model(str(folder), name="someone/tiny")
    assert ids() == [DEFAULT_BACKBONE, "someone/tiny"]
    assert added.model == list_models()[1]
    assert (added.model.family, added.model.kind) == ("gpt2", "decoder")
    copy = models_folder() / "someone--tiny"
    assert not [*copy.glob("*.bin"), *copy.glob("onnx")]
    ours = Backbone.load("someone/tiny", device="cpu")
    assert ours.identity == Backbone.load(str(folder), device="cpu").identity
    assert [path.name for path in models_folder().iterdir()] == ["someone--tiny"]


def test_the_name_is_that_of_the_folder_if_it_can_be(folder: Path, tmp_path: Path):
    with pytest.raises(StcError, match=r"name 'tiny model'.*--name"):
        add_model(str(folder))
    folder.rename(tmp_path / "plain")
    assert add_model(str(tmp_path / "plain")).model.id == "plain"


@pytest.mark.parametrize("name", ["../up", "a/b/c", "", ".hidden", "x" * 97])
def test_a_name_cannot_leave_the_folder(name: str, folder: Path):
    with pytest.raises(StcError, match="expected a name like"):
        add_model(str(folder), name=name)
    assert not models_folder().exists()


@pytest.mark.parametrize(
    "name", ["my--model", "a/b--c", "tiny.partial", "someone/tiny.partial", "a---b"]
)
def test_what_could_not_be_listed_or_removed_is_not_added(
    name: str, folder: Path, tmp_path: Path
):
    with pytest.raises(StcError, match=r"without '--'.*--name"):
        add_model(str(folder), name=name)
    if "/" not in name:
        folder.rename(tmp_path / name)
        with pytest.raises(StcError, match=r"without '--'.*--name"):
            add_model(str(tmp_path / name))
    with pytest.raises(StcError, match=r"without '--'.*Download it yourself"):
        add_model(name)
    assert not models_folder().exists()


@pytest.mark.parametrize("name", ["tiny", "a-b/c-d", "a.b/c_d", "tiny.partial.2"])
def test_what_is_added_is_listed_and_can_be_removed(name: str, folder: Path):
    assert add_model(str(folder), name=name).model.id == name
    assert name in ids()
    assert remove_model(name).id == name
    assert ids() == [DEFAULT_BACKBONE]


def test_a_name_is_taken_once(folder: Path):
    add_model(str(folder), name="tiny")
    before = {path: path.stat().st_mtime_ns for path in models_folder().rglob("*")}
    for name in ("tiny", *hub.EMBEDDED):
        with pytest.raises(StcError, match="expected a name that no model has"):
            add_model(str(folder), name=name)
    assert before == {
        path: path.stat().st_mtime_ns for path in models_folder().rglob("*")
    }


@pytest.mark.parametrize(
    "fault", ["weights are cut", "weights are pickled", "config has no family"]
)
def test_what_cannot_be_loaded_is_refused(fault: str, tmp_path: Path):
    folder = {
        "weights are cut": lambda: broken("weights are cut", tmp_path),
        "weights are pickled": lambda: pickled(tmp_path),
        "config has no family": lambda: without_family(tmp_path),
    }[fault]()
    with pytest.raises(StcError):
        add_model(str(folder), name="tiny")
    assert ids() == [DEFAULT_BACKBONE]
    assert not models_folder().exists() or not [*models_folder().iterdir()]


def pickled(tmp_path: Path) -> Path:
    folder = saved_tiny(tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return folder


def without_family(tmp_path: Path) -> Path:
    folder = saved_tiny(tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "odd"}))
    return folder


def test_a_tuned_model_belongs_to_its_run(tmp_path: Path):
    with pytest.raises(StcError, match="one that a run tuned"):
        add_model(str(tuned_folder(tmp_path)), name="tuned")


def test_a_copy_that_differs_is_not_kept(folder: Path, monkeypatch):
    monkeypatch.setattr(
        models, "_read_files", lambda folder: [*folder.glob("*.safetensors")]
    )
    monkeypatch.setattr(hub, "identity", lambda folder: folder.name)
    with pytest.raises(StcError, match="others in the copy"):
        add_model(str(folder), name="tiny")
    assert not [*models_folder().iterdir()]


def test_a_large_model_is_checked_but_not_loaded(folder: Path, monkeypatch):
    monkeypatch.setattr(models, "LARGE_BYTES", 10)
    monkeypatch.setattr(Backbone, "load", None)
    (note,) = add_model(str(folder), name="tiny").notes
    assert "was not loaded" in note


def fetched(folder: Path, monkeypatch) -> None:
    """A download of any id brings the files of this folder."""

    def download(name: str, target: Path, *, progress=None) -> None:
        shutil.copytree(folder, target)

    monkeypatch.setattr(hub, "_download", download)


def test_a_model_of_the_hub_is_downloaded_and_checked(folder: Path, monkeypatch):
    fetched(folder, monkeypatch)
    assert add_model("someone/tiny").model.id == "someone/tiny"
    assert add_model("someone/tiny").model.id == "someone/tiny"  # it is here
    assert ids() == [DEFAULT_BACKBONE, "someone/tiny"]
    with pytest.raises(StcError, match=r"option --name.*which is no folder"):
        add_model("someone/other", name="mine")


def test_a_download_that_never_began_leaves_no_folder(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StcError, match="cannot be reached"):
        add_model("someone/tiny")
    assert not [*models_folder().glob("*/")]


def test_a_download_that_cannot_be_used_is_removed(tmp_path: Path, monkeypatch):
    fetched(broken("weights are cut", tmp_path), monkeypatch)
    with pytest.raises(StcError, match="cut off"):
        add_model("someone/tiny")
    assert ids() == [DEFAULT_BACKBONE]
    assert not [*models_folder().iterdir()]


def test_the_runs_of_a_model_are_named(folder: Path):
    add_model(str(folder), name="someone/tiny")
    run_of("by-id", "someone/tiny")
    run_of("by-path", str(models_folder() / "someone--tiny"))
    run_of("another", str(folder))
    run_of("default", DEFAULT_BACKBONE)
    run_of("by-long-id", hub.EMBEDDED[1])
    used = {model.id: set(model.runs) for model in list_models()}
    assert used["someone/tiny"] == {"by-id", "by-path"}
    assert used[DEFAULT_BACKBONE] == {"default", "by-long-id"}


def test_a_run_on_a_tuned_model_uses_its_base(tmp_path: Path, monkeypatch):
    tuned = tuned_folder(tmp_path)
    changes = json.loads((tuned / hub.CHANGES).read_text())
    add_model(str(tmp_path / "base"), name="base")
    (tuned / hub.CHANGES).write_text(json.dumps(changes | {"base": "base"}))
    shutil.rmtree(tmp_path / "base")
    run_of("on-tuned", str(tuned))
    assert list_models()[1].runs == ("on-tuned",)
    remove_model("base", force=True)
    monkeypatch.setattr(hub, "_download", None)  # a list asks for nothing
    assert ids() == [DEFAULT_BACKBONE]


def test_a_damaged_run_uses_nothing(folder: Path):
    add_model(str(folder), name="tiny")
    run_of("damaged", "tiny")
    (runs_folder() / "damaged" / "config.json").write_text("{")
    assert list_models()[1].runs == ()


def test_a_model_without_runs_is_removed_and_nothing_else(folder: Path):
    add_model(str(folder), name="tiny")
    add_model(str(folder), name="other")
    written_run(runs_folder() / "one", "one")
    before = set(runs_folder().rglob("*"))
    assert remove_model("tiny").id == "tiny"
    assert ids() == [DEFAULT_BACKBONE, "other"]
    assert [path.name for path in models_folder().iterdir()] == ["other"]
    assert set(runs_folder().rglob("*")) == before and folder.is_dir()


def test_a_model_with_runs_is_removed_by_force_alone(folder: Path):
    add_model(str(folder), name="tiny")
    for number in range(7):
        run_of(f"run{number}", "tiny")
    with pytest.raises(StcError, match=r"used by run.* and 2 more.*--force"):
        remove_model("tiny")
    assert "tiny" in ids()
    assert len(remove_model("tiny", force=True).runs) == 7
    assert ids() == [DEFAULT_BACKBONE]
    assert len([*runs_folder().iterdir()]) == 7


def test_a_model_at_work_is_not_removed_by_force(folder: Path):
    add_model(str(folder), name="tiny")
    run_of("waits", "tiny", state="queued")
    with pytest.raises(StcError, match="no run is working with; got one that is used"):
        remove_model("tiny", force=True)
    assert "tiny" in ids()


@pytest.mark.parametrize("name", [*hub.EMBEDDED, "none", "../runs", ""])
def test_what_is_no_model_of_the_home_is_not_removed(name: str, folder: Path):
    add_model(str(folder), name="tiny")
    run_of("one", "tiny")
    with pytest.raises(StcError, match=f"model '{name}'"):
        remove_model(name, force=True)
    assert "tiny" in ids() and (runs_folder() / "one").is_dir()


def test_of_a_link_only_the_link_is_removed(folder: Path):
    models_folder().mkdir(parents=True)
    (models_folder() / "tiny").symlink_to(folder)
    remove_model("tiny")
    assert (folder / "config.json").is_file() and ids() == [DEFAULT_BACKBONE]


@pytest.mark.parametrize(
    ("family", "kind"),
    [("bert", "encoder"), ("gpt2", "decoder"), ("t5", "encoder-decoder")],
)
def test_the_kind_is_read_from_the_configuration(
    family: str, kind: str, tmp_path: Path
):
    add_model(str(saved_tiny(tmp_path / "model", family)), name="tiny")
    assert list_models()[1].kind == kind


def test_a_damaged_configuration_does_not_break_the_list(folder: Path):
    add_model(str(folder), name="tiny")
    (models_folder() / "tiny" / "config.json").write_text("{")
    assert (list_models()[1].family, list_models()[1].kind) == ("unknown", "unknown")
