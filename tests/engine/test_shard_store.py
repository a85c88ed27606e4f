"""A finished shard is there whole; a storage may fail for a while, and no longer."""

import os
import pickle
from pathlib import Path

import pyarrow as pa
import pytest
from fsspec import get_filesystem_class
from fsspec.implementations.memory import MemoryFileSystem

from stc_core.engine import shard_store
from stc_core.engine.shard_store import DamagedShard, ShardStore
from stc_core.errors import StcError

TABLE = pa.table({"x": [1.5, 2.5], "y": ["a", None]})


@pytest.fixture(params=["folder", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch):
    """An empty place of each kind; S3 is a server in this process."""
    if request.param == "folder":
        yield str(tmp_path / "new" / "shards")
    elif request.param == "memory":
        monkeypatch.setattr(MemoryFileSystem, "store", {})
        monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
        yield "memory://shards"
    else:
        pytest.importorskip("s3fs", reason="the extra s3 is not installed")
        yield from served_bucket(monkeypatch)


def served_bucket(monkeypatch):
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    try:
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield "s3://bucket/shards"
    finally:
        server.stop()
        get_filesystem_class("s3").clear_instance_cache()  # it knows that server


def test_a_shard_is_written_listed_read_and_removed(url: str):
    store = ShardStore(url)
    store.check()
    assert store.keys() == set()
    store.write("k1", TABLE)
    store.write("k2", TABLE.slice(1))
    again = pickle.loads(pickle.dumps(store))
    assert again.keys() == {"k1", "k2"}
    assert again.read("k1").equals(TABLE)
    assert again.read("k2").to_pydict() == {"x": [2.5], "y": [None]}
    store.remove(["k1", "never there"])
    assert store.keys() == {"k2"}


def test_another_process_sees_the_probe(url: str):
    store = ShardStore(url)
    probe = store.put_probe()
    assert ShardStore(url).sees(probe) and not store.sees("another")
    store.remove_probe(probe)
    assert not store.sees(probe)


@pytest.mark.parametrize("keep", [0, 20, -1])
def test_a_damaged_shard_is_told_and_removed(tmp_path, keep):
    store = ShardStore(str(tmp_path))
    store.write("k", TABLE)
    (path,) = tmp_path.glob("*.shard")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DamagedShard, match="Give the command again"):
        store.read("k")
    assert store.keys() == set()


def failing(monkeypatch, times: int, error: Exception) -> list[float]:
    """Let the next writes fail so often; the pauses that were made are listed."""
    pauses: list[float] = []
    monkeypatch.setattr(shard_store.time, "sleep", pauses.append)
    written = ShardStore._put

    def put(self: ShardStore, name: str, data: bytes) -> None:
        if len(pauses) < times:
            raise error
        written(self, name, data)

    monkeypatch.setattr(ShardStore, "_put", put)
    return pauses


def test_a_storage_that_fails_for_ten_seconds_is_waited_for(tmp_path, monkeypatch):
    pauses = failing(monkeypatch, 5, OSError("the server is away"))
    store = ShardStore(str(tmp_path))
    store.write("k", TABLE)
    assert 10 < sum(pauses) < 20 and store.read("k").equals(TABLE)


def test_a_storage_that_stays_away_is_told_once(tmp_path, monkeypatch):
    pauses = failing(monkeypatch, 99, OSError("the server is away"))
    with pytest.raises(StcError, match=r"write files; got the server is away.*goes on"):
        ShardStore(str(tmp_path)).write("k", TABLE)
    assert sum(pauses) > 60 and not list(tmp_path.iterdir())


def test_missing_rights_are_told_at_once(tmp_path, monkeypatch):
    pauses = failing(monkeypatch, 99, PermissionError(13, "Permission denied"))
    with pytest.raises(StcError, match=r"may write files; got .*Permission denied"):
        ShardStore(str(tmp_path)).write("k", TABLE)
    assert pauses == []


def test_another_fault_is_our_own(tmp_path, monkeypatch):
    failing(monkeypatch, 99, KeyError("bug"))
    with pytest.raises(KeyError):
        ShardStore(str(tmp_path)).write("k", TABLE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StcError, match="Permission denied"):
        ShardStore(str(tmp_path / "new")).check()


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StcError, match="may write files"):
        ShardStore(str(tmp_path / "file")).check()


def test_an_unknown_kind_of_storage():
    with pytest.raises(StcError, match="that fsspec can open here"):
        ShardStore("nothing://bucket")
