"""Recipes: a corpus and a backbone in, a run directory out.

Every way to start a training (command line, app, Python) calls `train`, so all leave
the same directory. The test rows are scored once, at the end, by `_evaluate`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from stc_core import tables
from stc_core.axes import PooledSite
from stc_core.backbone import Backbone
from stc_core.baselines import Guess, baselines_of, scored
from stc_core.classifier import SparsifyThenClassify
from stc_core.config import RunConfig, TrainConfig
from stc_core.data import Corpus, read_corpus
from stc_core.extract import extract
from stc_core.head import softmax
from stc_core.metrics import (
    accuracy,
    expected_calibration_error,
    log_loss,
    macro_f1,
)
from stc_core.plan import count_tokens, plan_extraction
from stc_core.report import add_truncated
from stc_core.run import Run, RunWriter
from stc_core.sparsify import Fitted, Task
from stc_core.store import FeatureStore

PROBE_SECONDS_PER_CELL = 1.2e-8
"""Probing, for each row, feature and class: measured on two cores, benches/."""
START_SECONDS = 5.0


def train(config: RunConfig, writer: RunWriter) -> Run:
    """The finished run of `config`, written by `writer` as it goes."""
    settings = config.train
    writer.phase("read", message=config.data.path)
    corpus = _read(config)
    writer.write_frame("corpus.parquet", corpus.frame)
    writer.write_text("report.json", corpus.report.to_json())
    classifier = estimator(settings)
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
    store = extract(
        backbone,
        corpus.texts,
        wanted,
        store_dtype=settings.store_dtype,
        progress=writer.progress,
    )
    for note in store.notes:
        writer.note(note)
    task = task_of(corpus, settings)
    writer.phase("probe", total=len(wanted), message=f"{len(wanted)} pooled sites")
    probes = classifier.fit_probes(store.read, task, wanted, progress=writer.progress)
    writer.write_frame("probes.parquet", tables.probe_table(probes, task))

    writer.phase("select")
    fitted = classifier.select(store.read, task, probes, progress=writer.progress)
    classifier.adopt(backbone, np.array(task.classes), probes, fitted)
    writer.phase("head", message=f"{len(fitted.head.features):,} neurons")
    activations = gather_activations(store, fitted)
    logits = fitted.head.logits(activations)
    _write_fitted(writer, classifier, corpus, activations, logits)

    writer.phase("report", message="baselines")
    metrics = _evaluate(corpus, task, fitted, logits, settings.seed)
    metrics |= _facts(backbone, fitted, wanted)
    metrics["tokens"] = counts._asdict()
    test = corpus.rows("test")
    add_baselines(
        writer,
        metrics,
        baselines_of(store.read, corpus.texts, task, test, probes, seed=settings.seed),
        task.codes[test],
        seed=settings.seed,
    )
    return writer.finish()


def add_baselines(
    writer: RunWriter,
    metrics: dict[str, Any],
    baselines: Mapping[str, Callable[[], Guess]],
    y: Int[np.ndarray, " n_test"],
    *,
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
            metrics["baselines"][name] = scored(y, fit(), seed=seed)
        except KeyboardInterrupt:
            metrics["missing"] |= dict.fromkeys(left, "the work was interrupted")
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


def _write_metrics(writer: RunWriter, metrics: dict[str, Any]) -> None:
    metrics["seconds"] = _seconds(writer)
    writer.write_json("metrics.json", metrics)


def estimator(settings: TrainConfig) -> SparsifyThenClassify:
    """The unfitted classifier of these settings."""
    names = SparsifyThenClassify().get_params()
    given = {k: v for k, v in settings.model_dump().items() if k in names}
    return SparsifyThenClassify(**given)


def task_of(corpus: Corpus, settings: TrainConfig) -> Task:
    """Class codes of all rows, in the order of the corpus' classes."""
    classes = np.array(corpus.classes)
    return Task(
        np.searchsorted(classes, corpus.labels),
        corpus.classes,
        corpus.rows("train"),
        corpus.rows("validation"),
        settings.class_weight,
    )


def gather_activations(
    store: FeatureStore, fitted: Fitted
) -> Float[np.ndarray, "n n_neurons"]:
    """Raw pooled values of the selected neurons on every row, from the store."""
    features = fitted.head.features
    out = np.empty((store.n, len(features)), np.float32)
    places: dict[PooledSite, list[int]] = {}
    for place, feature in enumerate(features):
        pooled_site = PooledSite(feature.site, feature.pooling)
        places.setdefault(pooled_site, []).append(place)
    for pooled_site, columns in places.items():
        index = [features[place].index for place in columns]
        out[:, columns] = store.read(pooled_site)[:, index]
    return out


