"""Files are whole, whoever writes them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors import SafetensorError

from stc_core import files
from stc_core.errors import StcError
from stc_core.files import (
    make_folder,
    read_json,
    remove_leftovers,
    replacing,
    sync_tree,
    temporary_path,
    working_folder,
    write_json,
)


def test_threads_that_write_one_file_do_not_meet(tmp_path: Path):
    path = tmp_path / "settings.json"

    def work(which: int) -> None:
        for turn in range(100):
            write_json(path, {"which": which, "turn": turn})
            assert "which" in read_json(path)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))
    assert [file.name for file in tmp_path.iterdir()] == ["settings.json"]


def test_a_full_disk_is_a_sentence_whoever_writes(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    for error in (
        OSError(28, "No space left on device"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ):
        with (
            pytest.raises(StcError, match=r"cannot write.*No space left.*Free some"),
            replacing(path, durable=True) as temporary,
        ):
            temporary.write_text("x")
            raise error
        assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_told_with_what_mends_it(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for name, remedy in (
        ("n" * 300, "Choose a shorter name"),
        ("none/a.json", "Make its folder"),
        ("file/a.json", "A part of the path is a file"),
        ("folder", "A folder has this name"),
    ):
        with pytest.raises(StcError, match=rf"cannot write.*{remedy}"):
            write_json(tmp_path / name, {})
    with pytest.raises(StcError, match="A file has this name"):
        make_folder(tmp_path / "file")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


def test_what_dead_processes_were_writing_is_removed(tmp_path: Path):
    dead, alive = 2**22 + 1, 1
    (tmp_path / "model").mkdir()
    gone = [
        tmp_path / f".{dead}-7.metrics.json",
        tmp_path / "model" / f".{dead}-7.head.safetensors",
        temporary_path(tmp_path / "an.earlier.process.with.our.pid"),
    ]
    stays = [tmp_path / f".{alive}-7.about.json", tmp_path / ".hidden", tmp_path / "a"]
    for path in (*gone, *stays):
        path.write_text("")
    (tmp_path / f".{dead}-7.folder").mkdir()
    remove_leftovers(tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(stays)
    assert not (tmp_path / f".{dead}-7.folder").exists()


def test_a_working_folder_goes_and_takes_those_of_dead_processes_along(tmp_path: Path):
    dead, alive = 2**22 + 1, 1
    left = tmp_path / "new" / f".{dead}-7.pull.x1"
    stays = [left.with_name(f".{alive}-7.pull.x1"), left.with_name(f".{dead}-7.other")]
    for path in (left, *stays):
        (path / "inside").mkdir(parents=True)
    with working_folder(tmp_path / "new" / "pull") as first:
        with working_folder(tmp_path / "new" / "pull") as second:
            (second / "file").write_text("x")
        assert first.is_dir() and first != second
        assert not second.exists() and not left.exists()
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        path.name for path in stays
    }


def test_a_durable_file_and_its_name_are_brought_to_the_disk(tmp_path, monkeypatch):
    synced: list[str] = []
    monkeypatch.setattr(files, "sync", lambda path: synced.append(path.name))
    write_json(tmp_path / "a.json", {"a": 1}, durable=True)
    assert synced == [temporary_path(tmp_path / "a.json").name, tmp_path.name]
    write_json(tmp_path / "b.json", {"a": 1})
    assert len(synced) == 2
    monkeypatch.undo()
    sync_tree(tmp_path)
    assert read_json(tmp_path / "a.json") == {"a": 1}
