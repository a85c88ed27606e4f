"""A data set of the Hub is a table like any other; what is not there is said."""

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import errors

from helpers.fake_hub import TOKEN, FakeHub, Repository, fake_hub
from stc_core.data.reading import hub_table
from stc_core.data.reading.hub_table import (
    HubTable,
    hub_table_file,
    is_hub_table,
    parse_hub_table,
)
from stc_core.data.reading.pipes import source_name
from stc_core.data.table import read_table
from stc_core.errors import StcError
from stc_core.paths import data_sets_folder

ROOT = Path(__file__).parents[3]
NAME = "hub:some/films"
WORDS = ("bad plot", "good film")


def parquet(n: int, start: int = 0) -> bytes:
    """A split as the Hub holds it: classes are numbers, with their names beside."""
    numbers = range(start, start + n)
    texts = [f"{WORDS[i % 2]} number {i}" for i in numbers]
    columns: dict[str, Any] = {"text": texts, "label": [i % 2 for i in numbers]}
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
    }
    about = json.dumps({"info": {"features": features}}).encode()
    buffer = io.BytesIO()
    table = pa.table(columns).replace_schema_metadata({b"huggingface": about})
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as made:
        made.repositories["datasets/some/films"] = Repository(
            private=True,
            files={
                "data/train-00000-of-00001.parquet": parquet(40),
                "data/test-00000-of-00001.parquet": parquet(12, start=40),
            },
        )
        yield made


