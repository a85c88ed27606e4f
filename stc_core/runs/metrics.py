"""The shape of metrics.json: what a recipe writes is what readers find.

Both sides check it with pydantic, and a type checker knows every key. Shares and scores
are from 0 to 1, intervals are 95 %, times are seconds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from stc_core.errors import StcError
from stc_core.files import read_json
from stc_core.types import ClassWeight, CriterionName

Bounds = Annotated[Sequence[float], Field(min_length=2, max_length=2)]
"""The lower and the upper end of an interval."""


class LevelScores(TypedDict):
    """The scores of one level of labels; `column` is the column of its labels."""

    column: str
    accuracy: float
    macro_f1: float


class MainScores(TypedDict):
    """Accuracy and macro-F1 on the test rows, with their intervals.

    `macro_f1_reason` says why macro-F1 has no interval, where it is None. The last
    three are those of a classifier of several levels (see `PathScores`).
    """

    accuracy: float
    accuracy_interval: Bounds
    macro_f1: float
    macro_f1_interval: Bounds | None
    macro_f1_reason: NotRequired[str]
    joint_accuracy: NotRequired[float]
    joint_interval: NotRequired[Bounds]
    consistency: NotRequired[float]


class BaselineScores(MainScores):
    """The scores of a baseline on the test rows.

    `detail` says what it is, and `layer` which layer it reads if it is a single one.
    `lead_interval` is the interval of the classifier's accuracy minus its own,
    `macro_f1_lead_interval` that in macro-F1, None where there is none.
    `seconds` is the time it took, where it was measured. The last four are those of the
    sparse classifier, where a tuned one took its place.
    """

    detail: NotRequired[str]
    layer: NotRequired[int]
    lead_interval: NotRequired[Bounds]
    macro_f1_lead_interval: NotRequired[Bounds | None]
    seconds: NotRequired[float]
    n: NotRequired[int]
    ece: NotRequired[float | None]
    log_loss: NotRequired[float | None]
    levels: NotRequired[Sequence[LevelScores]]


class CoarseScores(LevelScores):
    """The scores of an answer to a coarse level alone, which stops at `layer`.

    `summed_accuracy` is that of the most probable label of the level in a full answer.
    """

    layer: int
    summed_accuracy: float


class PathScores(TypedDict):
    """The scores of a classifier of several levels, by whole paths, too.

    `joint_accuracy` is the share of rows where every level is right, `consistency` the
    share of rows whose labels fit together.
    """

    accuracy: float
    macro_f1: float
    joint_accuracy: float
    joint_interval: Bounds
    consistency: float


class ClassifierScores(MainScores):
    """The scores of the classifier on the `n` test rows, not used in training.

    `ece` is the expected calibration error. A number that is not finite is None.
    `generation` has the measures of the replies that it writes, `coarse` the scores of
    answers to the coarse levels alone.
    """

    n: int
    ece: float | None
    log_loss: float | None
    levels: Sequence[LevelScores]
    generation: NotRequired[dict[str, Any]]
    coarse: NotRequired[Sequence[CoarseScores]]


class ValidationScores(TypedDict):
    """The scores on the `n` held rows, each judged by models without it.

    In a small run these are all learned rows, else the validation rows. They chose the
    number of neurons and the penalty.
    """

    accuracy: float
    macro_f1: float
    n: int


class NeuronCounts(TypedDict):
    """Features that were kept, neurons among them (`unique`), and all features read.

    `left_out` are features of which nothing was learned, as they hardly vary; runs
    before November 2026 have no such number.
    """

    selected: int
    unique: int
    total: int
    left_out: NotRequired[int]


class WordFacts(TypedDict):
    """What words gain beside the neurons, and how many are read (0: they gain too
    little).

    `gain` is the score on the held rows with them less that without, `error` its
    standard error. `share` is the weight of words beside the neurons.
    """

    selected: int
    share: float
    gain: float
    error: float


class GoalFacts(TypedDict):
    """The score that chose everything, and the weight of classes (see `Goal`)."""

    criterion: CriterionName
    class_weight: ClassWeight


class LayerCounts(TypedDict):
    """The highest layer that is used, and the number of layers of the model."""

    used: int
    total: int


class CostFacts(TypedDict):
    """The part of the model that is used, and the whole model (`_total`)."""

    parameters: int
    parameters_total: int
    flops_per_token: int
    flops_per_token_total: int


class BackboneFacts(TypedDict):
    """The language model that was read.

    `identity` is the hash of its weights, `tuned` that of the tuned ones. `notes` say
    how it was read.
    """

    name: str
    identity: str
    family: NotRequired[str]
    n_layers: int
    layer_names: Sequence[str]
    max_length: int
    device: str
    dtype: str
    notes: Sequence[str]
    tuned: NotRequired[str]


class ComparedScores(TypedDict):
    """One row of the comparison of a tuned classifier with others.

    `trainable` counts trained numbers, `flops_share` is of the whole model.
    """

    name: str
    accuracy: float
    accuracy_interval: Bounds
    macro_f1: float
    trainable: int
    seconds: float
    peak_bytes: int | None
    flops_per_token: float
    flops_share: float


class TuningFacts(TypedDict):
    """How the recipe variability tuned: `blocks` up to `layer`, chosen by `nu`."""

    method: str
    layer: int
    blocks: Sequence[int]
    width: int
    nu: Sequence[float | None]


class AttentionFacts(TypedDict):
    """What the recipe attention reads, and how it was trained.

    `layer_shares` are the shares of the layers, `words` says which head over words the
    language-model loss used.
    """

    layers: Sequence[int]
    layer_shares: Sequence[float]
    per_class: bool
    parts: Sequence[str]
    schedule: NotRequired[str]
    blocks: NotRequired[Sequence[int]]
    method: NotRequired[str]
    words: NotRequired[str]
    lm_weight: NotRequired[float]


class OwnHeadFacts(TypedDict):
    """The head of an existing classifier, by the recipe existing.

    `labels` has the label of the table for each label of the head, and `left_out` the
    labels of the head that the table does not have.
    """

    labels: dict[str, str]
    left_out: Sequence[str]


class HierarchyFacts(TypedDict):
    """The levels of the recipe hierarchy, coarse to fine.

    `sizes` counts the classes of each level, `flops_per_token` what each level costs.
    `heads` is class or words; `tied` and `norm` are settings of word heads. `parts` are
    what is written after the labels. `alphas` has for each level the weights of the
    coarser ones. `tuned` are the tuned blocks, none on a frozen backbone.
    `temperatures` are those of runs before December 2026.
    """

    heads: NotRequired[str]
    columns: Sequence[str]
    layers: Sequence[int]
    tuned: Sequence[int]
    weights: Sequence[float]
    sizes: Sequence[int]
    flops_per_token: Sequence[float]
    trainable: int
    epochs: int
    alphas: NotRequired[Sequence[Sequence[float]]]
    temperatures: NotRequired[Sequence[float]]
    tied: NotRequired[bool]
    norm: NotRequired[bool]
    parts: NotRequired[Sequence[str]]


class ParentFacts(TypedDict):
    """The run from which a cheaper one was made."""

    run: str
    name: str
    accuracy: float
    macro_f1: float
    neurons: int
    layers: int


class StabilityFacts(TypedDict):
    """How far other rows would keep the same neurons: a `Stability` without the
    frequencies, which are in stability.json."""

    overlap: float
    chance: float
    half: int
    kept: int
    n_selections: int
    always: int
    repeats: dict[str, Any]
    layers: Sequence[dict[str, Any]]
    sites: Sequence[dict[str, Any]]


class RunMetrics(TypedDict):
    """Everything in metrics.json.

    `chosen` are the values that training chose. `missing` has the baselines that could
    not be fitted, with the reason; the first runs did not have it. `seconds` has the
    time of each phase and the `total`. `recipe` and the parts after it are those of
    runs that are more than sparse.
    """

    __pydantic_config__ = ConfigDict(extra="allow")  # pyright: ignore

    classes: list[str]
    goal: NotRequired[GoalFacts]
    test: ClassifierScores
    validation: ValidationScores
    neurons: NeuronCounts
    words: NotRequired[WordFacts]
    stability: NotRequired[StabilityFacts]
    layers: LayerCounts
    chosen: dict[str, Any]
    cost: CostFacts
    backbone: BackboneFacts
    tokens: dict[str, int]
    baselines: dict[str, BaselineScores]
    missing: NotRequired[dict[str, str]]
    seconds: dict[str, float]
    recipe: NotRequired[str]
    tuning: NotRequired[TuningFacts]
    attention: NotRequired[AttentionFacts]
    own_head: NotRequired[OwnHeadFacts]
    hierarchy: NotRequired[HierarchyFacts]
    comparison: NotRequired[Sequence[ComparedScores]]
    parent: NotRequired[ParentFacts]


def hierarchy_facts(metrics: RunMetrics) -> HierarchyFacts:
    """The part of a run of the recipe hierarchy."""
    facts = metrics.get("hierarchy")
    assert facts is not None, metrics.get("recipe")
    return facts


def path_scores_of(metrics: RunMetrics, baseline: str | None = None) -> PathScores:
    """The scores by path of a run of the recipe hierarchy, or of a baseline of it."""
    scores = metrics["test"] if baseline is None else metrics["baselines"][baseline]
    return cast(PathScores, scores)


_SHAPE = TypeAdapter(RunMetrics)


def check_metrics(values: Mapping[str, Any]) -> RunMetrics:
    """`values`, unchanged, if they have the shape of metrics.json.

    Raises pydantic's ValidationError otherwise.
    """
    _SHAPE.validate_python(values)
    return cast(RunMetrics, values)


def read_metrics(path: Path) -> RunMetrics:
    """The metrics in a file.

    Raises StcError that names the file and the first key that does not fit.
    """
    try:
        return check_metrics(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise StcError(
            f"{path}, {place}" if place else str(path),
            expected="the metrics of a run",
            got=first["msg"],
            remedy="Train again into another folder.",
        ) from error
