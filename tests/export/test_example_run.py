"""The example run: the archive in samples/ is of today, true, and never changed."""

import hashlib
import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from stc_core.config import RUN_FORMAT, RunConfig
from stc_core.data.table import read_table
from stc_core.data.uploads import SAMPLE_PATH
from stc_core.errors import StcError
from stc_core.export import example_run
from stc_core.export.bundle import write_bundle
from stc_core.export.example_run import (
    EXAMPLE_PATH,
    example_metrics,
    find_example,
    open_example,
    pack_example,
    unpack_example,
)
from stc_core.export.imported import import_bundle
from stc_core.files import write_json
from stc_core.interpret.explanation import token_parts, words
from stc_core.recipes.settings_file import settings_from_file
from stc_core.recipes.shrink_settings import shrink_config
from stc_core.runs import trash
from stc_core.runs.annotations import rename, star
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import check_metrics
from stc_core.runs.run import EXAMPLE, Run, list_runs
from ui.home import EXAMPLE_NEURON, EXAMPLE_TEXT

NOT_IN_ARCHIVE = {"worker.json", "about.json"}


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("example") / "run"
    unpack_example(EXAMPLE_PATH, folder)
    return Run.open(folder)


def names_in(folder: Path) -> set[str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix() for file in files}


def contents(archive: Path) -> dict[str, bytes]:
    with ZipFile(archive) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def columns(run: Run) -> dict[str, list[str]]:
    parts = "probes by_class control neurons curves frontier predictions corpus".split()
    return {part: list(getattr(run, part)) for part in parts}


def test_the_archive_is_what_a_training_of_today_leaves(example, run_folder):
    """If this fails, run docs/example_run.py."""
    assert example.config.format == RUN_FORMAT
    packed = json.loads((example.folder / "config.json").read_text("utf-8"))
    whole = RunConfig(data=example.config.data).model_dump(mode="json")
    assert packed.keys() == whole.keys()
    assert packed["train"].keys() == whole["train"].keys()
    assert names_in(example.folder) == names_in(run_folder) - NOT_IN_ARCHIVE
    assert columns(example) == columns(Run(run_folder))
    tried = Run(run_folder).metrics.keys() - {"words"}  # the example reads none
    assert example.metrics.keys() == tried
    check_metrics(example.metrics)


def test_the_archive_is_of_the_sample_of_today(example):
    sample = read_table(SAMPLE_PATH)
    assert example.corpus["text"].tolist() == sample["text"].tolist()
    assert example.corpus["label"].tolist() == sample["topic"].tolist()
    assert example.config.data.path == str(SAMPLE_PATH)


def test_the_classifier_gives_the_answers_that_the_archive_says(example):
    rows = example.corpus["split"] == "test"
    texts = example.corpus.loc[rows, "text"].tolist()[:24]
    answers = example.classifier(device="cpu").predict_proba(texts)
    told = example.predictions[rows].filter(like="p:").to_numpy()[:24]
    np.testing.assert_allclose(answers, told, atol=1e-3)


def test_what_home_promises_of_the_example_is_true(example):
    text = example.corpus["text"][EXAMPLE_TEXT]
    assert example.corpus["label"][EXAMPLE_TEXT] == "product_quality"
    told = example.classifier(device="cpu").explain(text)
    assert told["label"] == "subscription"
    parts = words(text, token_parts(told, "subscription"))
    assert max(parts, key=lambda part: part.value).text == "subscribe"
    site, index, pooling = EXAMPLE_NEURON.rsplit(".", 2)
    kept = example.neurons
    (place,) = np.flatnonzero(
        (kept["site"] == site)
        & (kept["index"] == int(index))
        & (kept["pooling"] == pooling)
    )
    highest = np.argsort(-np.asarray(example.activations)[:, place])[:20]
    assert set(example.corpus["label"].to_numpy()[highest]) == {"subscription"}


def test_the_archive_has_no_path_and_no_process_of_a_machine():
    with ZipFile(EXAMPLE_PATH) as packed:
        content = b"".join(packed.read(name) for name in packed.namelist())
        status = json.loads(packed.read("status.json"))
    assert (status["pid"], status["host"], status["state"]) == (None, None, "done")
    for part in (b"/work", b"/home", b"/tmp", b"/root", b"/Users"):
        assert part not in content


