"""How attention learns: on a frozen backbone, in two stages, or two tasks at once.

Our reading of FineText (arXiv 1910.11959): language-model tuning on the training texts
and then the classifier, with gradual unfreezing and discriminative rates as in
arXiv 1801.06146; or the sum of both losses from the start.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.attention_pooling import Attention
from stc_core.errors import StcError
from stc_core.heads.head import SparseHead
from stc_core.recipe_settings import TuneConfig
from stc_core.recipes.attention.module import RATES, AttentionModule, WordLoss
from stc_core.recipes.attention.uniform import first_head, uniform_vectors
from stc_core.tuning.blocks import (
    TunableBackbone,
    TunePlan,
    changes_for,
    checkpoint_blocks,
    cut_and_adapt,
)
from stc_core.tuning.history import History
from stc_core.tuning.language_model import Speaker, WordHead, check_language, word_head
from stc_core.tuning.session import (
    TuningSession,
    keep_tuned,
)
from stc_core.tuning.trainer import Rate, rate_of
from stc_core.types import Site

WARMUP = 0.1
RATIO = 2.6
"""The rate of a block divided by the rate of the block below it."""
THAW = 0.3
"""All blocks learn after this share of the steps, before training can stop early."""
_WORDS = "words"
"""Name of the language-model stage among the checkpoints and in tuning.json."""

Alike = dict[str, Float[np.ndarray, "n d"]]


class TrainedAttention(NamedTuple):
    """A trained attention classifier: backbone, attention, head, and how training went.

    `words` is the history of the language-model stage, `own_words` says whether the
    head over words came with the files; both are None without such a stage.
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
        """Seconds of all stages."""
        return self.history.seconds + (self.words.seconds if self.words else 0.0)


def train_attention(
    session: TuningSession, base: Backbone, sites: Sequence[Site], alike: Alike
) -> TrainedAttention:
    """Train attention by the schedule of the settings; tuning changes `base` itself."""
    if session.settings.attention.schedule == "frozen":
        return _frozen(session, base, sites, alike)
    return _tuned(session, base, sites, alike)


def _frozen(
    session: TuningSession, base: Backbone, sites: Sequence[Site], alike: Alike
) -> TrainedAttention:
    """Train on the frozen backbone and keep the last epoch.

    The rates fall to zero, and choosing an epoch on a small validation set is luck.
    """
    wish = session.settings.tune
    module = _attention_module(session, base, sites, alike)
    history = session.train(
        module,
        base,
        tune=_bounded(wish, session.settings.attention.epochs, wish.seconds),
        rate=lambda steps: warmed_rates(module.groups(wish.learning_rate), steps),
        choose=False,
    )
    return TrainedAttention(
        base, module.trained(), module.linear_head(), history, module.n_trainable()
    )


def _tuned(
    session: TuningSession, base: Backbone, sites: Sequence[Site], alike: Alike
) -> TrainedAttention:
    """Train with tuned blocks and keep the epoch with the best validation score."""
    wish, settings = session.settings.attention, session.settings
    check_language(base)
    plan = plan_blocks(base, sites, settings.tune)
    what = changes_for(base, plan, settings.tune)
    staged = wish.schedule == "two-stage"
    head = word_head(base) if staged or wish.lm_weight else None
    tunable = cut_and_adapt(base, plan, what, seed=settings.seed)
    if settings.tune.checkpointing:
        checkpoint_blocks(tunable.backbone)
    words = None
    if staged:
        assert head is not None
        words = train_language_model(session, tunable, head)
        session.writer.phase("tune", message="what the tuned layers say")
        texts, groups = session.corpus.texts, session.task.groups
        tell = session.writer.progress
        alike = uniform_vectors(tunable.backbone, sites, texts, groups, progress=tell)
    word_loss = None if staged or head is None else WordLoss(head, wish.lm_weight)
    module = _attention_module(
        session, tunable.backbone, sites, alike, tunable=tunable, word_loss=word_loss
    )
    session.writer.phase("tune", message=_said(plan, wish.schedule))
    history = _classes(session, module, tunable.backbone, words)
    kept = keep_tuned(
        session.writer.folder,
        what,
        module.tuned_tensors(),
        backbone=tunable.backbone,
        dtype=settings.dtype,
    )
    attention, line, n = module.trained(), module.linear_head(), module.n_trainable()
    own = None if head is None else head.own
    del module, tunable, word_loss, head, base
    return TrainedAttention(
        kept.open(), attention, line, history, n, plan.tuned, words, own
    )


