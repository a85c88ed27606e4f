"""The recipe `hierarchy` after its sparse half: levels of labels, coarse to fine."""

import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from stc_core.activations.groups import extract_groups
from stc_core.analysis.label_tree_tables import path_verdict
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.hierarchical import HierarchicalClassifier
from stc_core.classifiers.label_tree import Descent
from stc_core.config import RunConfig, TrainConfig
from stc_core.data.corpus import read_table, resolve_columns
from stc_core.errors import StcError
from stc_core.probes.variability import mean_state_sites
from stc_core.recipes.ending import (
    corpus_of_run,
    cost_at,
    finish_tuned,
    seconds_with,
    sparse_half,
)
from stc_core.recipes.hierarchy.baselines import (
    LevelGuess,
    level_baselines,
    path_scores,
)
from stc_core.recipes.hierarchy.class_heads import (
    TunedLevels,
    compare_on_validation,
    tune_levels,
)
from stc_core.recipes.hierarchy.frozen import (
    FrozenHierarchy,
    fit_frozen,
    frozen_baselines,
    write_frozen,
)
from stc_core.recipes.hierarchy.layer_probes import LevelProbe, probe_levels
from stc_core.recipes.hierarchy.levels import check_levels, levels_of
from stc_core.recipes.hierarchy.results import (
    coarse_scores,
    level_metrics,
    path_of,
    write_head_files,
    write_path_predictions,
)
from stc_core.recipes.hierarchy.training import (
    HierarchyTraining,
    LevelPlan,
    plan_levels,
)
from stc_core.recipes.hierarchy.word_levels import first_words, fit_word_levels
from stc_core.recipes.leads import answers_of, with_leads
from stc_core.recipes.registry import RecipeCode
from stc_core.recipes.sparse import stop_if_interrupted, train_sparse
from stc_core.runs.layout import SPARSE, RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.tuning.blocks import check_tuning
from stc_core.tuning.session import BACKBONE, load_untuned

_HEAD_ROWS = 2000


def check_hierarchy(config: RunConfig, writer: RunWriter) -> None:
    """The first step: refuse a table without levels before any work.

    Refuse, too, a backbone that cannot write when a reply is wanted.
    """
    writer.phase("read", message=config.data.path)
    head = read_table(config.data.path, nrows=_HEAD_ROWS, encoding=config.data.encoding)
    check_levels(resolve_columns(head, config.data))
    if config.data.reply and first_words(config.train) is None:
        raise StcError(
            f"--reply on {config.train.backbone!r}",
            expected="a decoder with a language-model head, which can write",
            remedy="Choose another --backbone (and no --heads class), or leave --reply "
            "out.",
        )


def check_level_blocks(settings: TrainConfig, backbone: Backbone) -> None:
    """Raise StcError if the blocks of this backbone cannot be tuned as asked.

    Class heads on the frozen backbone need no tuning. The levels have layers of their
    own, so `tune.layer` has no meaning.
    """
    if settings.hierarchy.tuned or first_words(settings) is not None:
        check_tuning(backbone, settings.tune.changed(layer=None))


def fit_hierarchy(config: RunConfig, writer: RunWriter) -> None:
    """The last step: replace the sparse classifier by the hierarchical one."""
    settings, run = config.train, Run(writer.folder)
    before, corpus = sparse_metrics(writer), corpus_of_run(run)
    levels = levels_of(corpus, settings)
    training = HierarchyTraining(corpus, levels, settings, writer)
    head = first_words(settings)
    if head is None:
        metrics, guesses, ours = fit_class_levels(training, before)
    else:
        metrics, guesses, ours = fit_word_levels(training, head, before)
    add_level_baselines(training, before, metrics, guesses, ours=ours)
    writer.note(path_verdict(Run(writer.folder).metrics))


def sparse_metrics(writer: RunWriter) -> RunMetrics:
    """The metrics of the sparse half, with its own scores among the baselines.

    Their leads are left out: they are those of the sparse classifier.
    """
    metrics = sparse_half(writer).metrics
    sparse: Any = metrics["test"]
    none: Any = np.zeros(0, int)
    others: Any = with_leads(metrics["baselines"], {}, none, none)
    return {**metrics, "baselines": {**others, "stc": sparse}}


Result = tuple[dict[str, Any], Mapping[str, LevelGuess], Descent]
"""The metrics without baselines, the baselines, and the answers to the test rows."""


