"""The frozen settings of a run: options of the CLI, the app's form and config.json.

Each setting has its default, its limits, its meaning and its names here, once. The
options of the commands, the fields of the app and the page of the settings are made
from them.
"""

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from stc_core.frozen import Frozen, OneOf, SettingError, Words
from stc_core.poolings import POOLING_RULES
from stc_core.recipe_settings import (
    AttentionConfig,
    ContrastiveConfig,
    HierarchyConfig,
    TuneConfig,
)
from stc_core.recipe_table import LEFT_OUT, PRESETS, RECIPES, REPAIRS
from stc_core.setting import setting
from stc_core.types import (
    KINDS,
    SITE_KINDS,
    ClassWeight,
    CriterionName,
    Kind,
    Pooling,
    WordUse,
)

DEFAULT_BACKBONE = "all-MiniLM-L6-v2"
RUN_FORMAT = 1
MAX_LENGTH = 256
"""The number of tokens of a text that are read by default."""
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


def _no_weight(value: object) -> object:
    """None, as scikit-learn says it, is the weight `none`."""
    return "none" if value is None else value


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


class Repair(Frozen):
    """One change to the rows of a table before they are split; the file stays as it is.

    `do` is a key of `REPAIRS`, which says what `what` is for it: a label, a number of
    rows, a sign, or a key of `LEFT_OUT`. `into` is the label that a merged one becomes.
    """

    do: Annotated[str, AfterValidator(OneOf(REPAIRS))]
    what: Annotated[Words, Field(min_length=1)]
    into: Words = ""

    def __str__(self) -> str:
        """What is typed for it, such as `merge:Refund=refund`: see `parse_repair`."""
        short = f"{self.do}:{self.what}" + (f"={self.into}" if self.into else "")
        is_plain = short.isprintable() and "=" not in self.what
        return short if is_plain else json.dumps(self.model_dump())


def parse_repair(value: Any) -> Repair:
    """The Repair that a text such as `leave-out:repeats` stands for.

    A label with `=` in it needs the other form, which is JSON:
    `{"do": "merge", "what": "a=b", "into": "a"}`. Raises ValueError with the forms
    that are allowed.
    """
    forms = [f"{name}:{known.form}" for name, known in REPAIRS.items()]
    try:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = json.loads(value)
        elif isinstance(value, str):
            do, _, what = value.partition(":")
            what, _, into = what.partition("=") if do == "merge" else (what, "", "")
            value = {"do": do, "what": what, "into": into}
        repair = Repair.model_validate(dict(value))
    except (SettingError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"one of {', '.join(forms)}") from error
    is_right = {
        "leave-out": repair.what in LEFT_OUT,
        "leave-out-below": repair.what.isdecimal() and int(repair.what) > 1,
        "merge": repair.into not in ("", repair.what),
    }
    if not is_right.get(repair.do, True):
        raise ValueError(forms[list(REPAIRS).index(repair.do)])
    return repair


def _in_order(repairs: tuple[Repair, ...]) -> tuple[Repair, ...]:
    """Each repair once, in the order of work: labels, then rows, then small classes."""
    ways, rules = list(REPAIRS), list(LEFT_OUT)

    def rank(repair: Repair) -> tuple[int, int]:
        is_rule = repair.do == "leave-out"
        return ways.index(repair.do), rules.index(repair.what) if is_rule else 0

    return tuple(sorted(dict.fromkeys(repairs), key=rank))


class DataConfig(Frozen):
    """The files and their columns; None means: guess it from content and names."""

    path: Words = Field(
        description="The table: CSV, TSV, JSON, JSONL or Parquet, also as `.gz`. `-` "
        "is standard input.",
        json_schema_extra={"option": "DATA"},
    )
    test_path: Words | None = setting(
        None, "A second table. All its rows are test rows.", option="--test"
    )
    encoding: Words | None = setting(
        None,
        "The encoding of both tables, such as `utf-8` or `cp1250`. Without one it is "
        "detected.",
    )
    text: Words | None = setting(
        None,
        "The column of the texts. Without one it is guessed from names and content.",
    )
    labels: tuple[Words, ...] = setting(
        (),
        "The column of the labels, or one for each level, coarse to fine. The finest "
        "labels are learned, and the coarser ones are scored too. Without one it is "
        "guessed.",
        option="--label",
    )
    split: Words | None = setting(
        None,
        "The column that says `train`, `validation` or `test`. Without one it is "
        "guessed. `''` says that there is none; rows are then split by class, with the "
        "seed.",
    )
    id: Words | None = setting(
        None,
        "The column that names the rows. Without one it is guessed. `''` says that "
        "there is none.",
    )
    thought: Words | None = setting(
        None,
        "The column of what a decoder learns to write before the reply. It is never "
        "guessed.",
    )
    reply: Words | None = setting(
        None,
        "The column of what a decoder learns to write after the labels. It is never "
        "guessed.",
    )
    repairs: Annotated[
        tuple[Annotated[Repair, BeforeValidator(parse_repair)], ...],
        AfterValidator(_in_order),
    ] = setting(
        (),
        "A change to the rows before they are split, such as `merge:Refund=refund` or "
        "`leave-out:repeats`. `stc data check` prints those that mend a problem.",
        option="--repair",
    )

    def labelled(self) -> "DataConfig":
        """The same data without anything to write after the labels."""
        return self.changed(thought=None, reply=None)


