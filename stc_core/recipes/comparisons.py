"""What a run is compared with: baselines, fewer rows, other rows, shuffled labels.

The classifier is already written, so nothing here can harm the run. After an interrupt
`missing` of metrics.json names what is left.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Int

from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.config import TrainConfig
from stc_core.heads.folds import FOLDS
from stc_core.probes.control import PATIENCE, control_task
from stc_core.probes.fit import ProbeResult
from stc_core.recipes import tables
from stc_core.recipes.leads import write_answers
from stc_core.recipes.own_head import own_head_baseline
from stc_core.recipes.results import FitInputs, seconds_of
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import StabilityFacts
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.selection.baselines import baselines_of, score_baseline
from stc_core.selection.folds import digests
from stc_core.selection.guess import Guess
from stc_core.selection.learning_curve import measure_learning
from stc_core.selection.repeats.stability import measure_stability
from stc_core.selection.sample import Sample
from stc_core.selection.stc import Fitted
from stc_core.selection.use.attribution import ModelUse

INTERRUPTED = "the work was interrupted"
_BASELINES, _LEARNING, _STABILITY, _CONTROL = (0, 35), (35, 45), (45, 85), (85, 100)
"""From which to which percent of the last phase each of its parts goes, about."""


def add_comparisons(
    writer: RunWriter,
    classifier: SparsifyThenClassify,
    inputs: FitInputs,
    metrics: dict[str, Any],
    *,
    probes: Sequence[ProbeResult],
    fitted: Fitted,
    use: ModelUse | None,
) -> None:
    """Write metrics.json, then again after each part of the last phase."""
    settings, sample = writer.config.train, inputs.sample
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


def _write_metrics(writer: RunWriter, metrics: Mapping[str, Any]) -> None:
    writer.write_metrics({**metrics, "seconds": seconds_of(writer)})
