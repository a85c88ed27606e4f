"""The frozen settings of a run: options of the CLI, the app's form and config.json."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    field_validator,
    model_validator,
)

from stc_core.frozen import Frozen, OneOf, Words
from stc_core.poolings import POOLING_RULES
from stc_core.types import KINDS, SITE_KINDS, Kind, Pooling

DEFAULT_BACKBONE = "all-MiniLM-L6-v2"
RUN_FORMAT = 1
MAX_LENGTH = 256
"""The number of tokens of a text that are read by default."""
LONGEST = 64
"""The number of tokens of a reply or a thought by default."""
SPIN_POOLINGS: tuple[Pooling, ...] = ("max", "mean")
SPIN_CS = (0.1, 0.2, 1.0, 10.0, 100.0)
SPIN_ETAS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
MOST_SEED = 2**32 - 1
"""The largest seed that all generators accept; the limit is that of NumPy's old one."""
KEPT = "kept"
"""A key in the validation context: the record belongs to a run made earlier."""
_T = TypeVar("_T")


def _once(values: tuple[_T, ...]) -> tuple[_T, ...]:
    """Each value once, at its first position: repeating a value changes nothing."""
    return tuple(dict.fromkeys(values))


def _most(value: int | None, info: Any) -> int | None:
    """The limit of neurons, which must not be below the number that is asked for."""
    budget = info.data.get("budget")
    if None not in (value, budget) and value < budget:
        raise ValueError(f"none, or {budget:,} or more, as the budget is {budget:,}")
    return value


def _is_kept(info: Any) -> bool:
    """Whether the record that is validated belongs to a run made earlier."""
    return bool((info.context or {}).get(KEPT))


def _seed(value: int, info: Any) -> int:
    """A seed that every generator accepts; a run made earlier keeps its own."""
    if value > MOST_SEED and not _is_kept(info):
        raise ValueError(f"a whole number, 0 or more and {MOST_SEED:,} or less")
    return value


Some = Annotated[tuple[_T, ...], Field(min_length=1), AfterValidator(_once)]
"""One or more values, each once."""


class DataConfig(Frozen):
    """The files and their columns.

    None means: guess it from content and names. For split or id "" means: there is
    none. `encoding` is that of both files. `reply` is what a decoder learns to write
    after the labels, and `thought` what it writes before the reply. They are never
    guessed.
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
        """The columns of the levels, then those written after them."""
        return (*self.labels, *filter(None, (self.thought, self.reply)))

    def labelled(self) -> "DataConfig":
        """The same data without anything to write after the labels."""
        return self.changed(thought=None, reply=None)


class TuneConfig(Frozen):
    """How the recipe `variability` tunes a part of the backbone.

    `where`: the blocks that end at the layer with the smallest nu (or at `layer`), on
    which the head then sits; the same number of top blocks; or all blocks. None means:
    the value that suits the method.
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

    Empty `layers` are chosen by probes of each level; with empty `weights` all levels
    have equal weights. `heads` work on classes, or on a decoder's words; auto means
    words for a decoder with a language-model head, else classes. Heads over words may
    be `tied` into one, and at inner layers read states with the model's final `norm`. A
    thought and a reply have a layer and a weight after those of the levels, and at most
    `reply_length` tokens.
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
            raise ValueError("numbers, at least one of them above 0")
        return weights


class AttentionConfig(Frozen):
    """How the recipe `attention` reads layers and tokens, and what else is trained.

    `per_class`: each class has its own attention over tokens. `schedule`: the backbone
    stays frozen ("frozen"); or it is tuned, as a language model for `lm_epochs` and
    then with the classifier ("two-stage"), or with both losses at once ("multi-task"),
    with `lm_weight` as the weight of the language-model loss. `tune.where` "top" tunes
    some blocks, other values all blocks.
    """

    per_class: bool = False
    epochs: int = Field(default=8, ge=1)
    schedule: Literal["frozen", "two-stage", "multi-task"] = "frozen"
    lm_epochs: int = Field(default=3, ge=1)
    lm_weight: float = Field(default=0.2, ge=0)


class TrainConfig(Frozen):
    """Everything that changes the numbers of a run, and nothing else.

    `budget` is the number of neurons to keep, `max_neurons` the largest number to keep.
    """

    @model_validator(mode="before")
    @classmethod
    def _smaller_of_both(cls, values: Any, info: Any) -> Any:
        """A run made earlier may have a budget above its limit: the limit counted."""
        if not (_is_kept(info) and isinstance(values, dict)):
            return values
        budget, most = values.get("budget"), values.get("max_neurons")
        above = isinstance(budget, int) and isinstance(most, int) and budget > most
        return {**values, "budget": most} if above else values

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
    """The finished run from which another is made, with the features it was trained on.

    `layer` and `neurons` name an option of its frontier. Without them neurons are
    selected again, by the settings of the new run. `extract`: read the texts again if
    their features are gone. `named_from` is the parent's name; the new run gets a name
    made from it when it is known what was kept. It is empty if the run has a name.
    """

    parent: Words
    named_from: Words = ""
    layer: int | None = Field(default=None, ge=0)
    neurons: int | None = Field(default=None, ge=1)
    extract: bool = False


class RunConfig(Frozen):
    """The content of config.json: the data, the settings, the time of the request."""

    format: int = RUN_FORMAT
    name: Words = ""
    created: Words = ""
    data: DataConfig
    train: TrainConfig = TrainConfig()
    shrink: ShrinkConfig | None = None
