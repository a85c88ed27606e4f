"""Ray gives the bytes that one process gives, whatever happens to its workers."""

import logging
import os
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.faults.shard_works import LengthWork, contents, shards_of_texts
from helpers.models.tiny import TEXTS as MODEL_TEXTS
from helpers.models.tiny import saved_tiny
from stc_core.activations.extract import extract, extract_features
from stc_core.backbone.backbone import Backbone
from stc_core.engine import on_ray
from stc_core.engine.local import fill_here
from stc_core.engine.on_ray import check_facts, fill_on_ray
from stc_core.engine.settings import EngineConfig
from stc_core.engine.shard_store import ShardStore
from stc_core.engine.shard_worker import WorkerFacts
from stc_core.engine.sharded_forwards import ShardedForwards
from stc_core.errors import StcError
from stc_core.types import Feature, PooledSite

WITHOUT = find_spec("ray") is None
needs_ray = pytest.mark.skipif(
    WITHOUT, reason="no test of Ray was run: pip install 'stc-studio[ray]'"
)
RAY = EngineConfig(engine="ray")


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one processor each on this machine; their workers find the tests."""
    if WITHOUT:
        pytest.skip("Ray is not installed")
    import ray
    from ray.cluster_utils import Cluster

    paths = os.pathsep.join(
        ["tests", str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", paths)
        started: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        started.second = started.add_node(num_cpus=1)
        ray.init(started.address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield started
        finally:
            ray.shutdown()
            started.shutdown()


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_the_same_bytes_after_two_deaths_and_without_a_node(tmp_path, cluster):
    shards = shards_of_texts()
    store = ShardStore(str(tmp_path / "store"))
    work = LengthWork(str(tmp_path), deadly=shards[2].texts[0])
    (tmp_path / "deaths").write_text("xx")
    finished = []
    for one in fill_on_ray(work, shards, store, RAY):
        if not finished:
            cluster.remove_node(cluster.second, allow_graceful=False)
        finished.append(one.number)
    assert sorted(finished) == list(range(len(shards)))
    alone = ShardStore(str(tmp_path / "alone"))
    list(fill_here(LengthWork(str(tmp_path)), shards, alone, workers=1))
    assert contents(tmp_path / "store") == contents(tmp_path / "alone")
    too_many = RAY.changed(workers=9)
    with pytest.raises(StcError, match=r"9 workers on Ray.*expected at most"):
        list(fill_on_ray(work, shards, store, too_many))


@needs_ray
def test_a_worker_that_is_out_of_reach_for_a_moment_costs_no_shard(
    tmp_path, cluster, monkeypatch
):
    asked: list[object] = []

    def at_times(reference: object) -> bool:
        asked.append(reference)
        return len(asked) in {1, 4, 5}

    monkeypatch.setattr(on_ray, "is_out_of_reach", at_times)
    shards = shards_of_texts()
    store = ShardStore(str(tmp_path / "store"))
    one_worker = RAY.changed(workers=1)
    work = LengthWork(str(tmp_path))
    finished = list(fill_on_ray(work, shards, store, one_worker))
    assert sorted(one.number for one in finished) == list(range(len(shards)))
    # The facts of the worker are asked for twice, and two shards are begun again.
    assert len(asked) == 2 + len(shards) + 2


@needs_ray
def test_a_worker_without_a_place_is_not_waited_for(tmp_path, cluster, monkeypatch):
    import ray

    # A cluster counts a machine that is gone until it has missed it.
    room = ray.cluster_resources()["CPU"]
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": room + 2})
    shards = shards_of_texts()
    store = ShardStore(str(tmp_path / "store"))
    finished = list(fill_on_ray(LengthWork(str(tmp_path)), shards, store, RAY))
    assert sorted(one.number for one in finished) == list(range(len(shards)))
    assert not list((tmp_path / "store").glob("*probe*"))


@needs_ray
def test_a_cluster_without_a_free_place_is_told(tmp_path, cluster, monkeypatch):
    import ray

    monkeypatch.setattr(on_ray, "BEGIN_S", 1.0)
    room = int(ray.cluster_resources()["CPU"])
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": room + 2})
    all_of_them = RAY.changed(workers=1, cpus=room + 2)
    store = ShardStore(str(tmp_path / "store"))
    with pytest.raises(StcError, match=r"begins within 1 s.* CPUs free.*lower --cpus"):
        list(
            fill_on_ray(
                LengthWork(str(tmp_path)), shards_of_texts(), store, all_of_them
            )
        )
    assert not list((tmp_path / "store").glob("*probe*"))


def facts(**changes: Any) -> WorkerFacts:
    return WorkerFacts("other", 1, {"torch": "2.13.0"}, True)._replace(**changes)


def test_a_worker_with_other_versions_is_refused():
    check_facts(facts(), {"torch": "2.13.0"}, "store")
    with pytest.raises(StcError, match=r"on other: expected torch 2\.14.*got torch 2"):
        check_facts(facts(), {"torch": "2.14.0"}, "store")


def test_a_storage_that_a_worker_does_not_see_is_refused():
    with pytest.raises(StcError, match=r"got another place on other.*--shard-store"):
        check_facts(facts(sees_storage=False), {"torch": "2.13.0"}, "store")


def test_without_ray_the_command_that_installs_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("stc_core.installation.extras.find_spec", lambda name: None)
    work, store = LengthWork(str(tmp_path)), ShardStore(str(tmp_path))
    with pytest.raises(StcError, match=r"pip install 'stc-studio\[ray\]'"):
        list(fill_on_ray(work, [], store, RAY))


@pytest.mark.parametrize("address", ["nowhere", "host:", "host:99999999", ":1"])
def test_an_address_that_is_none(address):
    with pytest.raises(StcError, match=r"HOST:PORT|cluster that answers"):
        on_ray._check_answer(address)


def test_an_address_that_does_not_answer():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = unused.getsockname()[1]
        with pytest.raises(StcError, match=r"a cluster that answers.*ray start --head"):
            on_ray._check_answer(f"127.0.0.1:{port}")


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_forwards_of_a_training_are_the_same_to_the_bit(tmp_path, cluster, own_home):
    backbone = Backbone.load(str(saved_tiny(tmp_path / "m")), device="cpu")
    texts = [f"{text} {n}" for n in range(5) for text in MODEL_TEXTS]
    wanted = [PooledSite.parse("resid.1.mean")]
    here = extract(backbone, texts, wanted, folder=tmp_path / "here")
    with ShardedForwards(RAY.changed(workers=1)) as forwards:
        backbone.elsewhere = forwards
        there = extract(backbone, texts, wanted, folder=tmp_path / "there")
        features = [Feature(*wanted[0], 3)]
        column = extract_features(backbone, texts, features)[:, 0]
    np.testing.assert_array_equal(there.read(wanted[0]), here.read(wanted[0]))
    backbone.elsewhere = None
    np.testing.assert_array_equal(
        column, extract_features(backbone, texts, features)[:, 0]
    )
