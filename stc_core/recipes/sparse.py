"""The recipe `stc`: sparse probes on every layer, a few neurons kept, one head."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Int

from stc_core.activations.cost import count_tokens
from stc_core.activations.groups import extract_groups
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.config import RunConfig, TrainConfig
from stc_core.data.corpus import Corpus, read_corpus
from stc_core.data.findings import add_truncated
from stc_core.data.goal import goal_in_words
from stc_core.data.task import Task
from stc_core.heads.folds import FOLDS
from stc_core.probes.class_scores import class_table
from stc_core.probes.control import PATIENCE, control_task
from stc_core.probes.directions import raw_probe, write_probe_weights
from stc_core.probes.fit import ProbeResult
from stc_core.probes.variability import variability_from_features
from stc_core.recipe_table import RECIPES
from stc_core.recipes import tables
from stc_core.recipes.ending import remove_checkpoints
from stc_core.recipes.leads import write_answers
from stc_core.recipes.own_head import check_own_labels, own_head_baseline
from stc_core.recipes.registry import RecipeCode
from stc_core.recipes.results import (
    FitInputs,
    estimator,
    finish_sparse,
    peak_bytes,
    seconds_of,
    task_of,
    write_frontier,
)
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import StabilityFacts
from stc_core.runs.run import Run
from stc_core.runs.stages import RunStage
from stc_core.runs.writer import RunWriter
from stc_core.selection.baselines import baselines_of, score_baseline
from stc_core.selection.folds import digests
from stc_core.selection.guess import Guess
from stc_core.selection.learning_curve import measure_learning
from stc_core.selection.repeats.stability import measure_stability
from stc_core.selection.salience import SALIENCE, write_saliences
from stc_core.selection.sample import Sample, draw_sample
from stc_core.selection.stc import Fitted
from stc_core.selection.use.attribution import ModelUse

INTERRUPTED = "the work was interrupted"
EARLY_EVERY_S = 1.0
"""How often the probes that are done are written while others are still fitted."""
_BASELINES, _LEARNING, _STABILITY, _CONTROL = (0, 35), (35, 45), (45, 85), (85, 100)
"""From which to which percent of the last phase each of its parts goes, about."""


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
    writer.phase("report", message="baselines")
    add_baselines(
        writer,
        metrics,
        _baselines(inputs, probes, settings),
        sample.task.codes[sample.test],
        ours=_on_test(writer, sample),
    )
    _add_learning_curve(writer, inputs, fitted)
    _add_stability(writer, inputs, probes, fitted, use)
    _add_control(writer, classifier, inputs, seed=settings.seed)
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


def _add_learning_curve(writer: RunWriter, inputs: FitInputs, fitted: Fitted) -> None:
    """Write what more rows would bring, if all learned rows were held out in turn.

    Nothing is chosen by it; so the test rows may tell its level, too.
    """
    metrics = Run(writer.folder).metrics
    was_interrupted = INTERRUPTED in metrics.get("missing", {}).values()
    if was_interrupted or len(fitted.fold_heads) < FOLDS:
        return
    writer.note("Measuring whether more rows would help.")
    task, read = inputs.sample.task, inputs.read
    writer.part_of_phase(*_LEARNING)(0, 1)
    try:
        curve = measure_learning(
            read,
            task,
            inputs.wanted,
            digests(read(inputs.wanted[-1])),
            held_accuracy=metrics["validation"]["accuracy"],
            test=(metrics["test"]["accuracy"], metrics["test"]["n"]),
        )
    except KeyboardInterrupt:
        metrics["missing"] = {**metrics.get("missing", {}), "more_rows": INTERRUPTED}
        writer.note("Interrupted: without the learning curve.")
        _write_metrics(writer, metrics)
    except (MemoryError, np.linalg.LinAlgError) as error:
        said = f"{type(error).__name__}: {error}"
        metrics["missing"] = {**metrics.get("missing", {}), "more_rows": said}
        writer.note(f"The learning curve failed: {said}")
        _write_metrics(writer, metrics)
    else:
        if curve is not None:
            writer.write_json(RunFile.LEARNING, curve.record())


def _add_stability(
    writer: RunWriter,
    inputs: FitInputs,
    probes: Sequence[ProbeResult],
    fitted: Fitted,
    use: ModelUse | None,
) -> None:
    """Write how often other rows keep each neuron; nothing is chosen by it."""
    metrics = Run(writer.folder).metrics
    was_interrupted = INTERRUPTED in metrics.get("missing", {}).values()
    if was_interrupted or fitted.option is None:
        return
    writer.note("Measuring how stable the selection is.")
    try:
        stability = measure_stability(
            inputs.read,
            inputs.sample.task,
            probes,
            fitted.head.features,
            depth=fitted.option.layer,
            eta=_eta_of(fitted),
            size=_size_before(fitted),
            use=use,
            progress=writer.part_of_phase(*_STABILITY),
        )
    except KeyboardInterrupt:
        metrics["missing"] = {**metrics.get("missing", {}), "stability": INTERRUPTED}
        writer.note("Interrupted: without the stability of the selection.")
        _write_metrics(writer, metrics)
    else:
        if stability is not None:
            writer.write_json(RunFile.STABILITY, stability.record())
            metrics["stability"] = cast(StabilityFacts, stability.summary())
            _write_metrics(writer, metrics)


def _eta_of(fitted: Fitted) -> float | None:
    """The share of each layer's probe weights that limited the neurons, if any did."""
    eta = fitted.chosen.get("eta")
    return None if eta is None else float(eta)


