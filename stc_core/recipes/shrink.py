"""A cheaper classifier from a finished run, without a new extraction.

Its features are found in the cache by their texts; the run has kept the importances of
its probes.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from stc_core.activations.groups import (
    GroupedStore,
    Groups,
    extract_groups,
    find_groups,
)
from stc_core.analysis.frontier_options import (
    find_option,
    option_in_words,
    options_of,
)
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.config import RunConfig, ShrinkConfig
from stc_core.data.corpus import Corpus
from stc_core.data.task import Task
from stc_core.data.texts import Texts
from stc_core.errors import StcError
from stc_core.files import read_json
from stc_core.probes.directions import read_probe_weights, write_probe_weights
from stc_core.recipes.ending import corpus_of_run
from stc_core.recipes.leads import answers_of, with_leads, write_answers
from stc_core.recipes.results import (
    FitInputs,
    estimator,
    finish_sparse,
    seconds_of,
    task_of,
    write_frontier,
)
from stc_core.recipes.shrink_settings import check_limits
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.selection.salience import (
    SALIENCE,
    Salience,
    read_saliences,
    write_saliences,
)
from stc_core.selection.sample import LARGE, draw_sample
from stc_core.selection.stc import Fitted, take_option
from stc_core.types import PooledSite, Progress, silent

_PLACES = RunFile.PROBES, RunFile.CLASSES, RunFile.CONTROL
"""Tables with rows for each pooled site; older runs have the first one alone."""


def shrink(config: RunConfig, writer: RunWriter) -> None:
    """Make a smaller classifier from the finished run that `config.shrink` names."""
    asked, settings = config.shrink, config.train
    assert asked is not None
    parent = Run.open(asked.parent)
    check_limits(parent)
    writer.phase("read", message=parent.name)
    corpus = _corpus(parent, writer, again=asked.extract)
    writer.phase("load", message=settings.backbone)
    classifier, before = estimator(settings), parent.metrics
    backbone = classifier.load_backbone(progress=writer.progress)
    _check_backbone(parent, before, backbone)
    wanted = classifier.wanted(backbone)
    writer.phase("extract", message="from disk")
    keep = partial(
        _features,
        backbone,
        wanted=wanted,
        store_dtype=settings.store_dtype,
        again=asked.extract,
        progress=writer.progress,
    )
    task, test = task_of(corpus, settings), corpus.rows("test")
    sample = draw_sample(corpus.texts, task, test, extract=keep, seed=settings.seed)
    saliences = _probes(parent, writer, wanted)
    read = sample.resolved(backbone.dtype)
    inputs = FitInputs(backbone, corpus, task, sample, read, wanted, before["tokens"])
    writer.phase("select")
    if asked.layer is None or asked.neurons is None:
        fitted = classifier.select(
            read,
            sample.task,
            saliences,
            texts=inputs.part.texts,
            reported=sample.test,
            use=classifier.model_use(backbone, inputs.part.texts, sample.task),
            progress=writer.progress,
        )
        write_frontier(writer, inputs, fitted)
    else:
        place = asked.layer, asked.neurons
        fitted = _option(parent, inputs, saliences, place, classifier=classifier)
        writer.write_frame(RunFile.FRONTIER, _frontier_at(parent, place))
    _finish(writer, asked, parent, classifier, inputs, fitted)


def _frontier_at(parent: Run, place: tuple[int, int]) -> pd.DataFrame:
    """The frontier of the parent, whose point at `place` is the chosen one."""
    frame = parent.frontier
    here = (frame["layer"] == place[0]) & (frame["neurons"] == place[1])
    return frame.assign(chosen=here)


def _finish(
    writer: RunWriter,
    asked: ShrinkConfig,
    parent: Run,
    classifier: SparsifyThenClassify,
    inputs: FitInputs,
    fitted: Fitted,
) -> None:
    """Write the classifier, its metrics beside the baselines of the parent, its
    name."""
    before = parent.metrics
    metrics = finish_sparse(writer, classifier, inputs, fitted)
    missing = before.get("missing", {})
    answers = answers_of(parent)
    if answers:
        write_answers(writer, answers)
    y, ours = inputs.task.codes, _answers_of_run(writer, inputs.task)
    test = inputs.corpus.rows("test")
    n_class = len(inputs.task.classes)
    leads = with_leads(
        before["baselines"], answers, y[test], ours[test], n_class=n_class
    )
    same = {"baselines": leads, "missing": missing}
    writer.phase("report")
    metrics |= {**same, "parent": _about(parent, before)}
    if asked.named_from:
        said = option_in_words(
            metrics["layers"]["used"], metrics["neurons"]["selected"]
        )
        writer.call(f"{asked.named_from} · {said}")
    writer.write_metrics({**metrics, "seconds": seconds_of(writer)})


def _answers_of_run(writer: RunWriter, task: Task) -> Int[np.ndarray, " n"]:
    """The class codes that the new classifier gives to all rows."""
    predicted = Run(writer.folder).predictions["predicted"]
    return pd.Index(task.classes).get_indexer(pd.Index(predicted))


def _corpus(parent: Run, writer: RunWriter, *, again: bool) -> Corpus:
    """The rows of the parent, which the new run has too."""
    corpus = corpus_of_run(parent)
    if len(corpus.frame) > LARGE and not again:
        raise StcError(
            f"run {parent.name!r}",
            expected=f"{LARGE:,} texts at most, all of whose features are kept",
            got=f"{len(corpus.frame):,}",
            remedy="Pass --extract to read its texts again.",
        )
    writer.write_frame(RunFile.CORPUS, corpus.frame)
    writer.write_text(RunFile.REPORT, corpus.report.to_json())
    return corpus


def _check_backbone(parent: Run, metrics: RunMetrics, backbone: Backbone) -> None:
    was = metrics["backbone"]["identity"]
    if backbone.identity != was:
        raise StcError(
            f"run {parent.name!r}",
            expected=f"the backbone {backbone.name} with weights {was[:12]}",
            got=f"a backbone with identity {backbone.identity[:12]}",
            remedy="Train again with the present one.",
        )


def _features(
    backbone: Backbone,
    texts: Texts,
    groups: Groups,
    *,
    wanted: Sequence[PooledSite],
    store_dtype: str,
    again: bool,
    progress: Progress = silent,
) -> GroupedStore:
    """The features on disk; with `again` they are extracted if they are not there."""
    settings = {"wanted": wanted, "store_dtype": store_dtype}
    found = find_groups(backbone, texts, groups, **settings)
    if found is None and not again:
        raise StcError(
            f"the features of {len(texts):,} texts",
            expected="those that the training left on disk",
            got="none: deleted, or extracted elsewhere, in another precision or by an "
            "older version, which kept learned and test texts together",
            remedy="Pass --extract to read the texts again, on the command line: "
            "stc shrink RUN --extract.",
        )
    return found or extract_groups(
        backbone, texts, groups, **settings, progress=progress
    )


def _probes(
    parent: Run, writer: RunWriter, wanted: Sequence[PooledSite]
) -> list[Salience]:
    """The importances of the wanted sites; writes them and their tables to the new
    run."""
    path = parent.folder / SALIENCE
    known = [one for one in read_saliences(path) if one.pooled_site in set(wanted)]
    write_saliences(writer.folder / SALIENCE, known)
    if parent.has(RunFile.PROBE_WEIGHTS):  # runs before December 2026 have none
        weights = read_probe_weights(parent.folder / RunFile.PROBE_WEIGHTS)
        kept_weights = {one: weights[one] for one in weights if one in set(wanted)}
        write_probe_weights(writer.folder / RunFile.PROBE_WEIGHTS, kept_weights)
    names = [str(one.pooled_site) for one in known]
    for name in _PLACES:
        if parent.has(name):
            frame = pd.read_parquet(parent.folder / name)
            kept = (frame["site"] + "." + frame["pooling"]).isin(names)
            if name == RunFile.PROBES and parent.has(RunFile.GUESSES):
                writer.write_guesses(parent.guesses.only(kept.to_numpy()))
            writer.write_frame(name, frame.loc[kept].reset_index(drop=True))
    if parent.has(RunFile.VARIABILITY):
        writer.write_json(
            RunFile.VARIABILITY, read_json(parent.folder / RunFile.VARIABILITY)
        )
    return known


def _option(
    parent: Run,
    inputs: FitInputs,
    saliences: Sequence[Salience],
    place: tuple[int, int],
    *,
    classifier: SparsifyThenClassify,
) -> Fitted:
    options = options_of(parent)
    return take_option(
        inputs.read,
        inputs.sample.task,
        saliences,
        options,
        option=find_option(options, place),
        eta=classifier.eta,
        use=classifier.model_use(
            inputs.backbone, inputs.part.texts, inputs.sample.task
        ),
        finish=classifier.finish(inputs.part.texts),
    )


def _about(parent: Run, metrics: RunMetrics) -> dict[str, Any]:
    """The facts of the parent run that the new run keeps."""
    return {
        "run": parent.folder.name,
        "name": parent.name,
        "accuracy": metrics["test"]["accuracy"],
        "macro_f1": metrics["test"]["macro_f1"],
        "neurons": metrics["neurons"]["selected"],
        "layers": metrics["layers"]["used"],
    }
