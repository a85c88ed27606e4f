"""The command line: `python -m stc_core`, or `stc`.

Exit codes: 0 done; 2 something the user can mend, said without a traceback;
1 a bug of ours, with its traceback; 130 interrupted.
"""

import gc
import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import typer

from stc_core.errors import StcError

app = typer.Typer(
    help="Find the neurons that know your labels; get a small classifier from them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Look at a table before training.", no_args_is_help=True)
app.add_typer(data_app, name="data")

GC_EVERY = 100_000
"""New objects between two collections: imports make many of them and drop none."""
OPTIONS = {
    "kinds": "kind",
    "poolings": "pooling",
    "layer": "tune-layer",
    "blocks": "tune-blocks",
}
"""Settings whose option has another name."""
PARTS = ("tune", "attention")
"""Groups of settings whose options are flat here."""
BUG = "This is a bug of STC Studio, please report it with the lines above."

Table = Annotated[
    str, typer.Argument(help="CSV, TSV, JSONL or Parquet; .gz too.", metavar="DATA")
]
RunFolder = Annotated[
    str, typer.Argument(help="The folder of a run, or its name.", metavar="RUN")
]
Test = Annotated[str | None, typer.Option(help="A second table, used as the test set.")]
Text = Annotated[str | None, typer.Option(help="Column of the texts; guessed if none.")]
Label = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of the labels; again for a finer level; guessed if none."
    ),
]
Split = Annotated[
    str | None,
    typer.Option(help="Column that says train or test; guessed, '' for none."),
]
Id = Annotated[
    str | None,
    typer.Option("--id", help="Column that names the rows; guessed, '' for none."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
MaxLength = Annotated[int | None, typer.Option(help="Tokens of a text that are read.")]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", help="Kind of site; both if none.", metavar="resid|mlp"),
]
Poolings = Annotated[
    list[str] | None,
    typer.Option(
        "--pooling",
        help="How tokens are pooled; again for more.",
        metavar="first|last|max|mean",
    ),
]
Eta = Annotated[
    float | None,
    typer.Option(help="Share of the squared weights kept per layer, 0 to 1."),
]
Budget = Annotated[int | None, typer.Option(help="Keep exactly so many neurons.")]
MaxLayer = Annotated[int | None, typer.Option(help="Use no layer above this one.")]
MaxNeurons = Annotated[
    int | None, typer.Option(help="Keep so many neurons at most.", min=1)
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        help="Take the shallowest classifier so near the best validation score: .01.",
        min=0,
        max=1,
    ),
]
Weighting = Annotated[
    Literal["balanced"] | None, typer.Option(help="Give rare classes more weight.")
]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Out = Annotated[
    str | None, typer.Option(help="Folder of the run. Default: runs/DATE-NAME.")
]
Where = Annotated[
    Literal["variability", "top", "all"],
    typer.Option(help="Blocks to tune: those that end where nu is least, or others."),
]
TuneLayer = Annotated[
    int | None, typer.Option(help="Tune blocks that end at this layer instead.")
]
TuneBlocks = Annotated[int | None, typer.Option(help="How many blocks; 3 if none.")]
Method = Annotated[
    Literal["full", "lora", "bottleneck"],
    typer.Option(help="Tune whole blocks, or adapters in them."),
]
Width = Annotated[
    int | None, typer.Option(help="Rank of LoRA (8) or width of a bottleneck (64).")
]
Epochs = Annotated[
    int | None, typer.Option(help="Most epochs of tuning; 5 if none, of attention 8.")
]
Seconds = Annotated[float | None, typer.Option(help="Most seconds of tuning.")]
Patience = Annotated[
    int | None, typer.Option(help="Stop after so many epochs without a gain; 2.")
]
BatchSize = Annotated[int | None, typer.Option(help="Texts a step; 32 if none.")]
Accumulate = Annotated[
    int | None, typer.Option(help="Batches whose gradients are added up; 1 if none.")
]
Checkpointing = Annotated[
    bool, typer.Option("--checkpointing", help="Less memory, a third more time.")
]
LevelLayers = Annotated[
    list[int] | None,
    typer.Option(help="Layer of a level, coarse to fine; again for each; proposed."),
]
LevelWeights = Annotated[
    list[float] | None,
    typer.Option(help="Weight of a level in the loss; again for each; 1 if none."),
]
PerClass = Annotated[
    bool, typer.Option("--per-class", help="An attention over words for each class.")
]
Heads = Annotated[
    Literal["auto", "class", "words"],
    typer.Option(help="Over classes, or over a decoder's words that spell the names."),
]
Tied = Annotated[bool, typer.Option("--tied", help="One word head for all levels.")]
FinalNorm = Annotated[
    bool, typer.Option(help="Inner word heads read states with the model's last norm.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the finished run in --out.")
]


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(GC_EVERY)
    try:
        app(prog_name=_program())
    except StcError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except Exception as error:
        error.add_note(BUG)
        raise