def _size_before(fitted: Fitted) -> int:
    """The number of neurons that a half keeps: of all, before the stable ones."""
    return int(fitted.chosen.get("neurons_before", len(fitted.head.features)))


def _add_control(
    writer: RunWriter,
    classifier: SparsifyThenClassify,
    inputs: FitInputs,
    *,
    seed: int,
) -> None:
    """Fit the probes of shuffled labels; if that fails, the run stays as it is."""
    metrics, wanted = Run(writer.folder).metrics, inputs.wanted
    if INTERRUPTED in metrics.get("missing", {}).values():
        return
    writer.note("Probing shuffled labels, as a control.")
    try:
        probes = classifier.fit_probes(
            inputs.read,
            control_task(inputs.sample.task, seed=seed),
            wanted,
            patience=PATIENCE,
            device=str(inputs.backbone.device),
            progress=writer.part_of_phase(*_CONTROL),
        )
    except KeyboardInterrupt:
        metrics["missing"] = {**metrics.get("missing", {}), "control": INTERRUPTED}
        writer.note("Interrupted: without the control.")
    else:
        frame = tables.probe_table(probes, inputs.sample.task)
        writer.write_frame(RunFile.CONTROL, frame)
    _write_metrics(writer, metrics)


def stop_if_interrupted(config: RunConfig, writer: RunWriter) -> None:
    """Stop here if the user interrupted the baselines."""
    if RunStage.SPARSE not in writer.stages:
        raise KeyboardInterrupt


def add_baselines(
    writer: RunWriter,
    metrics: dict[str, Any],
    baselines: Mapping[str, Callable[[], Guess]],
    y: Int[np.ndarray, " n_test"],
    *,
    ours: Int[np.ndarray, " n_test"] | None = None,
) -> None:
    """Write metrics.json without baselines, then again after each baseline.

    The classifier is already written, so a baseline that fails cannot harm the run: the
    log and `missing` name it. After an interrupt `missing` names all that are left.
    """
    metrics |= {"baselines": {}, "missing": {}}
    left, answers = dict(baselines), {} if ours is None else {"stc": ours}
    _write_metrics(writer, metrics)
    for done, (name, fit) in enumerate(baselines.items(), start=1):
        try:
            guess = fit()
            metrics["baselines"][name] = score_baseline(
                y, guess, ours=ours, n_class=len(metrics["classes"])
            )
        except KeyboardInterrupt:
            metrics["missing"] |= dict.fromkeys(left, INTERRUPTED)
            writer.note(f"Interrupted: without the baselines {', '.join(left)}.")
            break
        except Exception as error:  # noqa: BLE001 - any fault but the run's own
            said = f"{type(error).__name__}: {error}"
            metrics["missing"][name] = said
            writer.note(f"Baseline {name} failed: {said}")
        else:
            if ours is not None:
                answers[name] = guess.codes
                write_answers(writer, answers)
        del left[name]
        _write_metrics(writer, metrics)
        writer.part_of_phase(*_BASELINES)(done, len(baselines))
    _write_metrics(writer, metrics)


def _on_test(writer: RunWriter, sample: Sample) -> np.ndarray | None:
    """The run's own classes for the texts on which baselines are scored.

    None for a large corpus, whose baselines are scored on a sample.
    """
    if not sample.is_whole:
        return None
    table = pd.read_parquet(writer.folder / RunFile.PREDICTIONS)
    predicted = table["predicted"].iloc[sample.test]
    return pd.Index(sample.task.classes).get_indexer(pd.Index(predicted))


def _write_metrics(writer: RunWriter, metrics: Mapping[str, Any]) -> None:
    writer.write_metrics({**metrics, "seconds": seconds_of(writer)})


def _baselines(
    inputs: FitInputs, probes: Sequence[ProbeResult], settings: TrainConfig
) -> dict[str, Callable[[], Guess]]:
    """The baselines on the sample; if it is not the whole corpus, their detail says
    so."""
    sample, texts = inputs.sample, list(inputs.part.texts)
    task, test = sample.task, sample.test
    jobs = baselines_of(inputs.read, texts, task, test, probes, seed=settings.seed)
    jobs |= own_head_baseline(settings, inputs.backbone, inputs.part, test)
    if sample.is_whole:
        return jobs
    said = f"on a sample: {len(task.learned):,} rows, scored on {len(test):,}"

    def told(job: Callable[[], Guess]) -> Guess:
        guess = job()
        return guess._replace(detail=f"{guess.detail}; {said}")

    return {name: partial(told, job) for name, job in jobs.items()}


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
