"""How attention learns: on a frozen backbone, in two stages, or two tasks at once.

Our reading of FineText (arXiv 1910.11959): language-model tuning on the training texts
and then the classifier, with gradual unfreezing and discriminative rates as in
arXiv 1801.06146; or the sum of both losses from the start.
"""

import shutil
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.attention_pooling import Attention
from stc_core.config import TuneConfig
from stc_core.errors import StcError
from stc_core.files import read_json, replacing, write_json
from stc_core.heads.head import SparseHead
from stc_core.recipes.attention.module import RATES, AttentionModule, WordLoss
from stc_core.recipes.attention.uniform import first_head, vectors_alike
from stc_core.tuning.blocks import (
    TunableBackbone,
    TunePlan,
    changes_for,
    checkpoint_blocks,
    cut_and_adapt,
)
from stc_core.tuning.language_model import Speaker, WordHead, check_language, word_head
from stc_core.tuning.session import (
    CHECKPOINTS,
    TuningSession,
    class_weights_of,
    keep_tuned,
)
from stc_core.tuning.trainer import History, Rate, rate_of
from stc_core.types import Site

WARMUP = 0.1
RATIO = 2.6
"""Of the rate of a block to that of the one below it."""
THAW = 0.3
"""Share of the steps after which all blocks learn: before anything can stop early."""
_WORDS = "words"
"""Name of the language-model stage among the checkpoints and in tuning.json."""

Alike = dict[str, Float[np.ndarray, "n d"]]


class Taught(NamedTuple):
    """What learning left: the backbone to read from, attention, head, and its course.

    `words` is the course of the language-model stage, `own_words` whether the head over
    words came with the files; None where there was none.
    """

    backbone: Backbone
    attention: Attention
    head: SparseHead
    history: History
    n_trainable: int
    blocks: tuple[int, ...] = ()
    words: History | None = None
    own_words: bool | None = None

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return self.history.seconds + (self.words.seconds if self.words else 0.0)


def train_attention(
    lesson: TuningSession, base: Backbone, sites: Sequence[Site], alike: Alike
) -> Taught:
    """Attention by the schedule of the settings; `base` is used up if it is tuned."""
    if lesson.settings.attention.schedule == "frozen":
        return _frozen(lesson, base, sites, alike)
    return _tuned(lesson, base, sites, alike)


def _frozen(
    lesson: TuningSession, base: Backbone, sites: Sequence[Site], alike: Alike
) -> Taught:
    """The rates fall to zero and the last epoch stays: on a small validation set the
    choice of an epoch is luck."""
    wish = lesson.settings.tune
    focus = _focus(lesson, base, sites, alike)
    history = lesson.train(
        focus,
        base,
        tune=_bounded(wish, lesson.settings.attention.epochs, wish.seconds),
        rate=lambda steps: paced(focus.groups(wish.learning_rate), steps),
        choose=False,
    )
    return Taught(
        base, focus.trained(), focus.linear_head(), history, focus.n_trainable()
    )


def _tuned(
    lesson: TuningSession, base: Backbone, sites: Sequence[Site], alike: Alike
) -> Taught:
    """The epoch that validates best stays."""
    wish, settings = lesson.settings.attention, lesson.settings
    check_language(base)
    plan = plan_blocks(base, sites, settings.tune)
    what = changes_for(base, plan, settings.tune)
    staged = wish.schedule == "two-stage"
    head = word_head(base) if staged or wish.lm_weight else None
    graft = cut_and_adapt(base, plan, what, seed=settings.seed)
    if settings.tune.checkpointing:
        checkpoint_blocks(graft.backbone)
    words = None
    if staged:
        assert head is not None
        words = spoken(lesson, graft, head)
        lesson.writer.phase("tune", message="what the tuned layers say")
        tell = lesson.writer.progress
        alike = vectors_alike(graft.backbone, sites, lesson.corpus, progress=tell)
    tongue = None if staged or head is None else WordLoss(head, wish.lm_weight)
    focus = _focus(lesson, graft.backbone, sites, alike, graft=graft, tongue=tongue)
    lesson.writer.phase("tune", message=_said(plan, wish.schedule))
    history = _classes(lesson, focus, graft.backbone, words)
    kept = keep_tuned(
        lesson.writer.folder,
        what,
        focus.tuned_tensors(),
        backbone=graft.backbone,
        dtype=settings.dtype,
    )
    attention, line, n = focus.trained(), focus.linear_head(), focus.n_trainable()
    own = None if head is None else head.own
    del focus, graft, tongue, head, base
    return Taught(kept.open(), attention, line, history, n, plan.tuned, words, own)


def _said(plan: TunePlan, schedule: str) -> str:
    blocks = f"blocks {plan.tuned[0]} to {plan.tuned[-1]}"
    return f"attention and {blocks}, {schedule}"


