"""Depth as a dial: a cheaper classifier from a finished run, with no new extraction.

Its features are found again by the texts, its probes by what the run kept of them.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from stc_core import adapt
from stc_core.axes import PooledSite, Progress, silent
from stc_core.backbone import Backbone
from stc_core.config import RunConfig, ShrinkConfig
from stc_core.data import Corpus
from stc_core.errors import StcError
from stc_core.extract import extract, stored
from stc_core.files import read_json
from stc_core.frontier import Option, cheapest
from stc_core.results import (
    Ground,
    conclude,
    estimator,
    seconds_of,
    task_of,
    write_frontier,
)
from stc_core.run import Run, RunWriter
from stc_core.salience import SALIENCE, Salience, read_saliences, write_saliences
from stc_core.sample import LARGE, Sample, draw
from stc_core.sparsify import Fitted, taken
from stc_core.store import FeatureStore

TOLERANCE = 0.01
"""Of the validation score, where nothing else is asked for."""
NO_GUESS = np.zeros(0, int)


def smaller(
    parent: Run,
    *,
    max_layer: int | None = None,
    max_neurons: int | None = None,
    tolerance: float | None = None,
    option: tuple[int, int] | None = None,
    extract: bool = False,
    name: str = "",
) -> RunConfig:
    """The settings of a cheaper run that is made from `parent`.

    With limits it is what training with the same limits would have given; with a
    tolerance the cheapest within it (TOLERANCE if nothing is given). An `option` is one
    of the frontier: its depth and its number of neurons. Raises StcError for a run that
    cannot be made smaller.
    """
    check(parent)
    given = {"max_neurons": max_neurons, "tolerance": tolerance}
    if max_layer is not None:
        given["max_layer"] = min([max_layer, *_known(parent.config.train.max_layer)])
    given = {key: value for key, value in given.items() if value is not None}
    if not given and option is None:
        given = {"tolerance": TOLERANCE}
    train = parent.config.train.model_copy(update=given)
    if option is None and set(given) == {"tolerance"}:
        by = "accuracy" if train.class_weight is None else "macro_f1"
        found = cheapest(options_of(parent), tolerance=given["tolerance"], by=by)
        assert found is not None
        option = found.layer, found.neurons
    if option is not None:
        find(options_of(parent), option)
    layer, neurons = option or (None, None)
    said = _limits(layer if option else max_layer, neurons if option else max_neurons)
    return parent.config.model_copy(
        update={
            "name": name or f"{parent.name} · {said}",
            "created": "",
            "train": train,
            "shrink": ShrinkConfig(
                parent=str(parent.folder.absolute()),
                layer=layer,
                neurons=neurons,
                extract=extract,
            ),
        }
    )


def _known(value: int | None) -> list[int]:
    return [] if value is None else [value]


def _limits(layer: int | None, neurons: int | None) -> str:
    """'layer 3, 256 neurons'."""
    said = [f"layer {layer}"] * (layer is not None)
    said += [f"{neurons:,} neurons"] * (neurons is not None)
    return ", ".join(said)


def check(parent: Run) -> None:
    """Raise StcError unless a cheaper run can be made from `parent`."""
    state, train = parent.status["state"], parent.config.train
    where = f"run {parent.name!r}"
    if state != "done":
        raise StcError(where, expected="a finished run", got=f"a {state} one")
    if (train.recipe, train.preset) != ("stc", "stc"):
        raise StcError(
            where,
            expected="a run of the recipe stc with the preset stc",
            got=f"recipe {train.recipe}, preset {train.preset}",
            remedy="Train with --max-layer instead.",
        )
    if not (parent.has(SALIENCE) and parent.has("frontier.parquet")):
        raise StcError(
            where,
            expected=f"a run with {SALIENCE} and frontier.parquet",
            got="one of an earlier version",
            remedy="Train it again.",
        )


def options_of(run: Run) -> list[Option]:
    """What may be had instead of the classifier of `run`, from its frontier."""
    frame = run.frontier[list(Option._fields[:-1])]
    rows = frame.itertuples(index=False, name=None)
    return [Option._make((*row, NO_GUESS)) for row in rows]


def find(options: Sequence[Option], place: tuple[int, int]) -> Option:
    """The option of this depth and this number of neurons."""
    for option in options:
        if (option.layer, option.neurons) == place:
            return option
    raise StcError(
        "frontier",
        expected="the depth and the number of neurons of one of its points",
        got=f"layer {place[0]} with {place[1]} neurons",
    )


def shrink(config: RunConfig, writer: RunWriter) -> None:
    """Everything of a run that is made from a finished one, but its end."""
    asked, settings = config.shrink, config.train
    assert asked is not None
    parent = Run.open(asked.parent)
    check(parent)
    writer.phase("read", message=parent.name)
    report = parent.report
    corpus = Corpus(parent.corpus, report.columns, report)
    if len(corpus.frame) > LARGE and not asked.extract:
        raise StcError(
            f"run {parent.name!r}",
            expected=f"{LARGE:,} texts at most, all of whose features are kept",
            got=f"{len(corpus.frame):,}",
            remedy="Pass --extract to read its texts again.",
        )
    writer.write_frame("corpus.parquet", corpus.frame)
    writer.write_text("report.json", report.to_json())
    writer.phase("load", message=settings.backbone)
    classifier, before = estimator(settings), parent.metrics
    backbone = classifier.load_backbone(progress=writer.progress)
    _check_backbone(parent, before, backbone)
    wanted = classifier.wanted(backbone)
    writer.phase("extract", message="from disk")
    task = task_of(corpus, settings)
    keep = partial(
        _features,
        backbone,
        wanted=wanted,
        store_dtype=settings.store_dtype,
        again=asked.extract,
        progress=writer.progress,
    )
    sample = draw(
        corpus.texts, task, corpus.rows("test"), extract=keep, seed=settings.seed
    )
    saliences = _probes(parent, writer, wanted)
    ground = Ground(backbone, corpus, task, sample, wanted, before["tokens"])
    writer.phase("select")
    if asked.layer is None or asked.neurons is None:
        read, small = sample.store.read, sample.task
        fitted = classifier.select(
            read, small, saliences, reported=sample.test, progress=writer.progress
        )
        write_frontier(writer, ground, fitted)
    else:
        place = asked.layer, asked.neurons
        fitted = _option(parent, sample, saliences, place, eta=settings.eta)
        frame = parent.frontier
        here = (frame["layer"] == place[0]) & (frame["neurons"] == place[1])
        writer.write_frame("frontier.parquet", frame.assign(chosen=here))
    metrics = conclude(writer, classifier, ground, fitted, seed=settings.seed)
    kept = {name: before[name] for name in ("baselines", "missing")}
    writer.phase("report")
    metrics |= {**kept, "parent": _about(parent, before)}
    writer.write_json("metrics.json", {**metrics, "seconds": seconds_of(writer)})


def _check_backbone(parent: Run, metrics: dict[str, Any], backbone: Backbone) -> None:
    was = metrics["backbone"]["identity"]
    if backbone.identity != was:
        raise StcError(
            f"run {parent.name!r}",
            expected=f"the backbone {backbone.name} with weights {was[:12]}",
            got=f"one with weights {backbone.identity[:12]}",
            remedy="Train again with the present one.",
        )


def _features(
    backbone: Backbone,
    texts: Sequence[str],
    *,
    wanted: Sequence[PooledSite],
    store_dtype: str,
    again: bool,
    progress: Progress = silent,
) -> FeatureStore:
    """Those that are on disk, or with `again` extracted where they are not."""
    found = stored(backbone, texts, wanted, store_dtype=store_dtype)
    if found is None and not again:
        raise StcError(
            f"the features of {len(texts):,} texts",
            expected="those that the training left on disk",
            got="none: deleted, or extracted elsewhere or in another precision",
            remedy="Pass --extract to read the texts again.",
        )
    return found or extract(
        backbone, texts, wanted, store_dtype=store_dtype, progress=progress
    )


def _probes(
    parent: Run, writer: RunWriter, wanted: Sequence[PooledSite]
) -> list[Salience]:
    """What is known of the wanted sites; written to the new run."""
    path = parent.folder / SALIENCE
    known = [one for one in read_saliences(path) if one.pooled_site in set(wanted)]
    write_saliences(writer.folder / SALIENCE, known)
    frame = parent.probes
    names = [str(one.pooled_site) for one in known]
    kept = (frame["site"] + "." + frame["pooling"]).isin(names)
    writer.write_frame("probes.parquet", frame.loc[kept].reset_index(drop=True))
    if parent.has(adapt.NU):
        writer.write_json(adapt.NU, read_json(parent.folder / adapt.NU))
    return known


def _option(
    parent: Run,
    sample: Sample,
    saliences: Sequence[Salience],
    place: tuple[int, int],
    *,
    eta: float | None,
) -> Fitted:
    options = options_of(parent)
    return taken(
        sample.store.read,
        sample.task,
        saliences,
        options,
        option=find(options, place),
        eta=eta,
        ridge=float(parent.metrics["chosen"]["joint_ridge"]),
    )


def _about(parent: Run, metrics: dict[str, Any]) -> dict[str, Any]:
    """What the new run says of the one that it was made from."""
    return {
        "run": parent.folder.name,
        "name": parent.name,
        "accuracy": metrics["test"]["accuracy"],
        "macro_f1": metrics["test"]["macro_f1"],
        "neurons": metrics["neurons"]["selected"],
        "layers": metrics["layers"]["used"],
    }
