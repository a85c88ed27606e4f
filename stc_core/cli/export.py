"""The commands that take a run away as a file or a graph, and bring it back."""

from typing import Annotated, Any

import typer

from stc_core.cli.common import open_run
from stc_core.cli.options import RunFolder
from stc_core.errors import StcError
from stc_core.memory import without_collection


def export(
    run: RunFolder,
    file: Annotated[
        str | None, typer.Argument(help="The bundle to write.", metavar="FILE")
    ] = None,
    *,
    texts: Annotated[
        bool,
        typer.Option(
            "--texts",
            help="Also pack the texts of the training and the answers for them.",
        ),
    ] = False,
    onnx: Annotated[
        str | None,
        typer.Option(
            help="Write an ONNX graph and its tokenizer to this new folder.",
            metavar="FOLDER",
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="With --onnx: store the weights in 8 bits."),
    ] = False,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Write the language model, tuned or not, to this new folder.",
            metavar="FOLDER",
        ),
    ] = None,
    merged: Annotated[
        bool,
        typer.Option("--merged", help="With --backbone: merge LoRA into the weights."),
    ] = False,
) -> None:
    """Pack a finished run into one file that needs nothing else, and no network.

    The file has the classifier, the blocks of the backbone that it reads, the
    tokenizer, the scores, a model card and a note on licences. `predict`, `explain`,
    `generate`, `report` and `serve` take it in place of a run. With --onnx, write a
    folder for programs without torch instead, or as well. With --backbone, write the
    language model as a folder that transformers opens by itself.
    """
    if file is None and onnx is None and backbone is None:
        raise StcError(
            "export",
            expected="a FILE for a bundle, --onnx FOLDER or --backbone FOLDER",
            got="none of them",
        )
    for option, needs, is_alone in (
        ("--texts", "a FILE", texts and file is None),
        ("--int8", "--onnx FOLDER", int8 and onnx is None),
        ("--merged", "--backbone FOLDER", merged and backbone is None),
    ):
        if is_alone:
            raise StcError(f"option {option}", expected=needs, got="none")
    opened = open_run(run)
    if file is not None:
        _pack(opened, file, texts=texts)
    if onnx is not None:
        _write_graph(opened, onnx, int8=int8)
    if backbone is not None:
        _write_model(opened, backbone, merged=merged)


def _pack(run: Any, file: str, *, texts: bool) -> None:
    """Write the bundle, and say what is in it."""
    with without_collection():
        from stc_core.display import size
        from stc_core.export.bundle import write_bundle

        facts = write_bundle(run, file, texts=texts)
    layers = f"{facts.blocks} of {facts.blocks_total} layers"
    typer.echo(f"{file}: {size(facts.n_bytes)}, {layers}", err=True)
    if facts.whole_because:
        typer.echo(f"The backbone is whole: {facts.whole_because}", err=True)
    typer.echo(f"sha256 {facts.sha256}", err=True)


def _write_graph(run: Any, folder: str, *, int8: bool) -> None:
    """Write the ONNX graph, and say how far it is from torch."""
    with without_collection():
        from stc_core.display import count, percent, size
        from stc_core.export.onnx_folder import write_onnx

        facts = write_onnx(run, folder, int8=int8)
    layers = f"{facts.kept.blocks} of {facts.kept.blocks_total} layers"
    typer.echo(f"{folder}: {size(facts.n_bytes)}, {layers}", err=True)
    texts = count(facts.n, "text")
    typer.echo(
        f"Probabilities differ from torch by {facts.most:.1g} at most ({texts})",
        err=True,
    )
    if loss := facts.int8:
        line = f"int8: {percent(loss.same)} of {count(loss.n, 'label')} are the same"
        if loss.accuracy is not None and loss.accuracy_float is not None:
            before, after = percent(loss.accuracy_float), percent(loss.accuracy)
            line += f"; test accuracy {after} instead of {before}"
        typer.echo(line, err=True)


def _write_model(run: Any, folder: str, *, merged: bool) -> None:
    """Write the language model, and say what is in the folder."""
    with without_collection():
        from stc_core.display import size
        from stc_core.export.backbone_folder import write_backbone

        facts = write_backbone(run, folder, merged=merged)
    what = "the base with PEFT adapters" if facts.has_adapters else "all weights"
    typer.echo(f"{folder}: {size(facts.n_bytes)}, {what}", err=True)
    most = f"{facts.difference:.1g} of their largest value at most"
    typer.echo(f"Hidden states differ from those of the run by {most}", err=True)


def import_(
    file: Annotated[
        str, typer.Argument(help="A file that `stc export` wrote.", metavar="FILE")
    ],
) -> None:
    """Make a run of a bundle, in the folder of all runs.

    Nothing in the bundle is executed. A file that is damaged, or holds anything but a
    bundle, is refused.
    """
    from stc_core.export.imported import import_bundle

    imported = import_bundle(file)
    typer.echo(f"{imported.name!r} is in {imported.folder}", err=True)
