"""The recipe `hierarchy` after its frozen half: levels of labels, coarse to fine."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from torch import nn

from stc_core.activations.groups import extract_groups
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.classifiers.hierarchical import HierarchicalClassifier
from stc_core.classifiers.label_tree import Descent, descend
from stc_core.classifiers.replying import ReplyingClassifier
from stc_core.classifiers.spelling import spelled_names
from stc_core.config import RunConfig, TrainConfig
from stc_core.data.checks import level_names
from stc_core.data.corpus import read_table, resolve_columns
from stc_core.errors import StcError
from stc_core.metrics.scores import (
    accuracy,
    expected_calibration_error,
    log_loss,
    macro_f1,
)
from stc_core.probes.variability import mean_state_sites
from stc_core.recipes.ending import (
    corpus_of_run,
    cost_at,
    finish_tuned,
    seconds_with,
    sparse_half,
)
from stc_core.recipes.hierarchy.baselines import level_baselines, path_scores
from stc_core.recipes.hierarchy.class_heads import (
    LevelReadings,
    finalise_hierarchy,
    read_levels,
    train_class_heads,
)
from stc_core.recipes.hierarchy.layer_probes import (
    LevelProbe,
    level_probe_table,
    probe_levels,
)
from stc_core.recipes.hierarchy.levels import Levels, check_levels, levels_of
from stc_core.recipes.hierarchy.replies import Replies, replies_of
from stc_core.recipes.hierarchy.reply_scores import score_replies
from stc_core.recipes.hierarchy.training import (
    HierarchyTraining,
    LevelPlan,
    TrainedHierarchy,
    plan_levels,
)
from stc_core.recipes.hierarchy.word_heads import answer_rows, train_word_heads
from stc_core.recipes.hierarchy.word_module import copied_word_head
from stc_core.recipes.leads import with_leads
from stc_core.recipes.registry import RecipeCode
from stc_core.recipes.sparse import stop_if_interrupted, train_sparse
from stc_core.recipes.tables import neuron_table
from stc_core.runs.layout import SPARSE, RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.selection.streaming import logit_blocks
from stc_core.tuning.blocks import check_tuning
from stc_core.tuning.session import load_untuned

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

    The levels have layers of their own, so `tune.layer` has no meaning.
    """
    check_tuning(backbone, settings.tune.changed(layer=None))


def tune_hierarchy(config: RunConfig, writer: RunWriter) -> None:
    """The last step: replace the sparse classifier by the tuned hierarchical one."""
    settings, run = config.train, Run(writer.folder)
    before, corpus = sparse_metrics(writer), corpus_of_run(run)
    levels = levels_of(corpus, settings)
    training = HierarchyTraining(corpus, levels, settings, writer)
    writer.phase("tune", message="which layer answers which level")
    base = load_untuned(settings)
    store = extract_groups(
        base,
        corpus.texts,
        levels.tasks[0].groups,
        wanted=mean_state_sites(base),
        store_dtype=settings.store_dtype,
    )
    probes = probe_levels(base, store, levels, corpus.rows("test"))
    parts = tuple(corpus.columns.written)
    plan = plan_levels(base, probes, levels, settings, above=len(parts))
    table = level_probe_table(probes, levels, base, store, layers=plan.layers)
    writer.write_frame(RunFile.LEVELS, table)
    del base
    for name in SPARSE:
        (writer.folder / name).unlink(missing_ok=True)
    places = zip((*levels.columns, *parts), plan.layers, strict=True)
    said = ", ".join(f"{column} at layer {layer}" for column, layer in places)
    writer.phase("tune", message=said)
    head = first_words(settings)
    if head is None:
        metrics = class_head_metrics(training, plan, probes, before)
    else:
        metrics = word_head_metrics(training, plan, head, before)
    baselines: dict[str, Any] = {**before["baselines"]}
    writer.write_metrics({**metrics, "baselines": baselines})
    true = levels.codes[corpus.rows("test")]
    found = level_baselines(training, plan, probes, head)
    for name, (nodes, detail, seconds) in found.items():
        scores = path_scores(levels, true, nodes, detail=detail)
        baselines[name] = {**scores, "seconds": seconds}
    order = ("flat", "separate", "inner_probe", *before["baselines"])
    metrics["baselines"] = {key: baselines[key] for key in order if key in baselines}
    # The models of "separate" are that of "flat" and more.
    most = "separate" if "separate" in baselines else "flat"
    metrics["seconds"]["total"] += baselines[most]["seconds"]
    finish_tuned(writer, metrics, gone=())


