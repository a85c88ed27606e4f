"""Tuning with the Trainer: it learns, resumes as if never cut off, and stops."""

import copy
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.models.tiny import TEXTS, tiny_model, tiny_tokenizer
from stc_core.activations.features import dense_features
from stc_core.backbone.backbone import Backbone
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead, mean_and_sd
from stc_core.recipe_settings import TuneConfig
from stc_core.tuning.blocks import (
    changes_for,
    checkpoint_blocks,
    cut_and_adapt,
    plan_tuning,
)
from stc_core.tuning.history import Epoch, History
from stc_core.tuning.readout import Readout
from stc_core.tuning.trainer import (
    TrainingRows,
    _collated,
    _items,
    rate_of,
    train_module,
)
from stc_core.types import PooledSite

CODES = np.array([int("good" in text or "film" in text) for text in TEXTS])
FAMILIES = ("bert", "distilbert", "roberta", "albert", "gpt2", "llama", "t5", "bart")


def fresh(family: str = "bert") -> Backbone:
    """A backbone of its own: tuning uses it up."""
    specials = family in ("bert", "distilbert", "roberta", "albert")
    model = copy.deepcopy(tiny_model(family))
    return Backbone.from_model(model, tiny_tokenizer("right", specials=specials))


def zero_head(backbone: Backbone, layer: int) -> SparseHead:
    """Standardised features, and weights of zero."""
    features = dense_features(backbone, layer)
    ids = backbone.tokenize(TEXTS).ids
    wish = PooledSite(features[0].site, "mean")
    X = backbone.pooled(ids, [wish])[wish].numpy()
    mean, sd = mean_and_sd(X)
    weight = np.zeros((2, len(features)), np.float32)
    return SparseHead(features, mean, sd, weight, np.zeros(2, np.float32), ("a", "b"))


def made(settings: TuneConfig, family: str = "bert") -> tuple[Backbone, Readout]:
    base = fresh(family)
    plan = plan_tuning(base, [9.0] * base.n_layers + [1.0], settings)
    head = zero_head(base, plan.layer)
    what = changes_for(base, plan, settings)
    backbone, parts, blocks = cut_and_adapt(base, plan, what, seed=0)
    return backbone, Readout(backbone, head, parts, blocks)


def run(readout: Readout, backbone: Backbone, settings: TuneConfig, folder: Path, **k):
    ids = backbone.tokenize(TEXTS).ids
    learned, held = (
        TrainingRows(ids[:48], CODES[:48]),
        TrainingRows(ids[48:], CODES[48:]),
    )
    return train_module(
        readout,
        learned,
        held,
        settings,
        by="accuracy",
        seed=1,
        folder=folder,
        tell=k.get("tell", lambda *_: None),
    )


SETTINGS = TuneConfig(blocks=1, epochs=3, batch=8, patience=9, learning_rate=3e-3)


@pytest.mark.parametrize("method", ["full", "lora", "bottleneck"])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns_what_it_may_and_nothing_else(family, method, tmp_path):
    settings = SETTINGS.model_copy(update={"method": method, "epochs": 1})
    backbone, readout = made(settings, family)
    before = {n: p.detach().clone() for n, p in readout.named_parameters()}
    learns = {n for n, p in readout.named_parameters() if p.requires_grad}
    history = run(readout, backbone, settings, tmp_path / "c")
    assert len(history.epochs) == 2
    assert history.epochs[0].epoch == 0
    moved = {n for n, p in readout.named_parameters() if not torch.equal(p, before[n])}
    assert moved <= learns
    assert len(moved) > len(learns) / 3
    assert set(readout.state_dict()) == learns


def test_it_learns(tmp_path):
    settings = SETTINGS.model_copy(update={"learning_rate": 1e-3, "epochs": 12})
    backbone, readout = made(settings)
    history = run(readout, backbone, settings, tmp_path / "c")
    losses = [loss for _, loss in history.steps]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])
    assert history.peak_bytes > 1e6


def count_calls(backbone: Backbone) -> list[int]:
    """Grows whenever the last down-projection is computed."""
    ran: list[int] = []
    down = backbone.down_projection(backbone.n_layers)
    assert down is not None
    down.register_forward_pre_hook(lambda *_: ran.append(1))
    return ran


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_checkpointing_changes_no_gradient(family):
    gradients = []
    for again in (False, True):
        backbone, readout = made(SETTINGS, family)
        torch.nn.init.normal_(
            readout.head.weight, generator=torch.Generator().manual_seed(3)
        )
        if again:
            checkpoint_blocks(backbone)
        readout.train()
        for module in readout.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        ids = backbone.tokenize(TEXTS[:8]).ids
        items = _items(TrainingRows(ids, CODES[:8]))
        ran = count_calls(backbone)
        readout(**_collated(items, backbone.config))["loss"].backward()
        assert len(ran) == 1 + again
        learns = [p for p in readout.parameters() if p.requires_grad]
        gradients.append([p.grad for p in learns])
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=1e-6)
    assert sum(g is not None and bool(g.abs().sum() > 0) for g in gradients[1]) > 8


def weights(readout: Readout) -> list[torch.Tensor]:
    return [p.detach().clone() for p in readout.state_dict().values()]


def test_the_same_seed_gives_the_same_weights(tmp_path):
    found = []
    for name in ("one", "two"):
        backbone, readout = made(SETTINGS)
        run(readout, backbone, SETTINGS, tmp_path / name)
        found.append(weights(readout))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


class Killed(Exception):
    pass


