"""A worker tells what may differ, and computes with the threads it is given."""

import platform

import torch

from helpers.faults.shard_works import LengthWork, shards_of_texts
from stc_core.engine.shard_store import ShardStore
from stc_core.engine.shard_worker import ShardWorker, limited_threads
from stc_core.runs.environment import versions_of


def test_a_shard_is_computed_and_kept(tmp_path):
    store = ShardStore(str(tmp_path / "store"))
    worker = ShardWorker(LengthWork(str(tmp_path), factor=2), store)
    shard = shards_of_texts(2)[1]
    finished = worker.do(shard)
    assert (finished.number, finished.n_texts, finished.broken) == (1, 2, {})
    lengths = [2 * len(text) for text in shard.texts]
    assert store.read(finished.key).column("length").to_pylist() == lengths


def test_the_facts_of_a_worker(tmp_path):
    store = ShardStore(str(tmp_path / "store"))
    worker = ShardWorker(LengthWork(str(tmp_path)), store)
    probe = store.put_probe()
    facts = worker.facts(probe)
    assert facts.versions == versions_of()
    assert facts.versions["python"] == platform.python_version()
    assert (
        facts.versions["torch"].partition("+")[0]
        == (torch.__version__.partition("+")[0])
    )
    assert facts.sees_storage and not worker.facts("another").sees_storage


def test_threads_are_as_before_afterwards():
    before = torch.get_num_threads()
    with limited_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
