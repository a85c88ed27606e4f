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

LARGE_BYTES = 1_000_000_000
"""A backbone with larger files is not loaded to check a table."""


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

    report, texts, more = corpus.report, corpus.texts, []
    language = detect_language(texts) if made_for(name) else None
    if told := language_finding(language, len(texts), name):
        report = report.changed(findings=(*report.findings, told))
    try:
        if cut := sample_truncation(texts, name):
            report = add_truncated(report, *cut, sampled_of=len(texts))
        notes = _tried(name) if tried else []
        more = [finding("backbone", "info", note) for note in notes]
    except StcError as error:
        more = [finding("backbone", "error", str(error))]
    return report.changed(findings=(*report.findings, *more))


def _tried(name: str) -> list[str]:
    """The notes from loading a backbone; for a large one, what was not checked."""
    from stc_core.backbone.loading import hub, loading_errors
    from stc_core.display import size

    paths = hub.weight_files(hub.resolve(name))
    for fault in filter(None, map(loading_errors.weights_fault, paths)):
        raise fault
    weights = sum(path.stat().st_size for path in paths)
    if weights > LARGE_BYTES:
        return [
            f"Backbone {name!r} has {size(weights)} of weights and was not loaded. Its "
            "configuration, tokenizer and files were checked. Not checked: whether "
            "they fit each other, and whether the model reads text. Training checks "
            "that before it begins; variability on a table of a few rows does so, too."
        ]
    from stc_core.backbone.backbone import Backbone

    return list(Backbone.load(name, device="cpu").notes)


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


def cache(
    *,
    clean: Annotated[
        bool, typer.Option("--clean", help="Delete all that are not in use.")
    ] = False,
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
    if not clean:
        console.show_stores(stores)
        return
    deleted = [store for store in stores if delete_store(store.path)]
    freed = size(float(sum(store.bytes for store in deleted)) + remove_unpacked())
    n_kept = len(stores) - len(deleted)
    line = f"{len(deleted)} deleted, {freed} freed"
    typer.echo(f"{line}; {n_kept} in use were kept" if n_kept else line, err=True)
