"""The commands that look at data without training: a table, its layers, the cache."""

from typing import Annotated

import typer

from stc_core.cli.common import config_of, print_json, spread
from stc_core.cli.options import (
    AsJson,
    BackboneName,
    Columns,
    Device,
    Dtype,
    EncodingName,
    Labels,
    MaxLength,
    Table,
    Test,
    Text,
)


@spread
def check(
    data: Table,
    *,
    test: Test = None,
    columns: Columns,
    backbone: Annotated[
        str | None, typer.Option(help="Whose tokens count; embedded if none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report what is in a table and what stands in the way of training on it."""
    from stc_core.backbone.truncation import sampled_cut
    from stc_core.cli import console
    from stc_core.data.corpus import inspect_corpus
    from stc_core.data.findings import add_truncated

    where = {"path": data, "test_path": test, **vars(columns)}
    config = config_of(where, {"backbone": backbone})
    corpus = inspect_corpus(config.data)
    found, texts = corpus.report, corpus.texts
    if cut := sampled_cut(texts, config.train.backbone):
        found = add_truncated(found, *cut, sampled_of=len(texts))
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        console.show_data_report(found)
    if found.errors:
        raise typer.Exit(2)


def variability(
    data: Table,
    *,
    text: Text = None,
    label: Labels = None,
    encoding: EncodingName = None,
    backbone: BackboneName = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    max_length: MaxLength = None,
    as_json: AsJson = False,
) -> None:
    """Say in which layer the classes stand apart best: nu of each, over all rows."""
    from stc_core.cli import console
    from stc_core.data.corpus import labelled_texts

    where = {"path": data, "text": text, "labels": label, "encoding": encoding}
    settings = {"device": device, "dtype": dtype, "max_length": max_length}
    config = config_of(where, {**settings, "backbone": backbone})
    texts, codes = labelled_texts(config.data)
    with console.CountBar("texts read") as bar:
        from stc_core.backbone.backbone import Backbone
        from stc_core.probes.variability import measure

        train = config.train
        read = Backbone.load(
            train.backbone, device=device, dtype=train.dtype, max_length=max_length
        )
        found = measure(read, texts, codes, progress=bar.show)
    if as_json:
        print_json(found.record())
    else:
        console.show_variability(found.nu, read.layer_names)


def cache(
    *,
    clean: Annotated[bool, typer.Option("--clean", help="Delete them.")] = False,
) -> None:
    """List the features that are kept so that no text is read twice."""
    from stc_core.activations.cache import delete_store, list_stores
    from stc_core.cli import console
    from stc_core.display import size
    from stc_core.paths import features_folder

    stores = list_stores(features_folder())
    if not clean:
        console.show_stores(stores)
        return
    gone = [store for store in stores if delete_store(store.path)]
    freed = size(float(sum(store.bytes for store in gone)))
    kept = len(stores) - len(gone)
    said = f"{len(gone)} deleted, {freed} freed"
    typer.echo(f"{said}; {kept} in use were kept" if kept else said, err=True)