def _said(plan: TunePlan, schedule: str) -> str:
    blocks = f"blocks {plan.tuned[0]} to {plan.tuned[-1]}"
    return f"attention and {blocks}, {schedule}"


def plan_blocks(
    backbone: Backbone, sites: Sequence[Site], tune: TuneConfig
) -> TunePlan:
    """Choose the blocks that learn: all blocks that are read, or the topmost ones."""
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


def train_language_model(
    session: TuningSession, tunable: TunableBackbone, head: WordHead
) -> History:
    """Tune the blocks of `tunable` as a language model, in place.

    The epoch with the lowest validation loss is kept.
    """
    settings = session.settings
    speaker = Speaker(tunable.backbone, head, tunable.parts, tunable.blocks)
    origin = "its own head" if head.own else "a head tied to its word vectors"
    session.writer.phase("tune", message=f"language model with {origin}")
    half = settings.tune.seconds and settings.tune.seconds / 2
    rate = rate_of(settings.tune, tunable.backbone.d_model)
    return session.train(
        speaker,
        tunable.backbone,
        name=_WORDS,
        tune=_bounded(settings.tune, settings.attention.lm_epochs, half),
        by="loss",
        under=_WORDS,
        told=History().record(),
        rate=lambda steps: warmed_rates(_word_groups(speaker, rate), steps),
    )


def _classes(
    session: TuningSession,
    module: AttentionModule,
    backbone: Backbone,
    words: History | None,
) -> History:
    """Train the classifier and the tuned blocks together.

    After a language-model stage the blocks open one by one, else all at the start.
    """
    settings, n = session.settings, module.n_tuned
    spent = words.seconds if words else 0.0
    seconds = settings.tune.seconds and max(settings.tune.seconds - spent, 1e-3)
    groups = module.groups(
        top=rate_of(settings.tune, backbone.d_model), ratio=RATIO if words else 1.0
    )

    def thaw(done: int, steps: int) -> None:
        module.open(open_blocks(done, steps, n))

    return session.train(
        module,
        backbone,
        name="classes",
        tune=_bounded(settings.tune, settings.attention.epochs, seconds),
        told={_WORDS: words.record()} if words else None,
        rate=lambda steps: warmed_rates(groups, steps),
        step=thaw if words else None,
    )


def open_blocks(done: int, steps: int, n: int) -> int:
    """The number of blocks, of `n` and from the top, that learn at a step.

    None at first, then one after another, all after the share THAW of the steps.
    """
    return min(n, int(done / (THAW * steps) * (n + 1)))


def warmed_rates(groups: list[dict[str, Any]], steps: int) -> Rate:
    """The optimizer and its schedule: rates rise for a tenth of `steps`, then fall to
    zero."""
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


def _attention_module(
    session: TuningSession,
    backbone: Backbone,
    sites: Sequence[Site],
    alike: Alike,
    *,
    tunable: TunableBackbone | None = None,
    word_loss: WordLoss | None = None,
) -> AttentionModule:
    """A module whose attention begins uniform; the same seed gives the same module."""
    task = session.task
    n_query = len(task.classes) if session.settings.attention.per_class else 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(session.settings.seed)
        attention = Attention(len(sites), backbone.widths[sites[-1]], n_query)
    return AttentionModule(
        backbone,
        sites,
        attention,
        first_head(alike, task, backbone, sites),
        tunable,
        class_weight=task.class_weights(task.train),
        word_loss=word_loss,
    )