def stc(hub: FakeHub, home: Path, *arguments: object) -> tuple[int, str]:
    """The command in a process of its own: the library reads its address at import."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(home / "hf"),
        "HF_TOKEN": TOKEN,
        "STC_HOME": str(home),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "stc_core", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert TOKEN not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_split_is_read_by_the_names_of_its_classes(
    hub: FakeHub, own_home: Path, monkeypatch
):
    code, said = stc(hub, own_home, "data", "check", f"{NAME}:test", "--json")
    assert code == 0, said
    report = json.loads(said)
    assert report["n_rows"] == 12 and set(report["classes"]) == {"neg", "pos"}
    assert report["source"]["name"] == f"{NAME}:test"
    (file,) = (own_home / "data_sets").iterdir()
    commit = hub.repositories["datasets/some/films"].commit
    assert file.name == f"some--films--test-{commit[:8]}.parquet"
    assert read_table(file)["text"].tolist()[0] == "bad plot number 40"
    # Another time it is not downloaded again, and without the Hub it is still there.
    hub.asked.clear()
    assert stc(hub, own_home, "data", "check", f"{NAME}:test")[0] == 0
    assert not [path for _, path, _ in hub.asked if "resolve" in path]
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert hub_table_file(f"{NAME}:test") == file


def test_a_local_folder_of_that_name_is_not_read(
    hub: FakeHub, own_home: Path, tmp_path: Path, monkeypatch
):
    """The library datasets would take it for the data set."""
    local = tmp_path / "some" / "films"
    local.mkdir(parents=True)
    (local / "test.csv").write_text("text,label\nlocal,local\n")
    monkeypatch.chdir(tmp_path)
    code, said = stc(hub, own_home, "data", "check", f"{NAME}:test", "--json")
    assert code == 0, said
    report = json.loads(said)
    assert report["n_rows"] == 12 and set(report["classes"]) == {"neg", "pos"}


def test_training_keeps_the_revision_of_today(hub: FakeHub, own_home: Path):
    code, said = stc(
        *(hub, own_home, "train", NAME, "--test", f"{NAME}:test", "--device", "cpu"),
        *("--text", "text", "--label", "label", "--kind", "resid"),
        *("--pooling", "mean", "--max-layer", 1, "--out", own_home / "run"),
    )
    assert code == 0, said
    config = json.loads((own_home / "run" / "config.json").read_text())
    commit = hub.repositories["datasets/some/films"].commit[:8]
    folder = own_home / "data_sets"
    assert f"{NAME} is kept as {folder}" in said
    assert config["data"]["path"] == str(
        folder / f"some--films--train-{commit}.parquet"
    )
    assert config["data"]["test_path"].endswith(f"test-{commit}.parquet")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{NAME}:nothing", "['train', 'test']"),
        (f"{NAME}/other:train", "other"),
        ("hub:some/none", "that you may see"),
    ],
)
def test_what_is_not_there_is_said(
    hub: FakeHub, own_home: Path, name: str, reason: str
):
    code, said = stc(hub, own_home, "data", "check", name)
    assert code == 2, said
    assert f"data set '{name}'" in said and reason in said
    assert list(own_home.glob("data_sets/*")) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hub:a/b", HubTable("a/b", None, "train")),
        ("hub:a/b:test", HubTable("a/b", None, "test")),
        ("hub:a/b/c-1:dev", HubTable("a/b", "c-1", "dev")),
    ],
)
def test_a_name_says_id_configuration_and_split(name: str, expected: HubTable):
    assert is_hub_table(name) and source_name(name) == name
    assert parse_hub_table(name) == expected


@pytest.mark.parametrize(
    "name", ["hub:", "hub:a", "hub:a/b:", "hub:a/../b:c", "hub:a b/c"]
)
def test_what_is_no_name_is_refused(name: str):
    with pytest.raises(StcError, match="hub:OWNER/NAME:SPLIT"):
        parse_hub_table(name)


def test_rows_are_written_in_batches_and_minus_one_is_no_class(
    tmp_path: Path, monkeypatch
):
    import datasets

    monkeypatch.setattr(hub_table, "_BATCH_ROWS", 3)
    label = datasets.ClassLabel(names=["neg", "pos"])
    features = datasets.Features({"text": datasets.Value("string"), "label": label})
    columns = {"text": list("abcdefg"), "label": [0, 1, -1, 1, 0, None, 0]}
    rows = datasets.Dataset.from_dict(columns, features=features)
    hub_table._write(rows, tmp_path / "t.parquet")
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == 3
    found = pq.read_table(tmp_path / "t.parquet").to_pydict()
    assert found["text"] == columns["text"]
    assert found["label"] == ["neg", "pos", None, "pos", "neg", None, "neg"]


def test_without_the_library_its_line_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(StcError, match=r"pip install 'stc-studio\[hub\]'"):
        hub_table._library()


def test_without_a_network_no_other_split_is_given(own_home: Path, monkeypatch):
    """Names that begin alike, or whose parts join to the same, are told apart."""
    names = ("a/b:train", "a/b/train:validation", "a/b:train--x", "a/b/train:x")
    names += ("a/b:train-11111111", "a/b/train--x:y", "a/b/train:x--y")
    folder = data_sets_folder()
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        table = parse_hub_table(f"hub:{name}")
        file = folder / f"{hub_table._stem(table)}-{number:08x}.parquet"
        pq.write_table(pa.table({"name": [name]}), file)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for name in names:
        file = hub_table_file(f"hub:{name}")
        assert pq.read_table(file).to_pydict() == {"name": [name]}
    with pytest.raises(StcError, match="cannot be reached"):
        hub_table_file("hub:a/b:validation")


def test_without_a_network_and_a_file_it_is_said(own_home: Path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StcError, match="cannot be reached"):
        hub_table_file(NAME)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "Free some disk space"),
        (ConnectionError("lost"), "the Hub cannot be reached"),
        (errors.LocalEntryNotFoundError("not here"), "the Hub cannot be reached"),
    ],
    ids=["disk", "network", "cache"],
)
def test_a_download_that_breaks_off_says_why(
    own_home: Path, monkeypatch, error: Exception, reason: str
):
    def broken(*_):
        raise error

    monkeypatch.setattr(hub_table, "_revision", lambda _: "0" * 40)
    monkeypatch.setattr(hub_table, "_download", broken)
    with pytest.raises(StcError, match=reason) as found:
        hub_table_file(NAME)
    assert "a configuration" not in str(found.value)
