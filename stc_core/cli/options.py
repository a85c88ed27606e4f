"""The options of the commands, each defined once, in the groups of the settings.

A field has the name of its setting; `common.spread_options` turns a group into options.
"""

from dataclasses import Field, dataclass
from typing import Annotated, Any, Literal

import typer

from stc_core.poolings import POOLING_RULES
from stc_core.types import SITE_KINDS

Table = Annotated[
    str,
    typer.Argument(
        help="CSV, TSV, JSONL or Parquet, also as .gz; - is standard input.",
        metavar="DATA",
    ),
]
RunFolder = Annotated[
    str, typer.Argument(help="The folder of a run, or its name.", metavar="RUN")
]
Test = Annotated[str | None, typer.Option(help="A second table, used as the test set.")]
Text = Annotated[str | None, typer.Option(help="Text column; guessed if not given.")]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        help="Label column; repeat for a finer level; guessed if not given.",
    ),
]
EncodingName = Annotated[
    str | None,
    typer.Option(help="utf-8, cp1250, ...; detected if not given."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunName = Annotated[str, typer.Option(help="Name of the new run.")]
Recipe = Literal["stc", "variability", "hierarchy", "attention"]
BackboneName = Annotated[
    str | None,
    typer.Option(help="Hub id or local folder; the embedded model if not given."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
MaxLength = Annotated[int | None, typer.Option(help="Most tokens read of a text.")]
MaxLayer = Annotated[int | None, typer.Option(help="Use no layer above this one.")]
MaxNeurons = Annotated[int | None, typer.Option(help="Most neurons to keep.")]
Tolerance = Annotated[
    float | None,
    typer.Option(
        help="Take the shallowest classifier this near to the best validation score; "
        ".01 is one percentage point."
    ),
]


@dataclass(frozen=True, kw_only=True)
class ColumnOptions:
    """The options of DataConfig without its files."""

    encoding: EncodingName = None
    text: Text = None
    labels: Labels = None
    split: Annotated[
        str | None,
        typer.Option(help="Column with train or test; guessed if not given, '' none."),
    ] = None
    id: Annotated[
        str | None,
        typer.Option(help="Column with row names; guessed if not given, '' for none."),
    ] = None
    reply: Annotated[
        str | None,
        typer.Option(help="Column of replies, which a decoder learns to write."),
    ] = None
    thought: Annotated[
        str | None,
        typer.Option(help="Column of thoughts, which are written before the reply."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RunPlace:
    """The options that say where a new run is stored."""

    out: Annotated[
        str | None, typer.Option(help="Folder of the run. Default: runs/DATE-NAME.")
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the finished run in --out.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Training:
    """The options of TrainConfig without its recipe and its parts."""

    backbone: BackboneName = None
    preset: Literal["stc", "spin"] = "stc"
    device: Device = "auto"
    dtype: Dtype = "auto"
    max_length: MaxLength = None
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="Kind of site; all if not given.",
            metavar="|".join(SITE_KINDS),
        ),
    ] = None
    poolings: Annotated[
        list[str] | None,
        typer.Option(
            "--pooling",
            help="How tokens are pooled; repeat for more.",
            metavar="|".join(POOLING_RULES),
        ),
    ] = None
    penalty: Literal["l1", "group"] = "l1"
    class_weight: Annotated[
        Literal["balanced"] | None, typer.Option(help="Give rare classes more weight.")
    ] = None
    eta: Annotated[
        float | None,
        typer.Option(help="Share of the squared weights kept in each layer, 0 to 1."),
    ] = None
    budget: Annotated[
        int | None,
        typer.Option(
            help="Keep exactly this many neurons; if fewer have a weight, all of them."
        ),
    ] = None
    max_layer: MaxLayer = None
    max_neurons: MaxNeurons = None
    tolerance: Tolerance = None
    store_dtype: Literal["float16", "float32"] = "float16"
    validation_share: float = 0.15
    test_share: float = 0.2
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The options of TuneConfig."""

    where: Annotated[
        Literal["variability", "top", "all"],
        typer.Option(
            help="Blocks to tune: up to the layer with the lowest nu, the top, or all."
        ),
    ] = "variability"
    layer: Annotated[
        int | None,
        typer.Option("--tune-layer", help="Tune the blocks up to this layer instead."),
    ] = None
    blocks: Annotated[
        int | None,
        typer.Option("--tune-blocks", help="Number of blocks; 3 if not given."),
    ] = None
    method: Annotated[
        Literal["full", "lora", "bottleneck"],
        typer.Option(help="Tune whole blocks, or adapters in them."),
    ] = "full"
    width: Annotated[
        int | None,
        typer.Option(help="Rank of LoRA (default 8) or bottleneck width (default 64)."),
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Learning rate of tuning. The default depends on the method and, for "
            "whole blocks, on the width of the backbone (5e-5 at 384, less if wider)."
        ),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(help="Most epochs of tuning; 5, or 8 for attention."),
    ] = None
    seconds: Annotated[float | None, typer.Option(help="Most seconds of tuning.")] = (
        None
    )
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after this many epochs without a better score; 2."),
    ] = None
    batch: Annotated[
        int | None, typer.Option(help="Texts per batch; 32 if not given.")
    ] = None
    accumulate: Annotated[
        int | None,
        typer.Option(help="Batches per step of the optimiser; 1 if not given."),
    ] = None
    checkpointing: Annotated[
        bool,
        typer.Option("--checkpointing", help="Use less memory, but a third more time."),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """The options of HierarchyConfig."""

    layers: Annotated[
        list[int] | None,
        typer.Option(
            "--level-layer",
            help="Layer of a level; repeat from coarse to fine; chosen if not given.",
        ),
    ] = None
    weights: Annotated[
        list[float] | None,
        typer.Option(
            "--level-weight",
            help="Weight of a level in the loss; repeat for each; 1 if not given.",
        ),
    ] = None
    heads: Annotated[
        Literal["auto", "class", "words"],
        typer.Option(
            help="Heads predict classes, or words of a decoder that spell the names."
        ),
    ] = "auto"
    tied: Annotated[
        bool, typer.Option("--tied", help="One word head for all levels.")
    ] = False
    norm: Annotated[
        bool,
        typer.Option(
            "--final-norm/--no-final-norm",
            help="Apply the model's last norm before the inner word heads.",
        ),
    ] = True
    reply_length: Annotated[
        int | None,
        typer.Option(
            help="Most tokens of a reply or a thought; if not given, 64, or a quarter "
            "of what the model reads."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class AttentionOptions:
    """The options of AttentionConfig; its epochs are among those of Tuning."""

    per_class: Annotated[
        bool,
        typer.Option("--per-class", help="Use a separate attention for each class."),
    ] = False
    schedule: Annotated[
        Literal["frozen", "two-stage", "multi-task"],
        typer.Option(
            help="frozen: do not tune the model. two-stage: tune to texts, then to "
            "labels. multi-task: tune to both at once."
        ),
    ] = "frozen"
    lm_epochs: Annotated[
        int | None,
        typer.Option(help="Two-stage: epochs on the texts alone; 3 if not given."),
    ] = None
    lm_weight: Annotated[
        float | None,
        typer.Option(help="Multi-task: weight of the text loss; .2 if not given."),
    ] = None


def option(field: Field[Any]) -> str:
    """The name of the option for a field of a group, without the leading dashes."""
    declared = [
        info.default
        for info in getattr(field.type, "__metadata__", ())
        if isinstance(info.default, str)
    ]
    name = declared[0].partition("/")[0].lstrip("-") if declared else field.name
    return name.replace("_", "-")