def plan(config: RunConfig, corpus: Corpus) -> dict[str, Any]:
    """What `train` will take: seconds, memory_bytes, disk_bytes, n_texts, n_cut.

    Loads the backbone and times it on a few of the texts.
    """
    classifier = estimator(config.train)
    backbone = classifier.load_backbone()
    wanted = classifier.wanted(backbone)
    tokens = backbone.tokenize(corpus.texts)
    extraction = plan_extraction(
        backbone, tokens, wanted, store_dtype=config.train.store_dtype
    )
    n = len(corpus.texts)
    cells = n * sum(backbone.widths[wish.site] for wish in wanted)
    fitting = PROBE_SECONDS_PER_CELL * cells * min(len(corpus.classes), 32)
    return {
        "n_texts": n,
        "n_tokens": extraction.n_tokens,
        "n_cut": tokens.n_cut,
        "seconds": START_SECONDS + extraction.seconds + fitting,
        "seconds_extract": extraction.seconds,
        "memory_bytes": extraction.memory_bytes,
        "disk_bytes": extraction.disk_bytes,
        "sites": len(wanted),
        "layers": backbone.n_layers,
        "backbone": repr(backbone),
    }


def _read(config: RunConfig) -> Corpus:
    settings = config.train
    return read_corpus(
        config.data,
        validation_share=settings.validation_share,
        test_share=settings.test_share,
        seed=settings.seed,
    )


def _write_fitted(
    writer: RunWriter,
    classifier: SparsifyThenClassify,
    corpus: Corpus,
    activations: np.ndarray,
    logits: np.ndarray,
) -> None:
    head, backbone = classifier.head_, classifier.backbone_
    classifier.save(writer.folder / "model")
    writer.write_frame("neurons.parquet", tables.neuron_table(head))
    writer.write_array("activations.npy", activations.astype(np.float32))
    writer.write_frame(
        "curves.parquet", tables.curve_table(classifier.fitted_, backbone, corpus)
    )
    honest = logits.copy()
    honest[corpus.rows("validation")] = classifier.fitted_.validation_logits
    writer.write_frame(
        "predictions.parquet", tables.prediction_table(corpus, softmax(honest))
    )


def _evaluate(
    corpus: Corpus,
    task: Task,
    fitted: Fitted,
    logits: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Our scores on test and on validation."""
    rows = corpus.rows("test")
    y, guess = task.codes[rows], logits[rows].argmax(axis=1)
    probabilities = softmax(logits[rows])
    levels = tables.level_scores(corpus, rows, np.array(task.classes)[guess])
    y_val = task.codes[task.validation]
    val_guess = fitted.validation_logits.argmax(axis=1)
    ours = scored(y, Guess(guess, ""), seed=seed)
    del ours["detail"]
    return {
        "classes": list(task.classes),
        "test": {
            **ours,
            "n": len(rows),
            "ece": expected_calibration_error(y, probabilities),
            "log_loss": log_loss(y, probabilities),
            "levels": levels,
        },
        "validation": {
            "accuracy": accuracy(y_val, val_guess),
            "macro_f1": macro_f1(y_val, val_guess),
            "n": len(y_val),
        },
    }


def _facts(
    backbone: Backbone, fitted: Fitted, wanted: Sequence[PooledSite]
) -> dict[str, Any]:
    head = fitted.head
    return {
        "neurons": {
            "selected": len(head.features),
            "unique": len({(f.site, f.index) for f in head.features}),
            "total": sum(backbone.widths[wish.site] for wish in wanted),
        },
        "layers": {"used": head.layer, "total": backbone.n_layers},
        "chosen": fitted.chosen,
        "cost": {
            "parameters": backbone.parameters(head.layer),
            "parameters_total": backbone.parameters(),
            "flops_per_token": backbone.flops_per_token(head.layer),
            "flops_per_token_total": backbone.flops_per_token(),
        },
        "backbone": {
            "name": backbone.name,
            "identity": backbone.identity,
            "family": backbone.family,
            "n_layers": backbone.n_layers,
            "layer_names": list(backbone.layer_names),
            "max_length": backbone.max_length,
            "device": str(backbone.device),
            "dtype": str(backbone.dtype).removeprefix("torch."),
            "notes": list(backbone.notes),
        },
    }


def _seconds(writer: RunWriter) -> dict[str, float]:
    """Seconds of each phase that has ended; `baselines` is the one that runs."""
    known = {k: v for k, v in writer.seconds.items() if k}
    total = writer.total_seconds
    known["baselines"] = total - sum(known.values())
    return {**known, "total": total}
