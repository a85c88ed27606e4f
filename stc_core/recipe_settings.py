"""The settings that only some recipes use: the parts of TrainConfig."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from stc_core.frozen import Frozen
from stc_core.setting import setting

LONGEST = 64
"""The number of tokens of a reply or a thought by default."""


class TuneConfig(Frozen):
    """How recipes tune a part of the backbone; None means: what suits the method."""

    where: Literal["variability", "top", "all"] = setting(
        "variability",
        "Which blocks are tuned: those that end at the layer with the lowest nu "
        "(`variability`), as many at the top (`top`), or all of them (`all`).",
    )
    layer: int | None = setting(
        None,
        "Tune the blocks that end at this layer instead.",
        option="--tune-layer",
        ge=1,
    )
    blocks: int = setting(
        3, "The number of blocks.", option="--tune-blocks", label="Blocks", ge=1
    )
    method: Literal["full", "lora", "bottleneck"] = setting(
        "full",
        "Tune whole blocks (`full`), or adapters inside them: `lora` or `bottleneck`.",
        label="Tune by",
    )
    width: int | None = setting(
        None,
        "The rank of LoRA (8 without a number) or the width of a bottleneck (64).",
        label="Rank or width of adapters",
        ge=1,
    )
    learning_rate: float | None = setting(
        None,
        "The learning rate of tuning. Without a number it depends on the method. For "
        "whole blocks it is 5e-5 at a width of 384 and below, and less in proportion "
        "for a wider backbone.",
        label="Learning rate",
        gt=0,
    )
    epochs: int = setting(
        5,
        "The most passes over the training rows. The recipes attention and contrastive "
        "have defaults of their own: 8 and 3. An epoch of contrastive has 20 "
        "batches at least.",
        label="Epochs at most",
        ge=1,
    )
    seconds: float | None = setting(
        None, "The most seconds that tuning takes.", label="Minutes at most", gt=0
    )
    patience: int = setting(
        2,
        "Stop after this many epochs in a row in which the score does not rise and the "
        "loss does not fall by 1 %.",
        label="Stop after epochs without gain",
        ge=1,
    )
    batch: int = setting(
        32,
        "The number of texts in a batch. The recipe contrastive has a default of its "
        "own: 64.",
        label="Texts per batch",
        ge=1,
    )
    accumulate: int = setting(
        1,
        "The number of batches before each step of the optimiser.",
        label="Batches per step",
        ge=1,
    )
    checkpointing: bool = setting(
        False,
        "Compute activations a second time in the backward pass: it needs less memory, "
        "but a third more time.",
        label="Save memory (slower)",
    )


class HierarchyConfig(Frozen):
    """How the recipe `hierarchy` reads each level of labels, coarse to fine.

    A thought and a reply have a layer and a weight, too, after those of the levels.
    """

    layers: tuple[Annotated[int, Field(ge=0)], ...] = setting(
        (),
        "The layer of each level, coarse to fine. Without any, scores of the blocks up "
        "to every layer choose them.",
        option="--level-layer",
    )
    tuned: bool = setting(
        False,
        "Class heads: also tune the backbone. The tuned model is kept if it is better "
        "than the frozen one on held-out rows. Word heads are always tuned.",
        option="--tuned-levels",
        label="Tune the model, too (slower)",
    )
    weights: tuple[Annotated[float, Field(ge=0)], ...] = setting(
        (),
        "The weight of each level in the loss of tuning, coarse to fine. Without any, "
        "all levels have the same.",
        option="--level-weight",
        label="Weight of each level",
    )
    heads: Literal["auto", "class", "words"] = setting(
        "auto",
        "Heads predict classes (`class`), or the words of a decoder that spell the "
        "names of the labels (`words`). `auto` is words for a decoder with a "
        "language-model head, and class otherwise.",
    )
    tied: bool = setting(
        False, "All levels share one word head, instead of a copy for each level."
    )
    norm: bool = setting(
        True,
        "Apply the model's last norm before the word heads of inner layers.",
        option="--final-norm/--no-final-norm",
    )
    reply_length: int | None = setting(
        None,
        f"The most tokens of a reply or a thought. Without a number {LONGEST}, or a "
        "quarter of what the model reads if that is less.",
        label="Longest reply, in tokens",
        ge=1,
    )

    @field_validator("weights")
    @classmethod
    def _weigh(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if weights and not any(weights):
            raise ValueError("numbers, at least one of them above 0")
        return weights


class AttentionConfig(Frozen):
    """How the recipe `attention` reads layers and tokens, and what else is trained.

    A schedule that tunes uses TuneConfig, too: `where` "top" tunes the top blocks, any
    other value all blocks.
    """

    per_class: bool = setting(
        False,
        "Each class has its own attention over the tokens.",
        label="Separate attention for each class",
    )
    epochs: int = setting(
        8,
        "The most epochs of the attention and its head.",
        label="Epochs at most",
        ge=1,
    )
    schedule: Literal["frozen", "two-stage", "multi-task"] = setting(
        "frozen",
        "Whether the backbone is tuned, too: not at all (`frozen`), first to the texts "
        "and then to the labels (`two-stage`), or to both at once (`multi-task`).",
        label="Schedule",
    )
    lm_epochs: int = setting(
        3, "Two-stage: the number of epochs on the texts alone.", ge=1
    )
    lm_weight: float = setting(
        0.2, "Multi-task: the weight of the loss on the texts.", ge=0
    )


class ContrastiveConfig(Frozen):
    """How long the recipe `contrastive` tunes on pairs of texts.

    It uses TuneConfig, too: `where` "top" tunes the top blocks, any other value all
    blocks. There is no patience, as few rows cannot judge an epoch.
    """

    epochs: int = setting(
        3,
        "The number of epochs: each takes every text once, and 20 batches at least.",
        label="Epochs",
        ge=1,
    )
    batch: int = setting(
        64,
        "The number of texts in a batch, every two of which are a pair.",
        label="Texts per batch",
        ge=2,
    )