class TrainConfig(Frozen):
    """Everything that changes the numbers of a run, and nothing else."""

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_meant(cls, values: Any, info: Any) -> Any:
        """What the settings of a run made earlier meant then.

        Its budget may be above its limit: the limit counted. It may name no criterion:
        accuracy chose, or macro-F1 with class weights. Then no words were read.
        """
        if not (_is_kept(info) and isinstance(values, dict)):
            return values
        chosen_by = "macro_f1" if values.get("class_weight") else "accuracy"
        before = {"criterion": chosen_by, "class_weight": None, "words": "off"}
        values = {**before, **values}
        budget, most = values.get("budget"), values.get("max_neurons")
        above = isinstance(budget, int) and isinstance(most, int) and budget > most
        return {**values, "budget": most} if above else values

    recipe: Annotated[str, AfterValidator(OneOf(RECIPES))] = setting(
        "stc", "The method that is trained; see the pages on methods."
    )
    preset: Annotated[str, AfterValidator(OneOf(PRESETS))] = setting(
        "stc",
        "How the recipe `stc` selects neurons: our way, or `spin`, which follows the "
        "paper.",
    )
    backbone: Words = setting(
        DEFAULT_BACKBONE,
        "The language model: a folder, or an id of the Hugging Face Hub, which is "
        "downloaded once to `cached_models/`. The default one is part of the "
        "installation.",
        label="Language model",
    )
    device: Words = setting(
        "auto",
        "Where the model runs: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.",
        label="Device",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto",
        "The data type of the model. `auto` is bfloat16 on CUDA and float32 elsewhere.",
    )
    max_length: int | None = setting(
        None,
        f"The number of tokens of a text that are read. Without a number {MAX_LENGTH}, "
        "or fewer if the model takes fewer. The report counts the texts that are cut.",
        label="Longest text, in tokens",
        ge=8,
    )
    own_labels: Annotated[tuple[Words, ...], AfterValidator(_once)] = setting(
        (),
        "A label of the model's own classification head and the label of the table "
        "that it stands for, such as `LABEL_1=spam`. Labels with the same name need "
        "none. Several labels of the head may stand for one.",
        option="--own-label",
        label="Labels of the model's own head",
    )
    kinds: Some[Annotated[Kind, AfterValidator(OneOf(SITE_KINDS))]] = setting(
        KINDS,
        "Which kinds of site are read: the hidden states (`resid`) and the FFN neurons "
        "(`mlp`).",
        option="--kind",
        label="Read from",
    )
    poolings: Some[Annotated[Pooling, AfterValidator(OneOf(POOLING_RULES))]] | None = (
        setting(
            None,
            "How the values of all tokens become one value for the text. Without any: "
            "mean, max, and the first token (encoders) or the last one (decoders). The "
            "preset `spin` has mean and max.",
            option="--pooling",
            label="Pool over the words by",
        )
    )
    penalty: Literal["l1", "group"] = setting(
        "l1",
        "The penalty of the probes. `l1`: a neuron may be kept for some classes only. "
        "`group`: a neuron is kept or dropped for all classes at once.",
        label="Sparsity",
    )
    criterion: Literal["auto", CriterionName] = setting(
        "auto",
        "The score by which everything is chosen: strengths, neurons, depth, epochs. "
        "`auto` is macro-F1 if one class has more than twice the rows of another, with "
        "an allowance for chance, or if rare classes get more weight; and accuracy "
        "otherwise. `average_precision` scores the order of texts, not "
        "answers.",
        label="Choose by",
    )
    class_weight: Annotated[
        Literal["auto", ClassWeight], BeforeValidator(_no_weight)
    ] = setting(
        "auto",
        "How much more a row of a rare class counts. `balanced`: every class has the "
        "same weight. `tempered`: half way to that, the square root. `none`: "
        "every row has the same weight. `auto` is `none` if accuracy chooses, and "
        "`tempered` otherwise.",
        label="Weight of rare classes",
    )
    words: WordUse = setting(
        "auto",
        "Whether the classifier of the recipe `stc` also reads the words themselves, "
        "beside the neurons. `auto`: if words clearly help on held-out rows.",
        label="Words beside neurons",
    )
    eta: float | None = setting(
        None,
        "Rank only the neurons that hold this share of the squared probe weights of "
        "their layer. Then the validation rows alone choose the rest. Without a number "
        "the preset `stc` ranks all neurons, and `spin` chooses the share.",
        label="Share of squared weights kept",
        gt=0,
        le=1,
    )
    budget: int | None = setting(
        None,
        "Keep exactly this many neurons, even if fewer do as well. If fewer can be "
        "ranked, all of them are kept.",
        label="At most this many neurons",
        ge=1,
    )
    max_layer: int | None = setting(
        None,
        "Use no layer above this one. The blocks above it never run.",
        label="Highest layer",
        ge=0,
    )
    max_neurons: Annotated[int | None, Field(ge=1), AfterValidator(_most)] = setting(
        None,
        "Keep this many neurons at most, or fewer if they do as well on held-out rows. "
        "It cannot be less than `budget`.",
        label="At most this many neurons",
    )
    tolerance: float | None = setting(
        None,
        "Take the shallowest classifier whose score on held-out rows is this near to "
        "the best one: 0.01 is one percentage point.",
        ge=0,
        lt=1,
    )
    stable: float | None = setting(
        None,
        "Keep only the neurons that at least this share of ten random halves of the "
        "rows choose, such as 0.9 (stability selection). There are fewer of them, and "
        "they are the ones to trust; the score is told beside that of all.",
        label="Only neurons that halves of the rows agree on",
        gt=0.5,
        le=1,
    )
    use_weight: float = setting(
        0.0,
        "How much the ranking of neurons weighs what the model uses, beside what can "
        "be read: 0 not at all, 0.5 as much, 1 alone. Use is measured by gradient "
        "attribution on at most 120 texts of each fold.",
        label="Weight of use by the model",
        ge=0,
        le=1,
    )
    store_dtype: Literal["float16", "float32"] = setting(
        "float16", "The data type in which activations are kept on disk."
    )
    tune: TuneConfig = TuneConfig()
    hierarchy: HierarchyConfig = HierarchyConfig()
    attention: AttentionConfig = AttentionConfig()
    contrastive: ContrastiveConfig = ContrastiveConfig()
    validation_share: float = setting(
        0.15,
        "The share of the training rows that chooses, if the table names no such rows.",
        gt=0,
        lt=0.5,
    )
    test_share: float = setting(
        0.2,
        "The share of all rows held back for the test, if the table names none.",
        gt=0,
        lt=0.5,
    )
    seed: Annotated[int, Field(ge=0), AfterValidator(_seed)] = setting(
        0,
        "The seed of the split and of everything that is drawn: 0 to 4,294,967,295. "
        "The same seed on the same machine gives the same result.",
        label="Seed",
    )