def fit_class_levels(training: HierarchyTraining, before: RunMetrics) -> Result:
    """Fit class heads on the frozen backbone, and on a tuned one if that was asked for.

    The tuned one is kept if it is better on held-out rows. Files of the sparse half are
    replaced only at the end, so that a run that was cut off can go on.
    """
    settings, writer = training.settings, training.writer
    base = load_untuned(settings)
    frozen = fit_frozen(training, base)
    if settings.hierarchy.tuned:
        plan, probes = tuning_plan(training, base, frozen.layers)
        tuned = tune_levels(training, plan, probes)
        rows = frozen.sample.rows[frozen.combined.rows]
        leaves = training.levels.codes[:, -1]
        verdict = compare_on_validation(tuned.combined, frozen.combined, rows, leaves)
        writer.note(verdict.sentence)
        if verdict.tuned_is_better:
            guesses = level_baselines(training, plan, probes)
            metrics, way = tuned_result(training, tuned, plan, before)
            tuned.values.path.unlink()
            return metrics, guesses, way
        tuned.values.path.unlink()
        shutil.rmtree(writer.folder / BACKBONE)
    writer.phase("report", message="the classifier of all levels")
    start = time.perf_counter()
    guesses = frozen_baselines(frozen, training)
    write_frozen(frozen, training)
    seconds = frozen.seconds + time.perf_counter() - start
    metrics, way = frozen_result(training, frozen, before, seconds)
    return metrics, guesses, way


def tuning_plan(
    training: HierarchyTraining, base: Backbone, layers: tuple[int, ...]
) -> tuple[LevelPlan, list[list[LevelProbe]]]:
    """The blocks that learn below these layers, and the probes that heads begin as."""
    levels, settings = training.levels, training.settings
    store = extract_groups(
        base,
        training.corpus.texts,
        levels.tasks[0].groups,
        wanted=mean_state_sites(base),
        store_dtype=settings.store_dtype,
    )
    probes = probe_levels(base, store, levels, training.corpus.rows("test"))
    plan = plan_levels(base, probes, levels, settings, layers=layers)
    places = zip(levels.columns, layers, strict=True)
    said = ", ".join(f"{column} at layer {layer}" for column, layer in places)
    training.writer.phase("tune", message=said)
    return plan, probes


def frozen_result(
    training: HierarchyTraining,
    frozen: FrozenHierarchy,
    before: RunMetrics,
    seconds: float,
) -> tuple[dict[str, Any], Descent]:
    """The metrics of the frozen hierarchy, and its answers to the test rows."""
    classifier, combined = frozen.classifier(training), frozen.combined
    logits = [frozen.test_logits(training, head) for head in combined.heads]
    way = path_of(training, logits[-1])
    held = frozen.sample.rows[combined.rows], combined.logits.argmax(axis=1)
    metrics = {**before, **level_metrics(classifier, training, way, held)}
    metrics["test"]["coarse"] = coarse_answers(training, frozen.layers, logits, way)
    metrics |= _facts(classifier, before) | {
        "seconds": seconds_with(before, levels=seconds),
        "hierarchy": {
            **_level_facts(training, classifier),
            "tuned": [],
            "weights": [],
            "trainable": int(sum(head.weight.size for head in combined.heads)),
            "epochs": 0,
        },
    }
    return metrics, way


def tuned_result(
    training: HierarchyTraining,
    tuned: TunedLevels,
    plan: LevelPlan,
    before: RunMetrics,
) -> tuple[dict[str, Any], Descent]:
    """Write the tuned hierarchy; give its metrics and its answers to the test rows."""
    levels, combined, writer = training.levels, tuned.combined, training.writer
    writer.phase("report", message="the tuned classifier")
    classifier = HierarchicalClassifier(
        tuned.trained.backbone,
        levels.tree,
        combined.heads,
        levels.columns,
        layers=plan.layers,
        alphas=combined.alphas,
    )
    write_head_files(classifier, training)
    path = writer.folder / RunFile.ACTIVATIONS
    values = tuned.write_values(classifier, path)
    write_path_predictions(classifier, values, training)
    test = training.corpus.rows("test")
    logits = [tuned.test_logits(head, test) for head in combined.heads]
    way = path_of(training, logits[-1])
    held = combined.rows, combined.logits.argmax(axis=1)
    metrics = {**before, **level_metrics(classifier, training, way, held)}
    metrics["test"]["coarse"] = coarse_answers(training, plan.layers, logits, way)
    history = tuned.trained.history
    metrics |= _facts(classifier, before) | {
        "seconds": seconds_with(before, tune=history.seconds),
        "hierarchy": {
            **_level_facts(training, classifier),
            "tuned": list(plan.tuned),
            "weights": list(plan.weights),
            "trainable": tuned.trained.n_trainable,
            "epochs": history.epochs[-1].epoch,
        },
    }
    identity = classifier.backbone_.identity
    metrics["backbone"] = {**before["backbone"], "tuned": identity}
    return metrics, way


