"""Schedules of attention: what opens when, what moves, and what a kill changes."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.command import Stc
from helpers.models.masked_words import MASK, inputs_of, masking, tunable_of
from helpers.models.tiny import TEXTS, tiny_tokenizer
from helpers.runs.attention import Killed, check_explanation, configured
from stc_core.classifiers.attention_pooling import Attention
from stc_core.config import RunConfig
from stc_core.errors import StcError
from stc_core.files import read_json
from stc_core.heads.head import SparseHead
from stc_core.recipe_settings import AttentionConfig, TuneConfig
from stc_core.recipes import registry
from stc_core.recipes.attention.module import AttentionModule, WordLoss, vector_features
from stc_core.recipes.attention.schedule import (
    RATIO,
    THAW,
    open_blocks,
    plan_blocks,
    warmed_rates,
)
from stc_core.recipes.attention.uniform import read_sites_of
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.tuning.history import History
from stc_core.tuning.language_model import WordHead
from stc_core.tuning.session import BACKBONE, CHECKPOINTS, TUNING
from stc_core.tuning.trainer import TrainingRows, train_module

CODES = np.array([int("good" in text or "film" in text) for text in TEXTS])


def focus_of(
    family: str = "bert", *, weight: float | None = None, seed: int = 0
) -> AttentionModule:
    """Attention on all tuned blocks of a tiny model, and a head of zeros."""
    tunable = tunable_of(masking(family))
    backbone = tunable.backbone
    sites = read_sites_of(backbone, None)
    features = vector_features(backbone, sites)
    zeros, ones = (
        np.zeros(len(features), np.float32),
        np.ones(len(features), np.float32),
    )
    weights = np.zeros((2, len(features)), np.float32)
    head = SparseHead(
        features, zeros, ones, weights, np.zeros(2, np.float32), ("a", "b")
    )
    torch.manual_seed(seed)
    attention = Attention(len(sites), backbone.widths[sites[-1]])
    word_loss = None if weight is None else WordLoss(WordHead(backbone, None), weight)
    return AttentionModule(
        backbone, sites, attention, head, tunable, word_loss=word_loss
    )


def learned_by(
    focus: AttentionModule, folder: Path, *, step=None, epochs: int = 3
) -> History:
    backbone = focus._backbone
    ids = backbone.tokenize(TEXTS).ids
    groups = focus.groups(top=1e-2, ratio=RATIO)
    return train_module(
        focus,
        TrainingRows(ids[:48], CODES[:48]),
        TrainingRows(ids[48:], CODES[48:]),
        TuneConfig(epochs=epochs, batch=8, patience=9),
        by="accuracy",
        seed=1,
        folder=folder,
        tell=lambda *_: None,
        rate=lambda steps: warmed_rates(groups, steps),
        step=step,
    )


def values(focus: AttentionModule) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in focus.named_parameters()}


def test_blocks_thaw_from_none_to_all_before_anything_can_stop():
    found = [open_blocks(done, 100, 6) for done in range(100)]
    assert found[0] == 0
    assert found == sorted(found)
    assert set(found) == set(range(7))
    assert found.index(6) <= round(100 * THAW)
    assert [open_blocks(done, 1, 3) for done in range(2)] == [0, 3]


def test_the_topmost_blocks_open_first_and_closed_ones_do_not_move(tmp_path: Path):
    focus = focus_of()
    begun = values(focus)
    opened: list[int] = []

    def step(done: int, steps: int) -> None:
        focus.open(open_blocks(done, steps, focus.n_tuned))
        now = {n for n, p in focus.named_parameters() if p.requires_grad}
        layers = {n for n in range(3) if any(f"layer.{n}." in name for name in now)}
        opened.append(len(layers))
        assert layers == set(range(3 - len(layers), 3))
        for n in set(range(3)) - layers:
            for name, p in focus.named_parameters():
                assert f"layer.{n}." not in name or torch.equal(p, begun[name])

    learned_by(focus, tmp_path / "c", step=step)
    assert opened[0] == 0
    assert opened[-1] == 3
    assert opened == sorted(opened)
    moved = {n for n, p in focus.named_parameters() if not torch.equal(p, begun[n])}
    assert moved <= set(focus.learned())
    assert all(any(f"layer.{n}." in name for name in moved) for n in range(3))
    assert not any("embeddings" in name for name in moved)


def test_what_learns_when_all_is_open_is_what_is_kept():
    focus = focus_of()
    kept = set(focus.state_dict())
    focus.open(0)
    assert set(focus.state_dict()) == kept
    assert not focus.train().model.training
    assert not any(block.training for block in focus._tuned[0][0].children())
    n = focus.n_trainable()
    focus.open(2)
    assert focus.n_trainable() == n
    assert len(focus._blocks) == 2


def test_lower_blocks_learn_more_slowly():
    focus = focus_of()
    groups = focus.groups(top=1e-2, ratio=RATIO)
    rates = [group["lr"] for group in groups[3:]]
    assert rates == pytest.approx([1e-2, 1e-2 / 2.6, 1e-2 / 2.6**2])
    every = [id(p) for group in groups for p in group["params"]]
    assert sorted(every) == sorted(id(p) for p in focus.learned().values())


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_words_of_no_weight_change_nothing(family: str, tmp_path: Path):
    alone, beside = focus_of(family), focus_of(family, weight=0.0)
    one = learned_by(alone, tmp_path / "one", epochs=1)
    two = learned_by(beside, tmp_path / "two", epochs=1)
    assert one.steps == two.steps
    for name, tensor in alone.learned().items():
        assert torch.equal(tensor, beside.learned()[name]), name


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_both_losses_fall_together(family: str, tmp_path: Path):
    focus = focus_of(family, weight=1.0)
    inputs, labels = inputs_of(focus._backbone, 48), sorted_codes(48)
    spoken, first = spoken_loss(focus, inputs), focus(labels=labels, **inputs)["loss"]
    learned_by(focus, tmp_path / "c")
    assert spoken_loss(focus, inputs) < spoken
    assert float(focus.eval()(labels=labels, **inputs)["loss"].detach()) < 0.9 * float(
        first.detach()
    )


def sorted_codes(n: int) -> torch.Tensor:
    """The classes of the first texts in the order of a batch: by length."""
    order = np.argsort([len(text.split()) for text in TEXTS[:n]], kind="stable")
    return torch.from_numpy(CODES[:n][order])


def spoken_loss(focus: AttentionModule, inputs: dict[str, torch.Tensor]) -> float:
    torch.manual_seed(3)
    with torch.no_grad():
        words = focus._read(inputs, said=True)[1]
    assert words is not None
    return float(words)


def test_the_loss_is_the_sum_of_both():
    alone, beside = focus_of("gpt2"), focus_of("gpt2", weight=0.5)
    inputs, labels = inputs_of(alone._backbone, 8), torch.tensor([0, 1] * 4)
    for focus in (alone, beside):
        for module in focus.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    torch.manual_seed(0)
    one = alone.train()(labels=labels, **inputs)["loss"]
    torch.manual_seed(0)
    two = beside.train()(labels=labels, **inputs)["loss"]
    said = spoken_loss(beside, inputs)
    assert float((two - one).detach()) == pytest.approx(0.5 * said, rel=1e-4)
    one, two = (f.eval()(labels=labels, **inputs)["loss"] for f in (alone, beside))
    assert float(two.detach()) == pytest.approx(float(one.detach()))


def test_the_blocks_that_are_read_are_tuned_or_the_topmost_of_them():
    backbone = masking()
    sites = read_sites_of(backbone, None)
    assert plan_blocks(backbone, sites, TuneConfig()) == (3, (1, 2, 3))
    some = TuneConfig(where="top", blocks=2)
    assert plan_blocks(backbone, sites, some) == (3, (2, 3))
    assert plan_blocks(backbone, sites[:2], some) == (1, (1,))
    with pytest.raises(StcError, match="blocks"):
        plan_blocks(backbone, sites[:1], some)


def scheduled(folder: Path, schedule: str, family: str = "bert", **more) -> RunConfig:
    wish = {"schedule": schedule, "epochs": 2, "lm_epochs": 2, **more}
    config = configured(
        folder,
        family,
        attention=AttentionConfig.model_validate(wish),
        tune=TuneConfig(learning_rate=1e-3),
    )
    if family == "bert":
        tokenizer = copy.deepcopy(tiny_tokenizer("right", specials=True))
        tokenizer.mask_token = "<other pad>"
        assert tokenizer.mask_token_id == MASK
        tokenizer.save_pretrained(folder / "base")
    return config


def done(config: RunConfig, folder: Path, *, kill_at: str | None = None) -> Run:
    writer = RunWriter(folder / "run", config)
    tell = writer.progress

    def progress(n: int, total: int) -> None:
        tell(n, total)
        if kill_at and list((folder / "run" / CHECKPOINTS).glob(kill_at)):
            raise Killed

    writer.progress = progress  # pyright: ignore[reportAttributeAccessIssue]
    with writer:
        return registry.train(config, writer)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("staged")
    return done(scheduled(folder, "two-stage"), folder)


def test_a_two_stage_run_is_one_like_any_of_the_recipe(staged: Run):
    metrics, tuning = staged.metrics, staged.tuning
    told = metrics["attention"]
    assert (told["schedule"], told["words"]) == ("two-stage", "tied")
    assert told["blocks"] == [1, 2, 3]
    assert metrics["backbone"]["tuned"] != metrics["backbone"]["identity"]
    words = History.of(tuning["words"])
    assert [epoch.epoch for epoch in words.epochs] == [0, 1, 2]
    assert words.epochs[1].loss < words.epochs[0].loss
    assert words.epochs[0].macro_f1 is None
    seconds = metrics["seconds"]
    row = metrics["comparison"][0]
    assert row["name"] == "attention"
    assert row["seconds"] == pytest.approx(seconds["words"] + seconds["tune"])
    assert (staged.folder / BACKBONE / "changes.safetensors").is_file()
    assert not (staged.folder / CHECKPOINTS).exists()
    reader, frame = staged.classifier(), staged.predictions
    texts = staged.corpus["text"].tolist()
    shares = frame[[f"p:{name}" for name in reader.classes_]].to_numpy()
    assert np.allclose(shares, reader.predict_proba(texts), atol=1e-4)
    check_explanation(staged, "good film but very slow")


@pytest.mark.parametrize("kill_at", ["words/checkpoint-*", "classes/checkpoint-*"])
def test_a_kill_in_either_stage_changes_nothing(
    staged: Run, tmp_path: Path, kill_at: str
):
    config = scheduled(tmp_path, "two-stage")
    with pytest.raises(Killed):
        done(config, tmp_path, kill_at=kill_at)
    first = read_json(tmp_path / "run" / TUNING)["words"]
    resumed = done(config, tmp_path)
    assert resumed.predictions.equals(staged.predictions)
    if kill_at.startswith("classes"):  # the first stage was not done again
        assert resumed.tuning["words"] == first


def test_a_decoder_learns_both_at_once(tmp_path: Path):
    run = done(scheduled(tmp_path, "multi-task", "gpt2"), tmp_path)
    told = run.metrics["attention"]
    assert told["lm_weight"] == 0.2
    assert "words" not in run.tuning
    check_explanation(run, "good film but very slow")


def test_who_cannot_is_refused_before_any_work(tmp_path: Path):
    with pytest.raises(StcError, match="encoder with a decoder"):
        done(scheduled(tmp_path, "two-stage", "t5"), tmp_path)
    assert not (tmp_path / "run" / "corpus.parquet").exists()


def test_the_schedule_is_an_option(tmp_path: Path, stc: Stc):
    config = scheduled(tmp_path, "frozen", "t5")
    asked = ("--backbone", config.train.backbone, "--label", "level 0")
    wish = ("--recipe", "attention", "--schedule", "two-stage", "--lm-epochs", 1)
    code, _, error = stc("train", config.data.path, *asked, *wish, "--device", "cpu")
    assert code == 2
    assert "--schedule frozen" in error
    assert stc("train", config.data.path, *asked, "--lm-weight", -1).code == 2