def plan_blocks(
    backbone: Backbone, sites: Sequence[Site], tune: TuneConfig
) -> TunePlan:
    """The blocks that learn: all of those that are read, or the topmost of them."""
    top = max(site.layer for site in sites)
    below: list[int] = []
    while backbone.block(top - len(below)) is not None:
        below.append(top - len(below))
    if not below:
        raise StcError(
            f"blocks of {backbone.name} to tune",
            expected="one at least below the highest layer that is read",
            got=f"none up to layer {top}",
            remedy="Raise --max-layer, or choose --schedule frozen.",
        )
    n = tune.blocks if tune.where == "top" else len(below)
    return TunePlan(top, tuple(sorted(below[:n])))


def spoken(lesson: TuningSession, graft: TunableBackbone, head: WordHead) -> History:
    """The language-model stage; the blocks of `graft` are then as it left them.

    The epoch that guesses the validation texts best stays. It is done once: what it
    left is among the checkpoints.
    """
    settings = lesson.settings
    folder = lesson.writer.folder / CHECKPOINTS
    left, told = folder / f"{_WORDS}.safetensors", folder / f"{_WORDS}.json"
    speaker = Speaker(graft.backbone, head, graft.parts, graft.blocks)
    if told.is_file():
        speaker.load_state_dict(load_file(left))
        return History.of(read_json(told))
    origin = "its own head" if head.own else "a head tied to its word vectors"
    lesson.writer.phase("tune", message=f"language model with {origin}")
    half = settings.tune.seconds and settings.tune.seconds / 2
    rate = rate_of(settings.tune, graft.backbone.d_model)
    history = lesson.train(
        speaker,
        graft.backbone,
        name=_WORDS,
        tune=_bounded(settings.tune, settings.attention.lm_epochs, half),
        by="loss",
        under=_WORDS,
        told=History().record(),
        rate=lambda steps: paced(_word_groups(speaker, rate), steps),
    )
    with replacing(left) as path:
        tensors = speaker.state_dict()
        save_file({n: t.cpu().contiguous() for n, t in tensors.items()}, path)
    write_json(told, history.record())
    shutil.rmtree(folder / _WORDS)
    return history


def _classes(
    lesson: TuningSession,
    focus: AttentionModule,
    backbone: Backbone,
    words: History | None,
) -> History:
    """The classifier with all that is tuned: block by block after a first stage, else
    all from the start."""
    settings, n = lesson.settings, focus.n_tuned
    spent = words.seconds if words else 0.0
    seconds = settings.tune.seconds and max(settings.tune.seconds - spent, 1e-3)
    groups = focus.groups(
        top=rate_of(settings.tune, backbone.d_model), ratio=RATIO if words else 1.0
    )

    def thaw(done: int, steps: int) -> None:
        focus.open(open_blocks(done, steps, n))

    return lesson.train(
        focus,
        backbone,
        name="classes",
        tune=_bounded(settings.tune, settings.attention.epochs, seconds),
        told={_WORDS: words.record()} if words else None,
        rate=lambda steps: paced(groups, steps),
        step=thaw if words else None,
    )


def open_blocks(done: int, steps: int, n: int) -> int:
    """How many of `n` blocks learn at a step, from the top: none at first, then one
    after another, all after THAW of the steps."""
    return min(n, int(done / (THAW * steps) * (n + 1)))


def paced(groups: list[dict[str, Any]], steps: int) -> Rate:
    """The optimizer over `steps`, and its rates: up for a tenth, then down to zero."""
    optimizer = AdamW(groups, weight_decay=0.01)
    warm = max(1, round(WARMUP * steps))

    def share(step: int) -> float:
        return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))

    return Rate(optimizer, LambdaLR(optimizer, share))


def _word_groups(speaker: Speaker, rate: float) -> list[dict[str, Any]]:
    tuned = speaker.tuned_tensors()
    head = [p for n, p in speaker.learned().items() if n.startswith("words.")]
    return [
        {"params": list(tuned.values()), "lr": rate},
        {"params": head, "lr": RATES["words"]},
    ]


def _bounded(tune: TuneConfig, epochs: int, seconds: float | None) -> TuneConfig:
    return tune.changed(epochs=epochs, seconds=seconds)


def _focus(
    lesson: TuningSession,
    backbone: Backbone,
    sites: Sequence[Site],
    alike: Alike,
    *,
    graft: TunableBackbone | None = None,
    tongue: WordLoss | None = None,
) -> AttentionModule:
    """Attention that begins with all alike, the same for the same seed."""
    task = lesson.task
    n_query = len(task.classes) if lesson.settings.attention.per_class else 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(lesson.settings.seed)
        attention = Attention(len(sites), backbone.widths[sites[-1]], n_query)
    return AttentionModule(
        backbone,
        sites,
        attention,
        first_head(alike, task, backbone, sites),
        graft,
        class_weight=class_weights_of(task),
        tongue=tongue,
    )