def test_opening_makes_one_copy_and_never_changes_the_archive(own_home):
    before = hashlib.sha256(EXAMPLE_PATH.read_bytes()).digest()
    assert find_example() is None
    run = open_example()
    assert run.folder == own_home / "runs" / "example" and run.done
    star(run.folder, 3, on=True)
    rename(run.folder, "mine")
    assert open_example().folder == run.folder and len(list_runs()) == 1
    assert hashlib.sha256(EXAMPLE_PATH.read_bytes()).digest() == before


def test_the_example_is_called_so_whatever_it_is_renamed_to(own_home):
    run = open_example()
    assert run.is_example and run.name.startswith(EXAMPLE)
    rename(run.folder, "mine")
    assert (run.name, run.base_name) == (f"{EXAMPLE}mine", "mine")
    rename(run.folder, run.name)
    assert run.name == f"{EXAMPLE}mine"


def test_a_deleted_example_can_be_opened_again(own_home):
    trash.delete(open_example())
    assert list_runs() == []
    assert open_example().metrics == example_metrics()


def test_a_run_of_the_user_in_its_place_is_not_replaced(own_home, run_folder):
    (own_home / "runs").mkdir(parents=True)
    (own_home / "runs" / "example").symlink_to(run_folder, target_is_directory=True)
    assert open_example().folder.name == "example-2"


def test_a_packed_run_comes_back_with_its_values(example, tmp_path):
    archive = tmp_path / "again.zip"
    pack_example(example, archive)
    assert contents(archive) == contents(EXAMPLE_PATH)


def test_a_run_made_from_the_example_is_no_example(own_home):
    smaller = shrink_config(open_example(), max_neurons=64)
    assert (
        not smaller.example and smaller.name == "customer messages by topic · smaller"
    )


def test_without_the_archive_it_says_what_to_do(own_home, tmp_path, monkeypatch):
    monkeypatch.setattr(example_run, "EXAMPLE_PATH", tmp_path / "none.zip")
    with pytest.raises(StcError, match="samples/"):
        open_example()


def test_a_run_from_the_settings_of_the_example_is_no_example(own_home):
    settings = settings_from_file(open_example().folder, name="mine")
    assert settings.name == "mine" and not settings.example


def test_a_run_that_claims_to_be_the_example_is_not_found(own_home):
    claimed = own_home / "runs" / "claimed"
    unpack_example(EXAMPLE_PATH, claimed)
    config = Run(claimed).config.changed(created="2030-01-01T00:00:00+00:00")
    write_json(claimed / RunFile.CONFIG, config)
    assert Run(claimed).is_example and find_example() is None
    assert open_example().folder.name == "example"
    found = find_example()
    assert found is not None and found.folder.name == "example"


def test_an_imported_example_is_a_run_of_the_user(own_home, tmp_path):
    write_bundle(open_example(), tmp_path / "bundle.zip")
    imported = import_bundle(tmp_path / "bundle.zip")
    assert not imported.is_example and not imported.name.startswith(EXAMPLE)
    found = find_example()
    assert found is not None and found.folder.name == "example"


def pointer() -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1268624\n"


@pytest.mark.parametrize("fault", ["a pointer", "cut off", "other bytes", "no member"])
def test_a_damaged_archive_is_said(fault, own_home, tmp_path, monkeypatch):
    whole = EXAMPLE_PATH.read_bytes()
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(
        {
            "a pointer": pointer(),
            "cut off": whole[: len(whole) // 2],
            "other bytes": b"\0" * (len(whole) - 4096) + whole[-4096:],
        }.get(fault, b"")
    )
    if fault == "no member":
        with ZipFile(damaged, "w") as packed:
            packed.writestr("other.txt", "")
    monkeypatch.setattr(example_run, "EXAMPLE_PATH", damaged)
    for look in (example_metrics, open_example):
        with pytest.raises(StcError, match=r"a damaged file.*samples/"):
            look()
    assert list_runs() == []
