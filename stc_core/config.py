"""Frozen settings of a run: the CLI's options, the app's form and config.json."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, field_validator

from stc_core.frozen import Frozen, OneOf, Words
from stc_core.poolings import POOLING_RULES
from stc_core.types import KINDS, SITE_KINDS, Kind, Pooling

DEFAULT_BACKBONE = "all-MiniLM-L6-v2"
RUN_FORMAT = 1
MAX_LENGTH = 256
"""Tokens of a text that are read unless another length is asked for."""
LONGEST = 64
"""Tokens of a reply or a thought unless another length is asked for."""
SPIN_POOLINGS: tuple[Pooling, ...] = ("max", "mean")
SPIN_CS = (0.1, 0.2, 1.0, 10.0, 100.0)
SPIN_ETAS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
MOST_SEED = 2**32 - 1
"""Of all generators that a seed is given to, NumPy's old one takes the least."""
KEPT = "kept"
"""In the context of a validation: the record is of a run that was made before."""
_T = TypeVar("_T")


def _once(values: tuple[_T, ...]) -> tuple[_T, ...]:
    """Each value where it comes first: to ask for it again changes nothing."""
    return tuple(dict.fromkeys(values))


def _most(value: int | None, info: Any) -> int | None:
    """A most that is no contradiction to the number of neurons that is asked for."""
    budget = info.data.get("budget")
    if None not in (value, budget) and value < budget and not _is_kept(info):
        raise ValueError(f"none, or {budget:,} or more, as the budget is {budget:,}")
    return value


def _is_kept(info: Any) -> bool:
    return bool((info.context or {}).get(KEPT))


def _seed(value: int, info: Any) -> int:
    """A seed that every generator takes; a run that is there keeps the one it had."""
    if value > MOST_SEED and not _is_kept(info):
        raise ValueError(f"a whole number, 0 or more and {MOST_SEED:,} or less")
    return value


Some = Annotated[tuple[_T, ...], Field(min_length=1), AfterValidator(_once)]
"""One or more values, each once."""


class DataConfig(Frozen):
    """Which file and which columns.

    None means: guess from content and names; "" for split or id means: there is none.
    `encoding` is that of both files.
    `reply` is what a decoder learns to write after the labels, `thought` what it writes
    before that; they are never guessed.
    """

    path: Words
    test_path: Words | None = None
    encoding: Words | None = None
    text: Words | None = None
    labels: tuple[Words, ...] = ()
    split: Words | None = None
    id: Words | None = None
    thought: Words | None = None
    reply: Words | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The columns of the levels, then those that are written after them."""
        return (*self.labels, *filter(None, (self.thought, self.reply)))

    def labelled(self) -> "DataConfig":
        """The same with nothing to write after the labels."""
        return self.changed(thought=None, reply=None)


class TuneConfig(Frozen):
    """How the recipe `variability` tunes a part of the backbone.

    `where`: the blocks that end at the layer with the least nu (or at `layer`), where
    the head then sits; the same number of top blocks; or all. None means: what suits
    the method.
    """

    where: Literal["variability", "top", "all"] = "variability"
    layer: int | None = Field(default=None, ge=1)
    blocks: int = Field(default=3, ge=1)
    method: Literal["full", "lora", "bottleneck"] = "full"
    width: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    epochs: int = Field(default=5, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    patience: int = Field(default=2, ge=1)
    batch: int = Field(default=32, ge=1)
    accumulate: int = Field(default=1, ge=1)
    checkpointing: bool = False


class HierarchyConfig(Frozen):
    """How the recipe `hierarchy` reads each level of labels, coarse to fine.

    Empty means: layers by the probes of each level, and levels that weigh the same.
    `heads`: over classes, or over a decoder's words, which is what auto means for a
    decoder with a language-model head; those may be `tied` into one, and at inner
    layers read states with the model's final `norm`. A thought and a reply have a layer
    and a weight after those of the levels, and `reply_length` tokens at most.
    """

    layers: tuple[Annotated[int, Field(ge=0)], ...] = ()
    weights: tuple[Annotated[float, Field(ge=0)], ...] = ()
    heads: Literal["auto", "class", "words"] = "auto"
    tied: bool = False
    norm: bool = True
    reply_length: int | None = Field(default=None, ge=1)

    @field_validator("weights")
    @classmethod
    def _weigh(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        if weights and not any(weights):
            raise ValueError("numbers of which one is above 0")
        return weights


class AttentionConfig(Frozen):
    """How the recipe `attention` reads layers and tokens, and what else learns.

    `per_class`: each class has an attention over tokens of its own. `schedule`: the
    backbone stays frozen; or it is tuned, as a language model for `lm_epochs` and then
    with the classifier ("two-stage"), or with both losses at once, that of the words
    counting `lm_weight` ("multi-task"). `tune.where` "top" tunes some blocks, else all.
    """

    per_class: bool = False
    epochs: int = Field(default=8, ge=1)
    schedule: Literal["frozen", "two-stage", "multi-task"] = "frozen"
    lm_epochs: int = Field(default=3, ge=1)
    lm_weight: float = Field(default=0.2, ge=0)


class TrainConfig(Frozen):
    """Everything that changes the numbers of a run, and nothing else.

    `budget` is how many neurons are kept, `max_neurons` how many at most.
    """

    recipe: Literal["stc", "variability", "hierarchy", "attention"] = "stc"
    preset: Literal["stc", "spin"] = "stc"
    backbone: Words = DEFAULT_BACKBONE
    device: Words = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    max_length: int | None = Field(default=None, ge=8)
    kinds: Some[Annotated[Kind, AfterValidator(OneOf(SITE_KINDS))]] = KINDS
    poolings: Some[Annotated[Pooling, AfterValidator(OneOf(POOLING_RULES))]] | None = (
        None
    )
    penalty: Literal["l1", "group"] = "l1"
    class_weight: Literal["balanced"] | None = None
    eta: float | None = Field(default=None, gt=0, le=1)
    budget: int | None = Field(default=None, ge=1)
    max_layer: int | None = Field(default=None, ge=0)
    max_neurons: Annotated[int | None, Field(ge=1), AfterValidator(_most)] = None
    tolerance: float | None = Field(default=None, ge=0, lt=1)
    store_dtype: Literal["float16", "float32"] = "float16"
    tune: TuneConfig = TuneConfig()
    hierarchy: HierarchyConfig = HierarchyConfig()
    attention: AttentionConfig = AttentionConfig()
    validation_share: float = Field(default=0.15, gt=0, lt=0.5)
    test_share: float = Field(default=0.2, gt=0, lt=0.5)
    seed: Annotated[int, Field(ge=0), AfterValidator(_seed)] = 0


class ShrinkConfig(Frozen):
    """A finished run that another is made from, with the features it was trained on.

    `layer` and `neurons` name an option of its frontier; without them neurons are
    selected again, by the settings of the new run. `extract`: read the texts again if
    their features are gone. `named_from` is the parent's name, from which the run gets
    its own once it is known what was kept; empty where it has one.
    """

    parent: Words
    named_from: Words = ""
    layer: int | None = Field(default=None, ge=0)
    neurons: int | None = Field(default=None, ge=1)
    extract: bool = False


class RunConfig(Frozen):
    """What config.json holds: the data, the settings and when it was asked for."""

    format: int = RUN_FORMAT
    name: Words = ""
    created: Words = ""
    data: DataConfig
    train: TrainConfig = TrainConfig()
    shrink: ShrinkConfig | None = None