def sparse_metrics(writer: RunWriter) -> RunMetrics:
    """The metrics of the sparse half, with its own scores among the baselines.

    Their leads are left out: they are those of the sparse classifier.
    """
    metrics = sparse_half(writer).metrics
    sparse: Any = metrics["test"]
    none: Any = np.zeros(0, int)
    others: Any = with_leads(metrics["baselines"], {}, none, none)
    return {**metrics, "baselines": {**others, "stc": sparse}}


def first_words(settings: TrainConfig) -> nn.Module | None:
    """The word head with which every level begins; None for class heads."""
    wish = settings.hierarchy.heads
    if wish == "class" or (wish == "auto" and not load_untuned(settings).causal):
        return None
    head = copied_word_head(settings.backbone)
    if head is None and wish == "words":
        raise StcError(
            f"word heads on {settings.backbone!r}",
            expected="a decoder whose files hold a language-model head",
            remedy="Choose another backbone, or --heads class.",
        )
    return head


def class_head_metrics(
    training: HierarchyTraining,
    plan: LevelPlan,
    probes: Sequence[Sequence[LevelProbe]],
    before: RunMetrics,
) -> dict[str, Any]:
    """Tune class heads, write the classifier, and give its metrics without
    baselines."""
    levels = training.levels
    found = train_class_heads(training, plan, probes)
    training.writer.phase("report", message="the tuned classifier")
    classifier, read, temperatures = finalise_hierarchy(
        found, read_levels(found, training), levels
    )
    write_classifier(classifier, read, training)

    def way(rows: Int[np.ndarray, " some"]) -> Descent:
        return descend(levels.tree, read.logits(classifier.heads_, rows))

    metrics = {**before, **level_metrics(classifier, training, way)}
    metrics |= _facts(classifier, found, plan, levels, before)
    width = len(classifier.head_.features)
    metrics["neurons"] = {**before["neurons"], "selected": width, "unique": width}
    metrics["hierarchy"]["temperatures"] = temperatures
    return metrics


def word_head_metrics(
    training: HierarchyTraining,
    plan: LevelPlan,
    head: nn.Module,
    before: RunMetrics,
) -> dict[str, Any]:
    """The same with word heads; the run keeps the neurons of the sparse classifier."""
    writer, settings = training.writer, training.settings
    replies = replies_to(training)
    found, classifier = train_word_heads(training, plan, head, replies)
    writer.phase("report", message="the tuned classifier")
    classifier.save(writer.folder / "model", params={})
    every = answer_rows(classifier, training)
    frame = prediction_frame(classifier, every, training, np.arange(len(every.nodes)))
    writer.write_frame(RunFile.PREDICTIONS, frame)

    def way(rows: Int[np.ndarray, " some"]) -> Descent:
        return Descent(every.nodes[rows], tuple(share[rows] for share in every.shares))

    metrics = {**before, **level_metrics(classifier, training, way)}
    metrics |= _facts(classifier, found, plan, training.levels, before)
    wish = settings.hierarchy
    metrics["hierarchy"] |= {"heads": "words", "tied": wish.tied, "norm": wish.norm}
    if replies is not None:
        assert isinstance(classifier, ReplyingClassifier), type(classifier)
        writer.phase("report", message="what is written")
        scores, frame = score_replies(classifier, replies, training)
        writer.write_frame(RunFile.REPLIES, frame)
        metrics["test"]["generation"] = scores
        metrics["hierarchy"]["parts"] = list(replies.parts)
    return metrics


def replies_to(training: HierarchyTraining) -> Replies | None:
    """The replies to learn, None if there are none; the log says which are cut."""
    corpus, settings = training.corpus, training.settings
    if not corpus.columns.written:
        return None
    base = load_untuned(settings)
    end = spelled_names(training.levels.tree, base).end
    replies = replies_of(corpus, base, settings.hierarchy, end=end)
    if replies.n_cut:
        training.writer.note(
            f"{replies.n_cut:,} of {len(replies.tokens):,} rows have a reply or a "
            f"thought of more than {replies.length} tokens; only its start is learned."
        )
    return replies


def write_classifier(
    classifier: HierarchicalClassifier, read: LevelReadings, training: HierarchyTraining
) -> None:
    """Write the classifier, the neurons of its finest head and all predictions."""
    writer, settings = training.writer, training.settings
    wanted = set(SparsifyThenClassify().get_params()) - {"backbone"}
    classifier.save(
        writer.folder / "model", params=settings.model_dump(mode="json", include=wanted)
    )
    writer.write_frame(RunFile.NEURONS, neuron_table(classifier.head_))

    def frames():
        start, groups = 0, training.levels.tasks[0].groups
        for finest in logit_blocks(read.finest, classifier.head_, groups):
            rows = np.arange(start, start := start + len(finest))
            logits = [*(of_level[rows] for of_level in read.coarse), finest]
            yield prediction_frame(
                classifier, descend(classifier.tree_, logits), training, rows
            )

    writer.write_frames(RunFile.PREDICTIONS, frames())


