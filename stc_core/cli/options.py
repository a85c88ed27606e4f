"""What can be typed after a command: each option once, grouped as settings are.

A field is named as its setting; `commands.spread` makes options of a group.
"""

from dataclasses import Field, dataclass
from typing import Annotated, Any, Literal

import typer

from stc_core.poolings import POOLING_RULES
from stc_core.types import SITE_KINDS

Table = Annotated[
    str,
    typer.Argument(
        help="CSV, TSV, JSONL or Parquet; .gz too; - is standard input.",
        metavar="DATA",
    ),
]
RunFolder = Annotated[
    str, typer.Argument(help="The folder of a run, or its name.", metavar="RUN")
]
Test = Annotated[str | None, typer.Option(help="A second table, used as the test set.")]
Text = Annotated[str | None, typer.Option(help="Column of the texts; guessed if none.")]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        help="Column of the labels; again for a finer level; guessed if none.",
    ),
]
EncodingName = Annotated[
    str | None,
    typer.Option(help="Of the table: utf-8, cp1250, ...; found out if none."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunName = Annotated[str, typer.Option(help="What to call the new run.")]
Recipe = Literal["stc", "variability", "hierarchy", "attention"]
BackboneName = Annotated[
    str | None, typer.Option(help="Hub id or local folder; embedded if none.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
MaxLength = Annotated[int | None, typer.Option(help="Tokens of a text that are read.")]
MaxLayer = Annotated[int | None, typer.Option(help="Use no layer above this one.")]
MaxNeurons = Annotated[int | None, typer.Option(help="Keep so many neurons at most.")]
Tolerance = Annotated[
    float | None,
    typer.Option(
        help="Take the shallowest classifier so near the best validation score: .01 "
        "is one point of a hundred."
    ),
]


@dataclass(frozen=True, kw_only=True)
class ColumnOptions:
    """DataConfig without its files."""

    encoding: EncodingName = None
    text: Text = None
    labels: Labels = None
    split: Annotated[
        str | None,
        typer.Option(help="Column that says train or test; guessed, '' for none."),
    ] = None
    id: Annotated[
        str | None,
        typer.Option(help="Column that names the rows; guessed, '' for none."),
    ] = None
    reply: Annotated[
        str | None,
        typer.Option(help="Column of what to write after the label; a decoder's."),
    ] = None
    thought: Annotated[
        str | None, typer.Option(help="Column of what to write before the reply.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class RunPlace:
    """Where a new run goes."""

    out: Annotated[
        str | None, typer.Option(help="Folder of the run. Default: runs/DATE-NAME.")
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the finished run in --out.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Training:
    """TrainConfig without its recipe and its parts."""

    backbone: BackboneName = None
    preset: Literal["stc", "spin"] = "stc"
    device: Device = "auto"
    dtype: Dtype = "auto"
    max_length: MaxLength = None
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", help="Kind of site; all if none.", metavar="|".join(SITE_KINDS)
        ),
    ] = None
    poolings: Annotated[
        list[str] | None,
        typer.Option(
            "--pooling",
            help="How tokens are pooled; again for more.",
            metavar="|".join(POOLING_RULES),
        ),
    ] = None
    penalty: Literal["l1", "group"] = "l1"
    class_weight: Annotated[
        Literal["balanced"] | None, typer.Option(help="Give rare classes more weight.")
    ] = None
    eta: Annotated[
        float | None,
        typer.Option(help="Share of the squared weights kept per layer, 0 to 1."),
    ] = None
    budget: Annotated[
        int | None,
        typer.Option(
            help="Keep exactly so many neurons; all that have a weight, if fewer have."
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
    """TuneConfig."""

    where: Annotated[
        Literal["variability", "top", "all"],
        typer.Option(
            help="Blocks to tune: those that end where nu is least, or others."
        ),
    ] = "variability"
    layer: Annotated[
        int | None,
        typer.Option(
            "--tune-layer", help="Tune blocks that end at this layer instead."
        ),
    ] = None
    blocks: Annotated[
        int | None, typer.Option("--tune-blocks", help="How many blocks; 3 if none.")
    ] = None
    method: Annotated[
        Literal["full", "lora", "bottleneck"],
        typer.Option(help="Tune whole blocks, or adapters in them."),
    ] = "full"
    width: Annotated[
        int | None,
        typer.Option(help="Rank of LoRA (8) or width of a bottleneck (64)."),
    ] = None
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Of tuning; if none, what suits the method and, for whole blocks, "
            "the width of the backbone (5e-5 at 384; less for a wider one)."
        ),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(help="Most epochs of tuning; 5 if none, of attention 8."),
    ] = None
    seconds: Annotated[float | None, typer.Option(help="Most seconds of tuning.")] = (
        None
    )
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after so many epochs that better no score or loss; 2."),
    ] = None
    batch: Annotated[int | None, typer.Option(help="Texts a step; 32 if none.")] = None
    accumulate: Annotated[
        int | None,
        typer.Option(help="Batches whose gradients are added up; 1 if none."),
    ] = None
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Less memory, a third more time.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """HierarchyConfig."""

    layers: Annotated[
        list[int] | None,
        typer.Option(
            "--level-layer",
            help="Layer of a level, coarse to fine; again for each; proposed.",
        ),
    ] = None
    weights: Annotated[
        list[float] | None,
        typer.Option(
            "--level-weight",
            help="Weight of a level in the loss; again for each; 1 if none.",
        ),
    ] = None
    heads: Annotated[
        Literal["auto", "class", "words"],
        typer.Option(
            help="Over classes, or over a decoder's words that spell the names."
        ),
    ] = "auto"
    tied: Annotated[
        bool, typer.Option("--tied", help="One word head for all levels.")
    ] = False
    norm: Annotated[
        bool,
        typer.Option(
            "--final-norm/--no-final-norm",
            help="Inner word heads read states with the model's last norm.",
        ),
    ] = True
    reply_length: Annotated[
        int | None,
        typer.Option(
            help="Most tokens of a reply or a thought; if none, 64, or a quarter of "
            "what the model reads."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class AttentionOptions:
    """AttentionConfig; its epochs are those of Tuning."""

    per_class: Annotated[
        bool,
        typer.Option("--per-class", help="An attention over words for each class."),
    ] = False
    schedule: Annotated[
        Literal["frozen", "two-stage", "multi-task"],
        typer.Option(
            help="Tune the model, too: to the texts and then the labels, or to both."
        ),
    ] = "frozen"
    lm_epochs: Annotated[
        int | None, typer.Option(help="Epochs on the texts alone, of two-stage; 3.")
    ] = None
    lm_weight: Annotated[
        float | None,
        typer.Option(help="Weight of the texts beside the labels, of multi-task; .2."),
    ] = None


def option(field: Field[Any]) -> str:
    """How the option of a group's field is typed, without its dashes."""
    declared = [
        info.default
        for info in getattr(field.type, "__metadata__", ())
        if isinstance(info.default, str)
    ]
    name = declared[0].partition("/")[0].lstrip("-") if declared else field.name
    return name.replace("_", "-")