def test_a_training_that_was_killed_ends_as_if_it_was_not(tmp_path):
    backbone, whole = made(SETTINGS)
    expected = run(whole, backbone, SETTINGS, tmp_path / "whole")

    def kill(history: History, done: int, total: int) -> None:
        assert total in (0, 18)
        if done > 9:
            raise Killed

    backbone, cut_off = made(SETTINGS)
    with pytest.raises(Killed):
        run(cut_off, backbone, SETTINGS, tmp_path / "cut", tell=kill)
    backbone, resumed = made(SETTINGS)
    told: list[int] = []
    history = run(
        resumed,
        backbone,
        SETTINGS,
        tmp_path / "cut",
        tell=lambda history, done, total: told.append(done),
    )
    assert min(told) >= 6
    assert [one[:4] for one in history.epochs] == [one[:4] for one in expected.epochs]
    assert all(
        torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True)
    )


@contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """No file can grow beyond `n_bytes`: the libraries meet a real error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt"])
def test_a_checkpoint_that_cannot_be_written_is_a_sentence(tmp_path: Path, name: str):
    backbone, whole = made(SETTINGS)
    sizes: list[int] = []

    def measure(history: History, done: int, total: int) -> None:
        paths = (tmp_path / "whole").rglob(name)
        sizes.extend(path.stat().st_size for path in paths)

    expected = run(whole, backbone, SETTINGS, tmp_path / "whole", tell=measure)
    backbone, cut_off = made(SETTINGS)
    with pytest.raises(StcError, match="cannot write"), full_disk(max(sizes) - 1):
        run(cut_off, backbone, SETTINGS, tmp_path / "cut")
    backbone, resumed = made(SETTINGS)
    history = run(resumed, backbone, SETTINGS, tmp_path / "cut")
    assert [one[:4] for one in history.epochs] == [one[:4] for one in expected.epochs]
    assert all(
        torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True)
    )


def test_a_kill_does_not_make_it_more_patient(tmp_path):
    update = {"epochs": 30, "patience": 2, "learning_rate": 1e-9}
    settings = SETTINGS.model_copy(update=update)

    def kill(history: History, done: int, total: int) -> None:
        if len(history.epochs) == 3 and done > 12:
            raise Killed

    backbone, cut_off = made(settings)
    with pytest.raises(Killed):
        run(cut_off, backbone, settings, tmp_path / "c", tell=kill)
    backbone, resumed = made(settings)
    history = run(resumed, backbone, settings, tmp_path / "c")
    assert len(history.epochs) == 1 + 3


@pytest.mark.parametrize(
    "end",
    [
        {"epochs": 30, "patience": 2, "learning_rate": 1e-9},
        {"epochs": 500, "seconds": 0.2},
        {"epochs": 2},
    ],
)
def test_one_that_had_come_to_its_end_is_not_trained_on(tmp_path, end):
    """As when the kill comes while others that it is compared with are trained."""
    settings = SETTINGS.model_copy(update=end)
    backbone, whole = made(settings)
    expected = run(whole, backbone, settings, tmp_path / "c")
    backbone, resumed = made(settings)
    history = run(resumed, backbone, settings, tmp_path / "c")
    assert history == expected
    assert all(
        torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True)
    )


def test_it_stops_when_the_time_is_up(tmp_path):
    settings = SETTINGS.model_copy(update={"epochs": 500, "seconds": 0.2})
    backbone, readout = made(settings)
    history = run(readout, backbone, settings, tmp_path / "c")
    assert history.epochs[-1].epoch < 100


def test_the_rate_of_whole_blocks_falls_as_they_grow_wider():
    full, lora = TuneConfig(), TuneConfig(method="lora")
    assert rate_of(full, 384) == 5e-5
    assert rate_of(full, 768) == pytest.approx(2.5e-5)
    assert rate_of(full, 64) == pytest.approx(3e-4)
    assert rate_of(lora, 64) == rate_of(lora, 4096) == 2e-4
    assert rate_of(TuneConfig(learning_rate=1e-3), 64) == 1e-3


def test_an_advance_is_one_of_the_score_or_a_notable_one_of_the_loss():
    def waited(*told: tuple[float, float], by: str = "accuracy") -> int:
        epochs = [Epoch(at, *one, None, 0.0) for at, one in enumerate(told)]
        return History(epochs=tuple(epochs)).waited(by)

    assert waited((9, 0.8)) == waited((9, 0.8), (8, 0.7)) == 0  # 0: before any step
    assert waited((9, 0.8), (8, 0.7), (7, 0.7), (6, 0.7)) == 0  # the loss falls
    assert waited((9, 0.8), (8, 0.7), (7.99, 0.7), (7.98, 0.7)) == 2
    assert waited((9, 0.8), (8, 0.7), (8.5, 0.6), (9, 0.71)) == 0
    assert waited((9, 0.8), (8, 0.7), (9, 0.9), (9, 0.8), (9, 0.9)) == 2
    assert waited((9, 0.8), (8, 0.7), (9, 0.9), by="loss") == 1
    slow = [(8 - 0.07 * at, 0.7) for at in range(6)]
    assert waited((9, 0.8), *slow) == 1  # two such steps are an advance


def test_it_stops_when_nothing_gets_better(tmp_path):
    settings = SETTINGS.model_copy(
        update={"epochs": 30, "patience": 2, "learning_rate": 1e-9}
    )
    backbone, readout = made(settings)
    history = run(readout, backbone, settings, tmp_path / "c")
    assert len(history.epochs) == 1 + 3


def test_accumulated_batches_are_one_larger_batch(tmp_path):
    found = []
    for batch, accumulate in ((8, 2), (16, 1)):
        update = {"batch": batch, "accumulate": accumulate, "epochs": 1}
        settings = SETTINGS.model_copy(update=update)
        backbone, readout = made(settings)
        for module in readout.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        run(readout, backbone, settings, tmp_path / str(batch))
        found.append(weights(readout))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*found, strict=True))