def coarse_answers(
    training: HierarchyTraining,
    layers: Sequence[int],
    logits: Sequence[np.ndarray],
    way: Descent,
) -> list[dict[str, Any]]:
    """For each coarse level its answer alone, which stops at its layer, and the most
    probable node of the whole answer."""
    found = []
    for level in range(training.levels.depth - 1):
        alone = coarse_scores(training, level, logits[level].argmax(axis=1))
        summed = coarse_scores(training, level, way.shares[level].argmax(axis=1))
        found.append(
            {
                "column": training.levels.columns[level],
                "layer": layers[level],
                **alone,
                "summed_accuracy": summed["accuracy"],
            }
        )
    return found


def _facts(classifier: HierarchicalClassifier, before: RunMetrics) -> dict[str, Any]:
    """What the classifier reads, and what it costs."""
    head, layers = classifier.head_, classifier.layers_
    unique = len({(f.site, f.index) for f in head.features})
    return {
        "recipe": "hierarchy",
        "layers": {**before["layers"], "used": head.layer},
        "neurons": {
            **before["neurons"],
            "selected": len(head.features),
            "unique": unique,
        },
        "chosen": {
            "layers": ", ".join(map(str, layers)),
            "alphas": ", ".join(f"{alpha:g}" for alpha in classifier.alphas_[-1]),
        },
        "cost": cost_at(before, classifier.backbone_, head.layer),
    }


def _level_facts(
    training: HierarchyTraining, classifier: HierarchicalClassifier
) -> dict[str, Any]:
    """What the hierarchy is: its levels, their layers, their weights and costs."""
    backbone = classifier.backbone_
    return {
        "heads": "class",
        "columns": list(training.levels.columns),
        "layers": list(classifier.layers_),
        "alphas": [list(of_level) for of_level in classifier.alphas_],
        "sizes": list(training.levels.tree.sizes),
        "flops_per_token": [backbone.flops_per_token(n) for n in classifier.layers_],
    }


def add_level_baselines(
    training: HierarchyTraining,
    before: RunMetrics,
    metrics: dict[str, Any],
    guesses: Mapping[str, LevelGuess],
    *,
    ours: Descent,
) -> None:
    """Write the metrics with the baselines of all levels, and end the recipe."""
    levels = training.levels
    true = levels.codes[training.corpus.rows("test")]
    own = {
        name: {
            **path_scores(
                levels, true, guess.nodes, detail=guess.detail, ours=ours.nodes
            ),
            "seconds": guess.seconds,
        }
        for name, guess in guesses.items()
    }
    others = leads_over_sparse(training, before, true[:, -1], ours.nodes[:, -1])
    metrics["baselines"] = {**own, **others}
    # The models of "separate" are that of "flat" and more.
    most = "separate" if "separate" in own else "flat"
    metrics["seconds"]["total"] += own[most]["seconds"]
    finish_tuned(training.writer, metrics, gone=SPARSE)


def leads_over_sparse(
    training: HierarchyTraining,
    before: RunMetrics,
    leaves: Int[np.ndarray, " n_test"],
    ours: Int[np.ndarray, " n_test"],
) -> dict[str, Any]:
    """The baselines of the sparse half with the leads of the hierarchy over them.

    Its finest answers are compared by the names of the labels. Without leads if a name
    is that of several leaves.
    """
    names = pd.Index(training.levels.tree.labels[-1])
    if not names.is_unique:
        return with_leads(before["baselines"], {}, leaves, ours)
    places, n = names.get_indexer(pd.Index(before["classes"])), len(names)
    # A leaf that no learned row has, and a label that is no leaf, are never alike.
    known = np.where(places < 0, n + 1, places)
    kept = answers_of(Run(training.writer.folder))
    answers = {name: known[codes] for name, codes in kept.items()}
    true = np.where(leaves < 0, n, leaves)
    return with_leads(before["baselines"], answers, true, ours, n_class=n)


CODE = RecipeCode(
    (check_hierarchy, train_sparse, stop_if_interrupted, fit_hierarchy),
    check=check_level_blocks,
)