def _program() -> str:
    """How the user called us, so that what we print can be typed."""
    return "stc" if Path(sys.argv[0]).stem == "stc" else "python -m stc_core"


@app.command()
def train(
    data: Table,
    *,
    test: Test = None,
    recipe: Literal["stc", "variability", "hierarchy", "attention"] = "stc",
    text: Text = None,
    label: Label = None,
    split: Split = None,
    id_column: Id = None,
    out: Out = None,
    overwrite: Overwrite = False,
    name: Annotated[str, typer.Option(help="What to call the run.")] = "",
    backbone: Annotated[
        str | None, typer.Option(help="Hub id or local folder; embedded if none.")
    ] = None,
    preset: Literal["stc", "spin"] = "stc",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    dtype: Dtype = "auto",
    max_length: MaxLength = None,
    kind: Kinds = None,
    pooling: Poolings = None,
    penalty: Literal["l1", "group"] = "l1",
    class_weight: Weighting = None,
    eta: Eta = None,
    budget: Budget = None,
    max_layer: MaxLayer = None,
    max_neurons: MaxNeurons = None,
    tolerance: Tolerance = None,
    store_dtype: Literal["float16", "float32"] = "float16",
    validation_share: float = 0.15,
    test_share: float = 0.2,
    seed: int = 0,
    where: Where = "variability",
    tune_layer: TuneLayer = None,
    tune_blocks: TuneBlocks = None,
    method: Method = "full",
    width: Width = None,
    learning_rate: float | None = None,
    epochs: Epochs = None,
    seconds: Seconds = None,
    patience: Patience = None,
    batch: BatchSize = None,
    accumulate: Accumulate = None,
    checkpointing: Checkpointing = False,
    level_layer: LevelLayers = None,
    level_weight: LevelWeights = None,
    heads: Heads = "auto",
    tied: Tied = False,
    final_norm: FinalNorm = True,
    per_class: PerClass = False,
) -> None:
    """Train a classifier on a table, and leave a run to look at.

    From --where on, the options are those of tuning, by the recipe variability or
    hierarchy; --level-layer to --final-norm are those of hierarchy. The recipe
    attention has --per-class, and of tuning all that is not about blocks.
    """
    columns = _columns(data, test, text=text, label=label, split=split, id=id_column)
    settings = {
        "recipe": recipe,
        "backbone": backbone,
        "preset": preset,
        "device": device,
        "dtype": dtype,
        "max_length": max_length,
        "kinds": kind,
        "poolings": pooling,
        "penalty": penalty,
        "class_weight": class_weight,
        "eta": eta,
        "budget": budget,
        "max_layer": max_layer,
        "max_neurons": max_neurons,
        "tolerance": tolerance,
        "store_dtype": store_dtype,
        "validation_share": validation_share,
        "test_share": test_share,
        "seed": seed,
        "tune": {
            "where": where,
            "layer": tune_layer,
            "blocks": tune_blocks,
            "method": method,
            "width": width,
            "learning_rate": learning_rate,
            "epochs": epochs,
            "seconds": seconds,
            "patience": patience,
            "batch": batch,
            "accumulate": accumulate,
            "checkpointing": checkpointing,
        },
        "hierarchy": {
            "layers": level_layer or (),
            "weights": level_weight or (),
            "heads": heads,
            "tied": tied,
            "norm": final_norm,
        },
        "attention": {"per_class": per_class, "epochs": epochs},
    }
    _train(columns, settings, name=name, out=out, overwrite=overwrite)


def _train(
    data: dict[str, Any],
    settings: dict[str, Any],
    *,
    name: str,
    out: str | None,
    overwrite: bool,
) -> None:
    _begin(_config(data, settings, name=name), out=out, overwrite=overwrite)


def _begin(config: Any, *, out: str | None, overwrite: bool) -> None:
    """Do a new run in `out`, or in a folder of its own."""
    from stc_core import jobs

    config = jobs.absolute(config)
    _terminate_as_interrupt()
    folder = jobs.new_folder(config) if out is None else Path(out)
    with jobs.place(folder, overwrite=overwrite) as folder:
        _work(folder, config)


