"""The commands that look at data without training: a table, its layers, the cache."""

from typing import Annotated, Any

import typer

from stc_core.cli.common import config_of, print_json, spread_options
from stc_core.cli.options import (
    AsJson,
    ColumnOptions,
    SettingOptions,
    Table,
    TestOption,
)
from stc_core.config import DataConfig, TrainConfig
from stc_core.errors import StcError


@spread_options
def check(
    data: Table,
    *,
    test: TestOption,
    columns: ColumnOptions,
    backbone: Annotated[
        str | None,
        typer.Option(help="Model that is checked, too; the embedded one if not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report what a table holds and which problems prevent training on it.

    If a backbone is given, it is loaded and tried on a few tokens, unless it is large.
    """
    from stc_core.cli.data_report import show_data_report
    from stc_core.data.corpus import inspect_corpus

    where = {"path": data, **test, **columns}
    config = config_of(where, {"backbone": backbone})
    corpus = inspect_corpus(config.data)
    checked = _with_backbone(corpus, config.train.backbone, tried=backbone is not None)
    if as_json:
        print_json(checked.model_dump(mode="json"))
    else:
        show_data_report(checked)
    if checked.errors:
        raise typer.Exit(2)


def _with_backbone(corpus: Any, name: str, *, tried: bool) -> Any:
    """The report on `corpus`, with findings about the backbone added.

    The backbone is loaded only if it is `tried`.
    """
    from stc_core.backbone.truncation import sample_truncation
    from stc_core.data.findings import add_truncated, finding
    from stc_core.data.language import detect_language, language_finding, made_for
    from stc_core.installation.models import loading_notes

    report, texts, more = corpus.report, corpus.texts, []
    language = detect_language(texts) if made_for(name) else None
    if told := language_finding(language, len(texts), name):
        report = report.changed(findings=(*report.findings, told))
    try:
        if cut := sample_truncation(texts, name):
            report = add_truncated(report, *cut, sampled_of=len(texts))
        notes = loading_notes(name) if tried else []
        more = [finding("backbone", "info", note) for note in notes]
    except StcError as error:
        more = [finding("backbone", "error", str(error))]
    return report.changed(findings=(*report.findings, *more))


@spread_options
def variability(
    data: Table,
    *,
    columns: Annotated[
        dict[str, Any], SettingOptions(DataConfig, only=("text", "labels", "encoding"))
    ],
    model: Annotated[
        dict[str, Any],
        SettingOptions(TrainConfig, only=("backbone", "device", "dtype", "max_length")),
    ],
    as_json: AsJson = False,
) -> None:
    """Print how well each layer separates the classes: its nu over all rows."""
    from stc_core.cli import console
    from stc_core.data.corpus import labelled_texts

    config = config_of({"path": data, **columns}, model)
    texts, codes = labelled_texts(config.data)
    with console.CountBar("texts read") as bar:
        from stc_core.backbone.backbone import Backbone
        from stc_core.probes.variability import measure_variability

        train = config.train
        backbone = Backbone.load(
            train.backbone,
            device=train.device,
            dtype=train.dtype,
            max_length=train.max_length,
        )
        measured = measure_variability(backbone, texts, codes, progress=bar.show)
    if as_json:
        print_json(measured.record())
    else:
        console.show_variability(measured.nu, backbone.layer_names)


def sample(
    name: Annotated[
        str, typer.Argument(help="customer_messages.csv or replies.csv.")
    ] = "customer_messages.csv",
    *,
    out: Annotated[
        str | None,
        typer.Option(help="The new file; the name of the sample if not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy a sample table, which comes with the package, to a file of your own."""
    from stc_core.installation.samples import copy_sample

    path = copy_sample(name, out or name)
    if as_json:
        print_json({"sample": name, "file": str(path), "bytes": path.stat().st_size})
    else:
        typer.echo(f"{path}: a copy of the sample {name}", err=True)


def cache(
    *,
    clean: Annotated[
        bool, typer.Option("--clean", help="Delete all that are not in use.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the cached features, which save reading the same texts twice.

    With --clean also delete what was unpacked of bundles.
    """
    from stc_core.activations.cache import delete_store, list_stores
    from stc_core.classifiers.archive import remove_unpacked
    from stc_core.cli import console
    from stc_core.display import size
    from stc_core.paths import features_folder

    stores = list_stores(features_folder())
    deleted = [store for store in stores if clean and delete_store(store.path)]
    freed_bytes = sum(store.bytes for store in deleted)
    freed_bytes += remove_unpacked() if clean else 0
    kept = [store for store in stores if store not in deleted]
    if as_json:
        records = [{**store._asdict(), "path": str(store.path)} for store in kept]
        facts = {"deleted": len(deleted), "freed_bytes": freed_bytes}
        print_json({"stores": records, **facts})
        return
    if not clean:
        console.show_stores(stores)
        return
    freed, n_kept = size(float(freed_bytes)), len(kept)
    line = f"{len(deleted)} deleted, {freed} freed"
    typer.echo(f"{line}; {n_kept} in use were kept" if n_kept else line, err=True)