def prediction_frame(
    classifier: HierarchicalClassifier,
    way: Descent,
    training: HierarchyTraining,
    rows: Int[np.ndarray, " some"],
) -> pd.DataFrame:
    """The predictions of some rows, with columns for the coarser levels."""
    classes = classifier.classes_.astype(object)
    predicted, chances = classes[way.nodes[:, -1]], way.probabilities()
    label = finest_labels(training, rows)
    frame = {
        "row": rows,
        "split": training.corpus.frame["split"].to_numpy()[rows],
        "label": label,
        "predicted": predicted,
        "probability": chances[:, -1],
        "correct": predicted == label,
    }
    for level in range(training.levels.depth):
        names = np.array(classifier.tree_.labels[level], dtype=object)
        frame[f"predicted_{level + 1}"] = names[way.nodes[:, level]]
        frame[f"probability_{level + 1}"] = chances[:, level]
    names = [f"p:{name}" for name in classes]
    shares = way.shares[-1].astype(np.float32)
    each = pd.DataFrame(shares, columns=pd.Index(names))
    return pd.concat([pd.DataFrame(frame), each], axis=1)


def finest_labels(
    training: HierarchyTraining, rows: Int[np.ndarray, " some"]
) -> np.ndarray:
    """The name of each row's finest node, or its label if the path is not known."""
    levels = training.levels
    names = np.array(levels.tree.names(levels.depth - 1), dtype=object)
    codes = levels.codes[rows, -1]
    return np.where(
        codes >= 0, names[codes], training.corpus.labels[rows].astype(object)
    )


def level_metrics(
    classifier: HierarchicalClassifier,
    training: HierarchyTraining,
    way_of: Callable[[Int[np.ndarray, " some"]], Descent],
) -> dict[str, Any]:
    """Scores on test rows, for each level and for whole paths, and on validation
    rows."""
    levels, corpus = training.levels, training.corpus
    rows = corpus.rows("test")
    way = way_of(rows)
    true = levels.codes[rows]
    ours = path_scores(levels, true, way.nodes)
    del ours["detail"]
    known = true[:, -1] >= 0
    leaf, shares = true[known, -1], way.shares[-1][known]
    held = levels.tasks[0].validation
    guess = way_of(held).nodes[:, -1]
    y = levels.codes[held, -1]
    return {
        "classes": [str(name) for name in classifier.classes_],
        "test": {
            **ours,
            "n": len(rows),
            "ece": expected_calibration_error(leaf, shares),
            "log_loss": log_loss(leaf, shares),
            "levels": _level_scores(training, way, rows),
        },
        "validation": {
            "accuracy": accuracy(y, guess),
            "macro_f1": macro_f1(y, guess),
            "n": len(held),
        },
    }


def _level_scores(
    training: HierarchyTraining, way: Descent, rows: Int[np.ndarray, " some"]
) -> list[dict[str, Any]]:
    """Accuracy and macro-F1 of the labels of each level, coarse to fine."""
    found, known = [], level_names(training.corpus.columns)
    for level, column in enumerate(training.levels.columns):
        names = np.array(training.levels.tree.labels[level])
        true = training.corpus.frame[known[level]].to_numpy(dtype=str)[rows]
        guess = names[way.nodes[:, level]]
        found.append(
            {
                "column": column,
                "accuracy": accuracy(true, guess),
                "macro_f1": macro_f1(true, guess),
            }
        )
    return found


def _facts(
    classifier: HierarchicalClassifier,
    found: TrainedHierarchy,
    plan: LevelPlan,
    levels: Levels,
    before: RunMetrics,
) -> dict[str, Any]:
    """What the classifier reads and what it costs, in total and for each level."""
    backbone = classifier.backbone_
    history, top = found.history, plan.layers[-1]
    return {
        "recipe": "hierarchy",
        "layers": {**before["layers"], "used": top},
        "chosen": {"layers": ", ".join(map(str, plan.layers))},
        "cost": cost_at(before, backbone, top),
        "seconds": seconds_with(before, tune=history.seconds),
        "backbone": {**before["backbone"], "tuned": backbone.identity},
        "hierarchy": {
            "heads": "class",
            "columns": list(levels.columns),
            "layers": list(plan.layers),
            "tuned": list(plan.tuned),
            "weights": list(plan.weights),
            "sizes": list(levels.tree.sizes),
            "flops_per_token": [backbone.flops_per_token(n) for n in plan.layers],
            "trainable": found.n_trainable,
            "epochs": history.epochs[-1].epoch,
        },
    }


CODE = RecipeCode(
    (check_hierarchy, train_sparse, stop_if_interrupted, tune_hierarchy),
    check=check_level_blocks,
)
