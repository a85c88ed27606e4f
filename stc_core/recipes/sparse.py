"""The recipe `stc`: sparse probes on every layer, a few neurons kept, one head."""

import math
import time
from collections.abc import Callable
from functools import partial

from stc_core.activations.cost import count_tokens
from stc_core.activations.groups import extract_groups
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.config import RunConfig
from stc_core.data.corpus import Corpus, read_corpus
from stc_core.data.findings import add_truncated
from stc_core.data.goal import goal_in_words
from stc_core.data.task import Task
from stc_core.probes.class_scores import class_table
from stc_core.probes.directions import raw_probe, write_probe_weights
from stc_core.probes.fit import ProbeResult
from stc_core.probes.variability import variability_from_features
from stc_core.recipe_table import RECIPES
from stc_core.recipes import tables
from stc_core.recipes.comparisons import INTERRUPTED, add_comparisons
from stc_core.recipes.ending import remove_checkpoints
from stc_core.recipes.own_head import check_own_labels
from stc_core.recipes.registry import RecipeCode
from stc_core.recipes.results import (
    FitInputs,
    estimator,
    finish_sparse,
    peak_bytes,
    task_of,
    write_frontier,
)
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.runs.stages import RunStage
from stc_core.runs.writer import RunWriter
from stc_core.selection.salience import SALIENCE, write_saliences
from stc_core.selection.sample import draw_sample

EARLY_EVERY_S = 1.0
"""How often the probes that are done are written while others are still fitted."""


def train_sparse(config: RunConfig, writer: RunWriter) -> None:
    """The whole recipe `stc`. Other recipes begin with it and compare with its
    result."""
    settings = config.train
    if RunStage.SPARSE in writer.stages:
        if RECIPES[settings.recipe].tunes:
            writer.note("Going on where the tuning was cut off.")
        return
    remove_checkpoints(writer)  # those of other settings, or of an older version
    classifier = estimator(settings)
    inputs = _fit_inputs(config, writer, classifier)
    probes = _fit_probes(writer, classifier, inputs)
    sample = inputs.sample
    use = classifier.model_use(inputs.backbone, inputs.part.texts, sample.task)
    writer.phase("select")
    fitted = classifier.select(
        inputs.read,
        sample.task,
        probes,
        texts=inputs.part.texts,
        reported=sample.test,
        use=use,
        progress=writer.progress,
    )
    kept = len(fitted.head.features)
    if settings.stable is None and kept < (settings.budget or 0):
        asked = f"{settings.budget:,} neurons were asked for"
        writer.note(f"{asked}; only {kept:,} could be ranked, and all are kept.")
    write_frontier(writer, inputs, fitted)
    metrics = finish_sparse(writer, classifier, inputs, fitted)
    add_comparisons(
        writer, classifier, inputs, metrics, probes=probes, fitted=fitted, use=use
    )
    done = Run(writer.folder).metrics
    if INTERRUPTED not in done.get("missing", {}).values():
        writer.stages.finish(RunStage.SPARSE, metrics=done, peak_bytes=peak_bytes())


def _fit_probes(
    writer: RunWriter, classifier: SparsifyThenClassify, inputs: FitInputs
) -> list[ProbeResult]:
    """Fit a probe on every pooled site; write their scores and the layers' nu."""
    wanted, read, task = inputs.wanted, inputs.read, inputs.sample.task
    writer.phase("probe", total=len(wanted), message=f"{len(wanted)} pooled sites")
    probes = classifier.fit_probes(
        read,
        task,
        wanted,
        device=str(inputs.backbone.device),
        progress=writer.progress,
        on_result=_write_early(writer, task),
    )
    writer.write_frame(RunFile.PROBES, tables.probe_table(probes, task))
    writer.write_guesses(tables.probe_guesses(probes, task))
    writer.write_frame(RunFile.CLASSES, class_table(read, task, probes))
    write_saliences(writer.folder / SALIENCE, probes)
    weights = {probe.pooled_site: raw_probe(probe) for probe in probes}
    write_probe_weights(writer.folder / RunFile.PROBE_WEIGHTS, weights)
    raw, backbone = inputs.sample.store.read, inputs.backbone
    if nu := variability_from_features(raw, task, backbone, wanted):
        writer.write_json(
            RunFile.VARIABILITY, {**nu.record(), "tokens": "all", "rows": "train"}
        )
    return probes


def _write_early(writer: RunWriter, task: Task) -> Callable[[ProbeResult], None]:
    """A function that writes the probes that are done, so that curves can be drawn."""
    done: list[ProbeResult] = []
    written = -math.inf

    def add(probe: ProbeResult) -> None:
        nonlocal written
        done.append(probe)
        if time.monotonic() - written >= EARLY_EVERY_S:
            in_order = sorted(done, key=lambda one: one.pooled_site)
            writer.write_frame(RunFile.PROBES, tables.probe_table(in_order, task))
            written = time.monotonic()

    return add


def _fit_inputs(
    config: RunConfig, writer: RunWriter, classifier: SparsifyThenClassify
) -> FitInputs:
    """Read the table, load the backbone, and extract the features of the sample."""
    settings = config.train
    writer.phase("read", message=config.data.path)
    corpus = read_run_table(config)
    check_own_labels(settings, corpus.classes)
    writer.write_frame(RunFile.CORPUS, corpus.frame)
    writer.write_text(RunFile.REPORT, corpus.report.to_json())
    for found in corpus.report.findings:
        if found.kind == "encoding":
            writer.note(found.message)
    writer.phase("load", message=settings.backbone)
    backbone = classifier.load_backbone(progress=writer.progress)
    backbone.elsewhere = writer.elsewhere
    wanted = classifier.wanted(backbone)
    for note in backbone.notes:
        writer.note(note)

    writer.phase("extract", message=f"{len(corpus.texts):,} texts")
    counts = count_tokens(backbone, corpus.texts)
    report = add_truncated(
        corpus.report, counts.cut, len(corpus.texts), backbone.max_length
    )
    writer.write_text(RunFile.REPORT, report.to_json())
    task = task_of(corpus, settings)
    is_set = settings.criterion != "auto" or settings.class_weight != "auto"
    if said := goal_in_words(task.goal, is_set=is_set):
        writer.note(said)
    keep = partial(
        extract_groups,
        backbone,
        wanted=wanted,
        store_dtype=settings.store_dtype,
        progress=writer.progress,
    )
    test = corpus.rows("test")
    sample = draw_sample(corpus.texts, task, test, extract=keep, seed=settings.seed)
    for note in sample.notes:
        writer.note(note)
    read = sample.resolved(backbone.dtype)
    return FitInputs(backbone, corpus, task, sample, read, wanted, counts)


def stop_if_interrupted(config: RunConfig, writer: RunWriter) -> None:
    """Stop here if the user interrupted the baselines."""
    if RunStage.SPARSE not in writer.stages:
        raise KeyboardInterrupt


def read_run_table(config: RunConfig) -> Corpus:
    """The rows of the table of a run, split as its settings say."""
    settings = config.train
    return read_corpus(
        config.data,
        validation_share=settings.validation_share,
        test_share=settings.test_share,
        seed=settings.seed,
    )


CODE = RecipeCode((train_sparse,))