SETTING_PARTS: dict[str, type[Frozen]] = {
    name: field.annotation
    for name, field in TrainConfig.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Frozen)
}
"""The parts of TrainConfig: settings that some recipes use. The command line has no
parts; their options are flat."""


class ShrinkConfig(Frozen):
    """The finished run from which another is made, with the features it was trained on.

    `layer` and `neurons` name an option of its frontier. Without them neurons are
    selected again, by the settings of the new run. `extract`: read the texts again if
    their features are gone. `named_from` is the parent's name; the new run gets a name
    made from it when it is known what was kept. It is empty if the run has a name.
    """

    parent: Words = Field(description="The finished run that this one was made from.")
    named_from: Words = setting(
        "", "The parent's name, while the new run has no name of its own."
    )
    layer: int | None = setting(
        None, "The highest layer of the option that was picked on *Layers*.", ge=0
    )
    neurons: int | None = setting(
        None, "The number of neurons of the option that was picked.", ge=1
    )
    extract: bool = setting(
        False, "Read the texts again if their activations are no longer on disk."
    )


class RunConfig(Frozen):
    """The content of config.json: the data, the settings, the time of the request."""

    format: int = setting(
        RUN_FORMAT,
        "The version of the run folder's layout. A program that does not know it "
        "refuses the run.",
    )
    name: Words = setting(
        "",
        "The name that the run had when it was started. A later name is kept in "
        "`about.json`.",
        option="--name",
    )
    created: Words = setting("", "When the user started the run, in UTC.")
    example: bool = setting(False, "True for the run that comes with the program.")
    data: DataConfig
    train: TrainConfig = TrainConfig()
    shrink: ShrinkConfig | None = None
