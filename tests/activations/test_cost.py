"""What a plan foretells is what extraction then does."""

import time
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.activations.cost import (
    ROUNDS,
    Speed,
    depth_seconds,
    measure_speed,
    plan_extraction,
)
from stc_core.activations.extract import extract
from stc_core.types import PooledSite

pytestmark = pytest.mark.usefixtures("small_shards")
BUDGET = 40
SOME = tuple(PooledSite.parse(name) for name in ("resid.1.mean", "mlp.2.max"))


def test_a_plan_is_what_extraction_then_does(tmp_path: Path, forwards):
    backbone, texts = tiny_backbone(), list(dict.fromkeys(TEXTS))
    tokens = backbone.tokenize(texts)
    speed = Speed((1, 100), (0.5, 0.5), 1000)
    plan = plan_extraction(backbone, tokens, SOME, token_budget=BUDGET, speed=speed)
    assert forwards == []
    stored = extract(backbone, texts, SOME, folder=tmp_path, token_budget=BUDGET)
    assert plan.batches == len(forwards)
    assert (plan.n_texts, plan.n_cut) == (len(texts), 0)
    assert plan.n_tokens == sum(map(len, tokens.ids))
    arrays = stored.path.glob("*.npy")
    assert plan.disk_bytes == sum(
        np.load(path, mmap_mode="r").nbytes for path in arrays
    )
    assert plan.seconds >= 0.5 * plan.n_tokens
    assert plan.seconds <= 0.5 * BUDGET * plan.batches
    assert plan.memory_bytes > 1000


def test_a_plan_measures_the_speed_on_the_texts_themselves():
    backbone = tiny_backbone()
    tokens = backbone.tokenize(TEXTS)
    speed = measure_speed(backbone, tokens, SOME)
    assert list(speed.lengths) == sorted(set(speed.lengths))
    assert min(speed.seconds_per_token) > 0
    assert plan_extraction(backbone, tokens, SOME).seconds > 0
    one = backbone.tokenize(["good"])
    assert plan_extraction(backbone, one, SOME).batches == 1


def test_a_machine_that_is_busy_now_and_then_is_timed_in_between(monkeypatch):
    backbone, calls = tiny_backbone(), count(1)
    pooled = type(backbone).pooled

    def hindered(self, *given):
        if next(calls) % (1 + ROUNDS) != 3:  # all forwards of a shape but one
            time.sleep(0.1)
        return pooled(self, *given)

    monkeypatch.setattr(type(backbone), "pooled", hindered)
    speed = measure_speed(backbone, backbone.tokenize(TEXTS[:1]), SOME)
    (length,), (per_token,) = speed.lengths, speed.seconds_per_token
    assert length * per_token < 0.1


def test_a_slow_model_is_timed_less_often(monkeypatch, forwards):
    monkeypatch.setattr("stc_core.activations.cost.ENOUGH_SECONDS", 0.0)
    backbone = tiny_backbone()
    measure_speed(backbone, backbone.tokenize(TEXTS[:1]), SOME)
    assert len(forwards) == 3 * 2  # of three lengths, the first not counted


def test_each_depth_is_timed():
    backbone = tiny_backbone("bert")
    taken = depth_seconds(backbone, ["a b c"] * 9, SOME, [1, 2])
    assert list(taken) == [1, 2] and min(taken.values()) > 0
