"""Forwards on an engine: the same batches, so the same bits, wherever they are run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.command import Stc
from helpers.models.saved import saved_base
from helpers.models.tiny import TEXTS, saved_tiny
from helpers.runs import fake_recipe
from helpers.runs.hierarchy import table as learnable
from stc_core.activations.extract import extract, extract_features
from stc_core.activations.forward import BatchBudget, run_batches
from stc_core.backbone.backbone import Backbone
from stc_core.config import DataConfig, RunConfig
from stc_core.engine import sharded_forwards
from stc_core.engine.settings import EngineConfig
from stc_core.engine.sharded_forwards import ShardedForwards, forwards_on
from stc_core.errors import StcError
from stc_core.runs.processes import jobs, queue
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.types import Feature, PooledSite

LOCAL = EngineConfig(engine="local")
WANTED = list(map(PooledSite.parse, ("resid.1.mean", "mlp.1.max")))
MANY = [f"{text} {n}" for n in range(6) for text in TEXTS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved_tiny(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture
def backbone(folder, own_home, monkeypatch):
    """A backbone whose results need many shards, of a few batches each."""
    monkeypatch.setattr(sharded_forwards, "_SHARD_BYTES", 1 << 13)
    return Backbone.load(str(folder), device="cpu")


@pytest.fixture
def elsewhere(backbone):
    with ShardedForwards(LOCAL) as forwards:
        yield forwards


def shards_in(home) -> list:
    return list((home / "shards").glob("*.shard"))


def test_a_store_is_the_same_to_the_bit(backbone, elsewhere, tmp_path, own_home):
    here = extract(backbone, MANY, WANTED, folder=tmp_path / "here")
    backbone.elsewhere = elsewhere
    there = extract(backbone, MANY, WANTED, folder=tmp_path / "there")
    assert elsewhere._made > 1  # of several shards
    for site in WANTED:
        np.testing.assert_array_equal(there.read(site), here.read(site))
    assert not shards_in(own_home)


def test_single_neurons_are_the_same_to_the_bit(backbone, elsewhere):
    features = [Feature(*WANTED[0], 3), Feature(*WANTED[1], 0), Feature(*WANTED[0], 1)]
    here = extract_features(backbone, MANY, features)
    backbone.elsewhere = elsewhere
    done: list[int] = []
    there = extract_features(
        backbone, MANY, features, progress=lambda n, _: done.append(n)
    )
    np.testing.assert_array_equal(there, here)
    assert done == sorted(done) and done[-1] == len(MANY)


def test_the_batches_from_a_place_on_are_those_of_this_process(backbone, elsewhere):
    budget = BatchBudget(backbone, WANTED, None)
    all_here = list(run_batches(backbone, MANY, WANTED, dict, budget=budget))
    start = all_here[1].start
    assert start > 0
    here = all_here[1:]
    there = list(elsewhere.pooled(backbone, MANY, WANTED, start=start))
    assert [one.start for one in there] == [one.start for one in here]
    for one, other in zip(there, here, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        for site in WANTED:
            assert torch.equal(one.value[site], other.value[site])


def test_few_texts_are_computed_here(backbone, elsewhere):
    backbone.elsewhere = elsewhere
    few = MANY[: sharded_forwards.LEAST_TEXTS - 1]
    extract_features(backbone, few, [Feature(*WANTED[0], 3)])
    assert elsewhere._made == 0


def test_after_the_context_all_texts_are_computed_here(backbone):
    with ShardedForwards(LOCAL) as backbone.elsewhere:
        assert backbone.elsewhere.takes(len(MANY))
    extract_features(backbone, MANY, [Feature(*WANTED[0], 3)])
    assert backbone.elsewhere._made == 0


def test_the_same_texts_once_more_in_one_call(backbone, elsewhere):
    texts = [TEXTS[0]] * 2600  # more than one shard of the same content
    backbone.elsewhere = elsewhere
    values = extract_features(backbone, texts, [Feature(*WANTED[0], 3)])
    assert len(np.unique(values)) == 1


def test_what_was_not_read_is_removed_unless_its_place_was_named(
    backbone, tmp_path, own_home
):
    for config, left in (
        (LOCAL, 0),
        (LOCAL.changed(shard_store=str(tmp_path / "named")), 1),
    ):
        with ShardedForwards(config) as forwards:
            next(iter(forwards.pooled(backbone, MANY, WANTED)))
        found = [*shards_in(own_home), *(tmp_path / "named").glob("*.shard")]
        assert bool(found) == bool(left)


def test_a_named_storage_is_used_again(backbone, tmp_path, monkeypatch):
    config = LOCAL.changed(shard_store=str(tmp_path / "named"))
    with ShardedForwards(config) as forwards:
        first = list(forwards.pooled(backbone, MANY, WANTED))
    monkeypatch.setattr(Backbone, "pooled", None)  # no forward is run
    with ShardedForwards(config) as forwards:
        again = list(forwards.pooled(backbone, MANY, WANTED))
    for one, other in zip(again, first, strict=True):
        assert torch.equal(one.value[WANTED[0]], other.value[WANTED[0]])


def test_a_text_that_cannot_be_read_is_told(backbone, elsewhere, monkeypatch):
    monkeypatch.setattr(
        sharded_forwards, "token_ids", lambda _, some: [[0]] * len(some)
    )
    with pytest.raises(StcError, match=r"tokenizer can read.*half a character"):
        list(elsewhere.pooled(backbone, ["half \ud800", *TEXTS], WANTED))


def test_half_precision_needs_one_kind_of_device(own_home):
    on_gpu = ShardedForwards(EngineConfig(engine="ray", gpus=1))
    values = on_gpu.pooled(_Half(), MANY, WANTED)
    with pytest.raises(StcError, match=r"on cuda: expected cpu.*--dtype float32"):
        next(values)


class _Half(Backbone):
    def __init__(self) -> None:
        self.device, self.dtype = torch.device("cpu"), torch.bfloat16


def test_one_process_needs_no_engine(own_home):
    for config in (None, LOCAL, LOCAL.changed(workers=1)):
        with forwards_on(config) as forwards:
            assert forwards is None
    with forwards_on(LOCAL.changed(workers=2)) as forwards:
        assert isinstance(forwards, ShardedForwards)
    with pytest.raises(StcError, match=r"--address: expected --engine ray"):
        with forwards_on(LOCAL.changed(address="auto")):
            pass


def test_a_run_is_the_same_by_two_workers(stc: Stc, tmp_path, monkeypatch):
    """Of two processes that each load the model; nothing comes from a cache."""
    monkeypatch.setattr(sharded_forwards, "LEAST_TEXTS", 1)
    model = saved_base(tmp_path / "m", "bert")
    data = learnable(tmp_path, 1, {"warm": "kind", "cold": "rude"}, rows=80)
    columns = ("--text", "text", "--label", "level 0", "--backbone", model)
    runs = []
    for name, more in (("a", ()), ("b", ("--engine", "local", "--workers", 2))):
        monkeypatch.setenv("STC_HOME", str(tmp_path / f"home {name}"))
        out = tmp_path / name
        small = ("--kind", "resid", "--pooling", "mean", "--device", "cpu")
        said = stc("train", data, *columns, *small, "--out", out, *more)
        assert said.code == 0, said.err
        runs.append(Run.open(out))
    one, other = runs
    pd.testing.assert_frame_equal(one.neurons, other.neurons)
    pd.testing.assert_frame_equal(one.predictions, other.predictions)
    assert not shards_in(tmp_path / "home b")


def test_every_command_that_trains_hands_the_engine_on(
    stc: Stc, table: Path, own_home, monkeypatch
):
    seen: list[bool] = []

    def train(config: RunConfig, writer: RunWriter) -> Run:
        seen.append(isinstance(writer.elsewhere, ShardedForwards))
        writer.phase("extract")  # so that the folder is kept
        raise StcError("this run", expected="more luck")

    monkeypatch.setattr(fake_recipe, "train", train)
    fake_recipe.stand_in(monkeypatch)
    columns = ("--text", "text", "--label", "kind")
    engine = ("--engine", "local", "--workers", 2)
    out = own_home / "runs" / "r"
    stc("train", table, *columns, "--out", out, *engine)
    stc("resume", out, *engine)
    stc("sweep", table, *columns, "--seed", "0..1", *engine)
    stc("train", table, *columns)
    assert seen == [True, True, True, True, False]
    seen.clear()
    monkeypatch.setattr(queue, "spawn", lambda *_, **__: None)  # the app would
    data = DataConfig(path=str(table), text="text", labels=("kind",))
    for engine in ({"engine": "local", "workers": 2}, None):
        stc("work", jobs.start(RunConfig(data=data), engine=engine))
    assert seen == [True, False]


@pytest.mark.parametrize("command", ["train", "resume", "sweep"])
def test_an_option_of_an_engine_without_one(stc: Stc, table: Path, own_home, command):
    said = stc(command, table, "--workers", 2)
    assert said.code == 2
    assert "option --workers: expected --engine local or --engine ray" in said.err
    assert not (own_home / "runs").exists()
