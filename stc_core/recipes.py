"""Recipes: a corpus and a backbone in, a run directory out.

Every way to start a training (command line, app, Python) calls `train`, so all leave
the same directory. The test rows choose nothing: results.py scores them, at the end.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from stc_core import adapt, attentive, hierarchy, tables
from stc_core.backbone import Backbone
from stc_core.baselines import Guess, baselines_of, scored
from stc_core.by_class import class_table
from stc_core.classifier import SparsifyThenClassify
from stc_core.config import RunConfig, TrainConfig
from stc_core.control import PATIENCE, control_task
from stc_core.data import Corpus, read_corpus
from stc_core.errors import StcError
from stc_core.extract import extract
from stc_core.forecast import Shape, Survey, forecast, survey
from stc_core.lesson import CHECKPOINTS, TUNING
from stc_core.plan import count_tokens
from stc_core.probe import ProbeResult
from stc_core.report import add_truncated
from stc_core.results import (
    Ground,
    conclude,
    estimator,
    evaluate,
    seconds_of,
    task_of,
    write_fitted,
    write_frontier,
)
from stc_core.rows import write_rows
from stc_core.run import Run
from stc_core.salience import SALIENCE, write_saliences
from stc_core.sample import Sample, draw
from stc_core.shrink import shrink
from stc_core.stream import activation_blocks, logits_at
from stc_core.tuning import changed, plan_tuning
from stc_core.tuning_time import tuning_seconds
from stc_core.variability import from_features
from stc_core.writer import RunWriter

INTERRUPTED = "the work was interrupted"


def train(config: RunConfig, writer: RunWriter) -> Run:
    """The finished run of `config`, written by `writer` as it goes."""
    if config.data.reply and config.train.recipe != "hierarchy":
        raise StcError(
            "option --reply",
            expected="the recipe hierarchy, the only one that writes",
            got=config.train.recipe,
            remedy="Add --recipe hierarchy, or leave --reply out.",
        )
    steps = (shrink,) if config.shrink else RECIPES[config.train.recipe]
    for step in steps:
        step(config, writer)
    return writer.finish()


def _sparse(config: RunConfig, writer: RunWriter) -> None:
    """The whole recipe `stc`; the others begin with it, as what they compare with."""
    settings = config.train
    if (writer.folder / CHECKPOINTS).is_dir():
        writer.note("Going on where the tuning was cut off.")
        return
    classifier = estimator(settings)
    ground = _ground(config, writer, classifier)
    sample, wanted = ground.sample, ground.wanted
    read = sample.store.read
    writer.phase("probe", total=len(wanted), message=f"{len(wanted)} pooled sites")
    probes = classifier.fit_probes(
        read,
        sample.task,
        wanted,
        device=str(ground.backbone.device),
        progress=writer.progress,
    )
    writer.write_frame("probes.parquet", tables.probe_table(probes, sample.task))
    writer.write_frame("classes.parquet", class_table(read, sample.task, probes))
    write_saliences(writer.folder / SALIENCE, probes)

    if nu := from_features(read, sample.task, ground.backbone, wanted):
        writer.write_json(adapt.NU, {**nu.record(), "tokens": "all", "rows": "train"})

    writer.phase("select")
    fitted = classifier.select(
        read, sample.task, probes, reported=sample.test, progress=writer.progress
    )
    if (kept := len(fitted.head.features)) < (settings.budget or 0):
        asked = f"{settings.budget:,} neurons were asked for"
        writer.note(f"{asked}; {kept:,} have a weight in the probes, and all are kept.")
    write_frontier(writer, ground, fitted)
    metrics = conclude(writer, classifier, ground, fitted, seed=settings.seed)
    writer.phase("report", message="baselines")
    add_baselines(
        writer,
        metrics,
        _baselines(sample, list(ground.part.texts), probes, seed=settings.seed),
        sample.task.codes[sample.test],
        ours=_on_test(writer, sample),
        seed=settings.seed,
    )
    _add_control(writer, classifier, ground, seed=settings.seed)


def _ground(
    config: RunConfig, writer: RunWriter, classifier: SparsifyThenClassify
) -> Ground:
    """The table read, the backbone loaded, and the features of the sample extracted."""
    settings = config.train
    writer.phase("read", message=config.data.path)
    corpus = _read(config)
    writer.write_frame("corpus.parquet", corpus.frame)
    writer.write_text("report.json", corpus.report.to_json())
    for found in corpus.report.findings:
        if found.kind == "encoding":
            writer.note(found.message)
    writer.phase("load", message=settings.backbone)
    backbone = classifier.load_backbone(progress=writer.progress)
    wanted = classifier.wanted(backbone)
    for note in backbone.notes:
        writer.note(note)

    writer.phase("extract", message=f"{len(corpus.texts):,} texts")
    counts = count_tokens(backbone, corpus.texts)
    report = add_truncated(
        corpus.report, counts.cut, len(corpus.texts), backbone.max_length
    )
    writer.write_text("report.json", report.to_json())
    task = task_of(corpus, settings)
    keep = partial(extract, backbone, wanted=wanted, store_dtype=settings.store_dtype)
    sample = draw(
        corpus.texts,
        task,
        corpus.rows("test"),
        extract=partial(keep, progress=writer.progress),
        seed=settings.seed,
    )
    for note in sample.notes:
        writer.note(note)
    return Ground(backbone, corpus, task, sample, wanted, counts)


def _add_control(
    writer: RunWriter,
    classifier: SparsifyThenClassify,
    ground: Ground,
    *,
    seed: int,
) -> None:
    """The probes of shuffled labels; like a baseline, they cannot harm their run."""
    metrics, wanted = Run(writer.folder).metrics, ground.wanted
    if INTERRUPTED in metrics["missing"].values():
        return
    writer.note("Probing shuffled labels, as a control.")
    try:
        probes = classifier.fit_probes(
            ground.sample.store.read,
            control_task(ground.sample.task, seed=seed),
            wanted,
            patience=PATIENCE,
            device=str(ground.backbone.device),
            progress=writer.progress,
        )
    except KeyboardInterrupt:
        metrics["missing"]["control"] = INTERRUPTED
        writer.note("Interrupted: without the control.")
    else:
        frame = tables.probe_table(probes, ground.sample.task)
        writer.write_frame("control.parquet", frame)
    _write_metrics(writer, metrics)


def _unless_interrupted(config: RunConfig, writer: RunWriter) -> None:
    """Stop here if the baselines were cut short: whoever did that waits for no more."""
    if INTERRUPTED in Run(writer.folder).metrics["missing"].values():
        raise KeyboardInterrupt


def _adapted(config: RunConfig, writer: RunWriter) -> None:
    """The recipe `variability`: a tuned classifier in the place of the sparse one."""
    settings, run = config.train, Run(writer.folder)
    before, report = run.metrics, run.report
    corpus = Corpus(run.corpus, report.columns, report)
    task, n = task_of(corpus, settings), len(corpus.frame)
    peak_bytes = None if run.has(TUNING) else adapt.peak_bytes()
    tuned = adapt.tune(corpus, task, settings, writer)
    writer.phase("report", message="the tuned classifier")
    blocks = activation_blocks(
        tuned.backbone,
        corpus.texts,
        tuned.head.features,
        read=lambda site, rows: np.empty((0, 0), np.float32),
        known=np.full(n, -1),
        progress=writer.progress,
    )
    path, width = writer.folder / "activations.npy", len(tuned.head.features)
    activations = write_rows(path, blocks, n=n, width=width)
    fitted = adapt.settled(tuned, activations, task)
    classifier = estimator(settings)
    classifier.adopt(tuned.backbone, np.array(task.classes), [], fitted)
    write_fitted(writer, classifier, corpus, activations)
    logits = logits_at(activations, fitted.head, corpus.rows("test"))
    after = evaluate(corpus, task, fitted, logits, settings.seed)
    after = adapt.told(before, after, tuned, fitted)
    y = task.codes[corpus.rows("test")]
    frozen = scored(y, Guess(tuned.frozen, ""), seed=settings.seed)
    new = {"stc": before["test"], "frozen": frozen}
    after["baselines"] = {**new, **before["baselines"]}
    after["comparison"] = adapt.comparison(before, after, tuned, peak_bytes)
    writer.write_json("metrics.json", after)
    for name in adapt.SPARSE:
        (writer.folder / name).unlink(missing_ok=True)
    shutil.rmtree(writer.folder / CHECKPOINTS)


Step = Callable[[RunConfig, RunWriter], None]
RECIPES: dict[str, tuple[Step, ...]] = {
    "stc": (_sparse,),
    "variability": (_sparse, _unless_interrupted, _adapted),
    "hierarchy": (
        hierarchy.check,
        _sparse,
        _unless_interrupted,
        hierarchy.hierarchical,
    ),
    "attention": (
        attentive.check,
        _sparse,
        _unless_interrupted,
        attentive.attentive,
    ),
}
"""What each recipe does, in order."""


def add_baselines(
    writer: RunWriter,
    metrics: dict[str, Any],
    baselines: Mapping[str, Callable[[], Guess]],
    y: Int[np.ndarray, " n_test"],
    *,
    ours: Int[np.ndarray, " n_test"] | None = None,
    seed: int,
) -> None:
    """Writes metrics.json with no baseline, then again with each one that ends.

    The classifier is done by then, so nothing that befalls a baseline harms its run:
    one that fails is noted, in the log and under `missing`; when the work is
    interrupted the rest are.
    """
    metrics |= {"baselines": {}, "missing": {}}
    left = dict(baselines)
    _write_metrics(writer, metrics)
    for done, (name, fit) in enumerate(baselines.items(), start=1):
        try:
            metrics["baselines"][name] = scored(y, fit(), ours=ours, seed=seed)
        except KeyboardInterrupt:
            metrics["missing"] |= dict.fromkeys(left, INTERRUPTED)
            writer.note(f"Interrupted: without the baselines {', '.join(left)}.")
            break
        except Exception as error:  # noqa: BLE001 - any fault but the run's own
            said = f"{type(error).__name__}: {error}"
            metrics["missing"][name] = said
            writer.note(f"Baseline {name} failed: {said}")
        del left[name]
        _write_metrics(writer, metrics)
        writer.progress(done, len(baselines))
    _write_metrics(writer, metrics)


def _on_test(writer: RunWriter, sample: Sample) -> np.ndarray | None:
    """The classes that the run gives to the texts on which baselines are scored.

    None of a large corpus: they are scored on a part of it.
    """
    if not sample.is_whole:
        return None
    table = pd.read_parquet(writer.folder / "predictions.parquet")
    predicted = table["predicted"].iloc[sample.test]
    return pd.Index(sample.task.classes).get_indexer(pd.Index(predicted))


def _write_metrics(writer: RunWriter, metrics: dict[str, Any]) -> None:
    metrics["seconds"] = seconds_of(writer)
    writer.write_json("metrics.json", metrics)


def _baselines(
    sample: Sample, texts: Sequence[str], probes: Sequence[ProbeResult], *, seed: int
) -> dict[str, Callable[[], Guess]]:
    """The baselines on the sample; of a large corpus they say that it is one."""
    task, test = sample.task, sample.test
    jobs = baselines_of(sample.store.read, texts, task, test, probes, seed=seed)
    if sample.is_whole:
        return jobs
    said = f"on a sample: {len(task.learned):,} rows, scored on {len(test):,}"

    def told(job: Callable[[], Guess]) -> Guess:
        guess = job()
        return guess._replace(detail=f"{guess.detail}; {said}")

    return {name: partial(told, job) for name, job in jobs.items()}


def plan(
    config: RunConfig,
    corpus: Corpus,
    *,
    backbone: Backbone | None = None,
    surveyed: Survey | None = None,
) -> dict[str, Any]:
    """What `train` will take: seconds, memory_bytes, disk_bytes, n_texts, n_cut.

    Loads the backbone and times it on a few of the texts, unless both are given; then
    it takes no time worth naming. Of the recipes that tune only variability's is known,
    by `tuning_seconds`; memory and disk are of what is before the tuning.
    """
    classifier = estimator(config.train)
    backbone = backbone or classifier.load_backbone()
    wanted = classifier.wanted(backbone)
    check_settings(config.train, backbone)
    surveyed = surveyed or survey(backbone, corpus.texts)
    store_dtype = config.train.store_dtype
    shape = _shape(corpus, [backbone.widths[wish.site] for wish in wanted])
    expected = forecast(
        backbone, wanted, surveyed, shape=shape, store_dtype=store_dtype
    )
    seconds = expected.seconds
    if config.train.recipe == "variability":
        tune, learned = config.train.tune, (shape.n_train, shape.n_learned)
        taken = tuning_seconds(backbone, surveyed, tune, n=shape.n, learned=learned)
        seconds |= {} if taken is None else {"tune": taken}
    return {
        "n_texts": shape.n,
        "n_tokens": expected.n_tokens,
        "n_cut": expected.n_cut,
        "seconds": sum(seconds.values()),
        **{f"seconds_{phase}": s for phase, s in seconds.items()},
        "memory_bytes": expected.memory_bytes,
        "disk_bytes": expected.disk_bytes,
        "sites": len(wanted),
        "layers": backbone.n_layers,
        "backbone": repr(backbone),
    }


def check_settings(settings: TrainConfig, backbone: Backbone) -> None:
    """Raise StcError for settings of a recipe that this backbone cannot do."""
    tune = settings.tune
    if settings.recipe == "attention":
        attentive.check_settings(settings, backbone)
    elif settings.recipe != "stc":
        nu = [float(-layer) for layer in range(backbone.n_layers + 1)]
        changed(backbone, plan_tuning(backbone, nu, tune), tune)


def _shape(corpus: Corpus, widths: Sequence[int]) -> Shape:
    n_train = len(corpus.rows("train"))
    return Shape(
        n=len(corpus.frame),
        n_train=n_train,
        n_learned=n_train + len(corpus.rows("validation")),
        n_class=len(corpus.classes),
        characters=int(corpus.frame["text"].str.len().sum()),
        widths=tuple(widths),
    )


def _read(config: RunConfig) -> Corpus:
    settings = config.train
    return read_corpus(
        config.data,
        validation_share=settings.validation_share,
        test_share=settings.test_share,
        seed=settings.seed,
    )
