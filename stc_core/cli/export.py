"""The commands that take a run away as a file or a graph, and bring it back."""

from typing import Annotated, Any

import typer

from stc_core.cli.common import (
    open_run,
    print_json,
    run_location,
    terminate_as_interrupt,
)
from stc_core.cli.options import AsJson, RunFolder
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
    as_json: AsJson = False,
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
    terminate_as_interrupt()
    opened = open_run(run)
    bundle = None if file is None else _pack(opened, file, texts=texts)
    graph = None if onnx is None else _write_graph(opened, onnx, int8=int8)
    model = None if backbone is None else _write_model(opened, backbone, merged=merged)
    if as_json:
        record = _export_record(file, bundle, onnx, graph)
        facts = None if model is None else {"folder": backbone, **model._asdict()}
        print_json({**record, "backbone": facts})
        return
    if file is not None:
        _show_bundle(file, bundle)
    if onnx is not None:
        _show_graph(onnx, graph)
    if backbone is not None:
        _show_model(backbone, model)


def _export_record(
    file: str | None, bundle: Any, folder: str | None, graph: Any
) -> dict[str, Any]:
    """What was written, by kind; None for what was not asked for."""
    record: dict[str, Any] = {"bundle": None, "onnx": None}
    if bundle is not None:
        record["bundle"] = {"file": file, **bundle._asdict()}
    if graph is not None:
        inner = {"int8": graph.int8 and graph.int8._asdict()}
        inner["kept"] = graph.kept._asdict()
        record["onnx"] = {"folder": folder, **graph._asdict(), **inner}
    return record


def _pack(run: Any, file: str, *, texts: bool) -> Any:
    """Write the bundle, and return what is in it."""
    with without_collection():
        from stc_core.export.bundle import write_bundle

        return write_bundle(run, file, texts=texts)


def _show_bundle(file: str, facts: Any) -> None:
    """Say what is in the bundle."""
    from stc_core.display import size

    layers = f"{facts.blocks} of {facts.blocks_total} layers"
    typer.echo(f"{file}: {size(facts.n_bytes)}, {layers}", err=True)
    if facts.whole_because:
        typer.echo(f"The backbone is whole: {facts.whole_because}", err=True)
    typer.echo(f"sha256 {facts.sha256}", err=True)


def _write_graph(run: Any, folder: str, *, int8: bool) -> Any:
    """Write the ONNX graph, and return how far it is from torch."""
    with without_collection():
        from stc_core.export.onnx_folder import write_onnx

        return write_onnx(run, folder, int8=int8)


def _show_graph(folder: str, facts: Any) -> None:
    """Say how large the graph is, and how far it is from torch."""
    from stc_core.display import count, percent, size

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


def _write_model(run: Any, folder: str, *, merged: bool) -> Any:
    """Write the language model, and return what is in the folder."""
    with without_collection():
        from stc_core.export.backbone_folder import write_backbone

        return write_backbone(run, folder, merged=merged)


def _show_model(folder: str, facts: Any) -> None:
    """Say what is in the folder of the language model."""
    from stc_core.display import size

    what = "the base with PEFT adapters" if facts.has_adapters else "all weights"
    typer.echo(f"{folder}: {size(facts.n_bytes)}, {what}", err=True)
    most = f"{facts.difference:.1g} of their largest value at most"
    typer.echo(f"Hidden states differ from those of the run by {most}", err=True)


def import_(
    file: Annotated[
        str, typer.Argument(help="A file that `stc export` wrote.", metavar="FILE")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Make a run of a bundle, in the folder of all runs.

    Nothing in the bundle is executed. A file that is damaged, or holds anything but a
    bundle, is refused.
    """
    from stc_core.export.imported import import_bundle

    terminate_as_interrupt()
    imported = import_bundle(file)
    if as_json:
        print_json(run_location(imported))
        return
    typer.echo(f"{imported.name!r} is in {imported.folder}", err=True)