def _work(folder: Path, config: Any) -> None:
    """Do the run in this process, and show how it goes and what came of it."""
    from stc_core import terminal
    from stc_core.run import RunWriter

    with (
        terminal.PhaseBar() as bar,
        RunWriter(folder, config, on_status=bar.show) as writer,
    ):
        from stc_core import recipes  # seconds of imports, so show the bar first

        try:
            run = recipes.train(writer.config, writer)
        except StcError as error:
            writer.fail(error)
            if not writer.discard_if_unbegun():
                typer.echo(f"The log is in {folder / 'log.txt'}", err=True)
            raise
    terminal.show_result(run)
    terminal.show_next(run, program=_program())


@app.command()
def shrink(
    run: RunFolder,
    *,
    max_layer: MaxLayer = None,
    max_neurons: MaxNeurons = None,
    tolerance: Tolerance = None,
    extract: Annotated[
        bool, typer.Option("--extract", help="Read the texts again if need be.")
    ] = False,
    out: Out = None,
    overwrite: Overwrite = False,
    name: Annotated[str, typer.Option(help="What to call the new run.")] = "",
) -> None:
    """Make a cheaper classifier from a finished run, a new run without extraction.

    With no option: the shallowest within one point of the best validation score.
    """
    parent = _open(run)
    from stc_core import dial

    config = dial.smaller(
        parent,
        max_layer=max_layer,
        max_neurons=max_neurons,
        tolerance=tolerance,
        extract=extract,
        name=name,
    )
    _begin(config, out=out, overwrite=overwrite)


@app.command()
def resume(run: RunFolder) -> None:
    """Go on with a run that was cut off: what is on disk already is not done again.

    Activations go on where they were, a tuning after its last whole epoch.
    """
    from stc_core import jobs

    opened = jobs.unfinished(_open(run).folder)
    _terminate_as_interrupt()
    _work(opened.folder, opened.config)


def _columns(path: str, test_path: str | None, **columns: Any) -> dict[str, Any]:
    labels = columns.pop("label")
    return {"path": path, "test_path": test_path, "labels": labels, **columns}


def _config(data: dict[str, Any], settings: dict[str, Any], *, name: str = "") -> Any:
    """The RunConfig of what was given; what was not has its default there."""
    from pydantic import ValidationError

    from stc_core.config import DataConfig, RunConfig, TrainConfig

    data = {key: value for key, value in data.items() if value is not None}
    settings = {key: value for key, value in settings.items() if value is not None}
    for part in PARTS:
        given = settings.get(part, {})
        settings[part] = {k: v for k, v in given.items() if v is not None}
    try:
        return RunConfig(
            name=name, data=DataConfig(**data), train=TrainConfig(**settings)
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][-1 if first["loc"][0] in PARTS else 0])
        option = OPTIONS.get(field, field)
        raise StcError(
            f"option --{option.replace('_', '-')}",
            expected=first["msg"],
            got=repr(first["input"]),
        ) from error


def _terminate_as_interrupt() -> None:
    """Make a polite kill the same as Ctrl-C: the run says that it was cancelled."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@app.command(hidden=True)
def work(folder: str) -> None:
    """Do the queued run in FOLDER; the app starts this."""
    from stc_core import jobs

    _terminate_as_interrupt()
    jobs.work(folder)


@app.command(hidden=True)
def label(folder: str) -> None:
    """Do the order in FOLDER, a file to label; the app starts this."""
    from stc_core import orders

    _terminate_as_interrupt()
    orders.work(folder)


@app.command()
def predict(
    run: RunFolder,
    data: Table,
    *,
    out: Annotated[str, typer.Option(help="Suffix chooses the format; - is stdout.")],
    text: Annotated[
        str | None, typer.Option(help="Column of the texts; that of the training.")
    ] = None,
    levels: Annotated[
        int | None, typer.Option(help="Levels of label to answer; all if none.")
    ] = None,
    coarse_only: Annotated[
        bool, typer.Option("--coarse-only", help="The same as --levels 1.")
    ] = False,
) -> None:
    """Label a table of any length: its columns, predicted_label, and p:CLASS each.

    Rows without text stay unlabelled. A column name that is taken gets a suffix _2. A
    run of the recipe hierarchy adds predicted_LEVEL and probability_LEVEL for each
    level; with fewer levels only the blocks that they need are run.
    """
    from stc_core import predictions, terminal

    opened = _open(run)
    trained = opened.report.columns.text
    classifier = opened.classifier()
    if coarse_only or levels is not None:
        classifier = _shallow(classifier, 1 if coarse_only else levels)
    with terminal.CountBar("rows labelled") as bar:
        n_rows = predictions.predict_file(
            classifier, data, out, trained=trained, text=text, progress=bar.show
        )
    where = "standard output" if out == "-" else out
    typer.echo(f"{n_rows:,} rows labelled: {where}", err=True)


def _shallow(classifier: Any, levels: int | None) -> Any:
    """The hierarchical classifier for the first levels only."""
    if not hasattr(classifier, "up_to"):
        raise StcError(
            "option --levels",
            expected="a run of the recipe hierarchy",
            remedy="Leave it out.",
        )
    return classifier.up_to(levels)


@app.command()
def explain(
    run: RunFolder,
    *,
    text: Annotated[str, typer.Option(help="The text to explain.")],
    gradients: Annotated[
        bool,
        typer.Option(
            "--gradients", help="Follow each word through the whole model, too."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say why a text gets its label: neurons and words, with their contributions."""
    from stc_core import terminal

    classifier = _open(run).classifier()
    explanation = classifier.explain(text)
    if gradients:
        from stc_core.gradients import integrated_gradients

        explanation["gradients"] = integrated_gradients(classifier, text)
    if as_json:
        _print_json(explanation)
    else:
        terminal.show_explanation(explanation, text)
        if gradients:
            terminal.show_gradients(explanation["gradients"], text)


@app.command()
def report(run: RunFolder, *, as_json: AsJson = False) -> None:
    """Show what a run found: accuracy, baselines, layers and neurons."""
    from stc_core import terminal

    opened = _open(run)
    if as_json:
        _print_json(opened.metrics)
    else:
        terminal.show_result(opened)


@app.command()
def variability(
    data: Table,
    *,
    text: Text = None,
    label: Label = None,
    backbone: Annotated[
        str | None, typer.Option(help="Hub id or local folder; embedded if none.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    dtype: Dtype = "auto",
    max_length: MaxLength = None,
    as_json: AsJson = False,
) -> None:
    """Say in which layer the classes stand apart best: nu of each, over all rows."""
    from stc_core import terminal
    from stc_core.data import labelled_texts

    columns = _columns(data, None, text=text, label=label)
    settings = {"device": device, "dtype": dtype, "max_length": max_length}
    config = _config(columns, {**settings, "backbone": backbone})
    texts, codes = labelled_texts(config.data)
    with terminal.CountBar("texts read") as bar:
        from stc_core.backbone import Backbone
        from stc_core.variability import measure

        train = config.train
        read = Backbone.load(
            train.backbone, device=device, dtype=train.dtype, max_length=max_length
        )
        found = measure(read, texts, codes, progress=bar.show)
    if as_json:
        _print_json(found.record())
    else:
        terminal.show_variability(found.nu, read.layer_names)


@app.command()
def runs(*, as_json: AsJson = False) -> None:
    """List the runs, newest first."""
    from stc_core import terminal
    from stc_core.run import list_runs

    summaries = [run.summary() for run in list_runs()]
    if as_json:
        _print_json(summaries)
    else:
        terminal.show_runs(summaries)


@app.command()
def cache(
    *,
    clean: Annotated[bool, typer.Option("--clean", help="Delete them.")] = False,
) -> None:
    """List the features that are kept so that no text is read twice."""
    from stc_core import terminal
    from stc_core.config import features_folder
    from stc_core.store import delete_store, list_stores
    from stc_core.wording import size

    stores = list_stores(features_folder())
    if not clean:
        terminal.show_stores(stores)
        return
    gone = [store for store in stores if delete_store(store.path)]
    freed = size(float(sum(store.bytes for store in gone)))
    kept = len(stores) - len(gone)
    said = f"{len(gone)} deleted, {freed} freed"
    typer.echo(f"{said}; {kept} in use were kept" if kept else said, err=True)


@data_app.command()
def check(
    data: Table,
    *,
    test: Test = None,
    text: Text = None,
    label: Label = None,
    split: Split = None,
    id_column: Id = None,
    backbone: Annotated[
        str | None, typer.Option(help="Whose tokens count; embedded if none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report what is in a table and what stands in the way of training on it."""
    from stc_core import terminal
    from stc_core.data import inspect_corpus
    from stc_core.report import add_truncated
    from stc_core.truncation import sampled_cut

    columns = _columns(data, test, text=text, label=label, split=split, id=id_column)
    config = _config(columns, {"backbone": backbone})
    corpus = inspect_corpus(config.data)
    found, texts = corpus.report, corpus.texts
    if cut := sampled_cut(texts, config.train.backbone):
        found = add_truncated(found, *cut, sampled_of=len(texts))
    if as_json:
        typer.echo(found.to_json())
    else:
        terminal.show_data_report(found)
    if found.errors:
        raise typer.Exit(2)


def _open(run: str) -> Any:
    """The run in a folder, or of that name among the known runs."""
    from stc_core.config import runs_folder
    from stc_core.run import Run

    known = runs_folder() / run
    is_folder = (Path(run) / "config.json").is_file()
    return Run.open(known if known.is_dir() and not is_folder else run)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))
