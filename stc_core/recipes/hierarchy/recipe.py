"""The recipe `hierarchy` after its frozen half: levels of labels, coarse to fine."""

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from torch import nn

from stc_core.activations.extract import extract
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.classifiers.hierarchical import HierarchicalClassifier
from stc_core.classifiers.label_tree import Descent, descend
from stc_core.classifiers.replying import ReplyingClassifier
from stc_core.classifiers.spelling import spelled_names
from stc_core.config import RunConfig, TrainConfig
from stc_core.data.checks import level_names
from stc_core.data.corpus import Corpus, read_table, resolve_columns
from stc_core.errors import StcError
from stc_core.metrics.scores import (
    accuracy,
    expected_calibration_error,
    log_loss,
    macro_f1,
)
from stc_core.probes.variability import states_of
from stc_core.recipes.hierarchy.baselines import path_scores, rivals
from stc_core.recipes.hierarchy.class_heads import (
    LevelReadings,
    finalise_hierarchy,
    read_levels,
    train_class_heads,
)
from stc_core.recipes.hierarchy.layer_probes import LevelProbe, climb, rung_table
from stc_core.recipes.hierarchy.levels import Levels, check_levels, levels_of
from stc_core.recipes.hierarchy.replies import Replies, replies_of
from stc_core.recipes.hierarchy.reply_scores import generated
from stc_core.recipes.hierarchy.training import (
    HierarchyTraining,
    Plan,
    TrainedHierarchy,
    plan_levels,
)
from stc_core.recipes.hierarchy.word_heads import train_word_heads
from stc_core.recipes.hierarchy.word_module import copied_word_head
from stc_core.recipes.tables import neuron_table
from stc_core.runs import layout
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.tuning.session import CHECKPOINTS, load_untuned

RUNGS, WRITTEN = "levels.parquet", "replies.parquet"
_HEAD_ROWS = 2000


def check_hierarchy(config: RunConfig, writer: RunWriter) -> None:
    """The first step: refuse a table without levels before any work.

    And a backbone that cannot write a reply, where one is wanted.
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


def hierarchical(config: RunConfig, writer: RunWriter) -> None:
    """The last step: puts the tuned cascade in the place of the sparse classifier."""
    settings, run = config.train, Run(writer.folder)
    before, report = frozen_half(run.metrics), run.report
    corpus = Corpus(run.corpus, report.columns, report)
    levels = levels_of(corpus, settings.class_weight)
    course = HierarchyTraining(corpus, levels, settings, writer)
    writer.phase("tune", message="which layer answers which level")
    base = load_untuned(settings)
    store = extract(
        base, corpus.texts, states_of(base), store_dtype=settings.store_dtype
    )
    rungs = climb(base, store, levels, corpus.rows("test"))
    parts = tuple(report.columns.written)
    plan = plan_levels(base, rungs, levels, settings, above=len(parts))
    table = rung_table(rungs, levels, base, store, layers=plan.layers)
    writer.write_frame(RUNGS, table)
    del base
    for name in layout.SPARSE:
        (writer.folder / name).unlink(missing_ok=True)
    places = ", ".join(
        f"{column} at layer {layer}"
        for column, layer in zip((*levels.columns, *parts), plan.layers, strict=True)
    )
    writer.phase("tune", message=places)
    head = first_words(settings)
    if head is None:
        metrics = by_classes(course, plan, rungs, before)
    else:
        metrics = by_words(course, plan, head, before)
    baselines = {**before["baselines"]}
    metrics["baselines"] = baselines
    writer.write_json("metrics.json", metrics)
    true = levels.codes[corpus.rows("test")]
    for name, (nodes, said, seconds) in rivals(course, plan, rungs, head).items():
        scores = path_scores(levels, true, nodes, seed=settings.seed, detail=said)
        baselines[name] = {**scores, "seconds": seconds}
    order = ("flat", "separate", "inner_probe", *before["baselines"])
    metrics["baselines"] = {
        name: baselines[name] for name in order if name in baselines
    }
    # The models of "separate" are that of "flat" and more.
    most = "separate" if "separate" in baselines else "flat"
    metrics["seconds"]["total"] += baselines[most]["seconds"]
    writer.write_json("metrics.json", metrics)
    shutil.rmtree(writer.folder / CHECKPOINTS)


def frozen_half(metrics: dict[str, Any]) -> dict[str, Any]:
    """The metrics of the sparse classifier, itself among the baselines.

    Of a run that was cut off among the last baselines they are taken back from what
    was written then.
    """
    known = metrics["baselines"]
    if "hierarchy" not in metrics:
        return {**metrics, "baselines": {**known, "stc": metrics["test"]}}
    seconds = {**metrics["seconds"]}
    seconds["total"] -= seconds.pop("tune")
    return {**metrics, "seconds": seconds, "baselines": known}


def first_words(settings: TrainConfig) -> nn.Module | None:
    """The word head that every level begins with; None for class heads."""
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


def by_classes(
    course: HierarchyTraining,
    plan: Plan,
    rungs: Sequence[Sequence[LevelProbe]],
    before: dict[str, Any],
) -> dict[str, Any]:
    """Tunes class heads and writes what came of it; its metrics, without baselines."""
    levels = course.levels
    found = train_class_heads(course, plan, rungs)
    course.writer.phase("report", message="the tuned classifier")
    cascade, read, temperatures = finalise_hierarchy(
        found, read_levels(found, course), levels
    )
    write_cascade(cascade, read, course)

    def way(rows: Int[np.ndarray, " some"]) -> Descent:
        return descend(levels.tree, read.logits(cascade.heads_, rows))

    metrics = {**before, **evaluated(cascade, course, way)}
    metrics |= _facts(cascade, found, plan, levels, before)
    width = len(cascade.head_.features)
    metrics["neurons"] = {**before["neurons"], "selected": width, "unique": width}
    metrics["hierarchy"]["temperatures"] = temperatures
    return metrics


def by_words(
    course: HierarchyTraining, plan: Plan, head: nn.Module, before: dict[str, Any]
) -> dict[str, Any]:
    """The same for word heads; neurons stay those of the sparse classifier."""
    writer, settings = course.writer, course.settings
    replies = replies_to(course)
    found, lexicon = train_word_heads(course, plan, head, replies)
    writer.phase("report", message="the tuned classifier")
    lexicon.save(writer.folder / "model", params={})
    texts = list(course.corpus.texts)
    every = lexicon.answer(texts, progress=writer.progress)
    frame = prediction_frame(lexicon, every, course, np.arange(len(texts)))
    writer.write_frame("predictions.parquet", frame)

    def way(rows: Int[np.ndarray, " some"]) -> Descent:
        return Descent(every.nodes[rows], tuple(share[rows] for share in every.shares))

    metrics = {**before, **evaluated(lexicon, course, way)}
    metrics |= _facts(lexicon, found, plan, course.levels, before)
    wish = settings.hierarchy
    metrics["hierarchy"] |= {"heads": "words", "tied": wish.tied, "norm": wish.norm}
    if replies is not None:
        assert isinstance(lexicon, ReplyingClassifier), type(lexicon)
        writer.phase("report", message="what is written")
        scores, frame = generated(lexicon, replies, course)
        writer.write_frame(WRITTEN, frame)
        metrics["test"]["generation"] = scores
        metrics["hierarchy"]["parts"] = list(replies.parts)
    return metrics


def replies_to(course: HierarchyTraining) -> Replies | None:
    """What is to be written after the labels, if anything; the log says what is cut."""
    corpus, settings = course.corpus, course.settings
    if not corpus.columns.written:
        return None
    base = load_untuned(settings)
    end = spelled_names(course.levels.tree, base).end
    replies = replies_of(corpus, base, settings.hierarchy, end=end)
    if replies.n_cut:
        course.writer.note(
            f"{replies.n_cut:,} of {len(replies.tokens):,} rows have a reply or a "
            f"thought of more than {replies.length} tokens; only its start is learned."
        )
    return replies


def write_cascade(
    cascade: HierarchicalClassifier, read: LevelReadings, course: HierarchyTraining
) -> None:
    """The classifier, its finest neurons and what it says of every row."""
    writer, settings = course.writer, course.settings
    wanted = set(SparsifyThenClassify().get_params()) - {"backbone"}
    cascade.save(
        writer.folder / "model", params=settings.model_dump(mode="json", include=wanted)
    )
    writer.write_frame("neurons.parquet", neuron_table(cascade.head_))

    def frames():
        for part, X in read.finest.blocks():
            logits = [*(rows[part] for rows in read.coarse), cascade.head_.logits(X)]
            rows = np.arange(part.start, part.stop)
            yield prediction_frame(
                cascade, descend(cascade.tree_, logits), course, rows
            )

    writer.write_frames("predictions.parquet", frames())


def prediction_frame(
    cascade: HierarchicalClassifier,
    way: Descent,
    course: HierarchyTraining,
    rows: Int[np.ndarray, " some"],
) -> pd.DataFrame:
    """What every run says of its rows, and before it the coarser levels."""
    classes = cascade.classes_.astype(object)
    predicted, chances = classes[way.nodes[:, -1]], way.probabilities()
    label = finest_labels(course, rows)
    frame = {
        "row": rows,
        "split": course.corpus.frame["split"].to_numpy()[rows],
        "label": label,
        "predicted": predicted,
        "probability": chances[:, -1],
        "correct": predicted == label,
    }
    for level in range(course.levels.depth):
        names = np.array(cascade.tree_.labels[level], dtype=object)
        frame[f"predicted_{level + 1}"] = names[way.nodes[:, level]]
        frame[f"probability_{level + 1}"] = chances[:, level]
    names = [f"p:{name}" for name in classes]
    shares = way.shares[-1].astype(np.float32)
    each = pd.DataFrame(shares, columns=pd.Index(names))
    return pd.concat([pd.DataFrame(frame), each], axis=1)


def finest_labels(
    course: HierarchyTraining, rows: Int[np.ndarray, " some"]
) -> np.ndarray:
    """The name of each row's finest node; its label where the path is not known."""
    levels = course.levels
    names = np.array(levels.tree.names(levels.depth - 1), dtype=object)
    codes = levels.codes[rows, -1]
    return np.where(codes >= 0, names[codes], course.corpus.labels[rows].astype(object))


def evaluated(
    cascade: HierarchicalClassifier,
    course: HierarchyTraining,
    way_of: Callable[[Int[np.ndarray, " some"]], Descent],
) -> dict[str, Any]:
    """Scores on the test rows, level by level and of whole paths, and on validation."""
    levels, corpus, seed = course.levels, course.corpus, course.settings.seed
    rows = corpus.rows("test")
    way = way_of(rows)
    true = levels.codes[rows]
    ours = path_scores(levels, true, way.nodes, seed=seed)
    del ours["detail"]
    known = true[:, -1] >= 0
    leaf, shares = true[known, -1], way.shares[-1][known]
    held = levels.tasks[0].validation
    guess = way_of(held).nodes[:, -1]
    y = levels.codes[held, -1]
    return {
        "classes": [str(name) for name in cascade.classes_],
        "test": {
            **ours,
            "n": len(rows),
            "ece": expected_calibration_error(leaf, shares),
            "log_loss": log_loss(leaf, shares),
            "levels": _level_scores(course, way, rows),
        },
        "validation": {
            "accuracy": accuracy(y, guess),
            "macro_f1": macro_f1(y, guess),
            "n": len(held),
        },
    }


def _level_scores(
    course: HierarchyTraining, way: Descent, rows: Int[np.ndarray, " some"]
) -> list[dict[str, Any]]:
    """Accuracy and macro-F1 of the labels of each level, coarse to fine."""
    found, known = [], level_names(course.corpus.columns)
    for level, column in enumerate(course.levels.columns):
        names = np.array(course.levels.tree.labels[level])
        true = course.corpus.frame[known[level]].to_numpy(dtype=str)[rows]
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
    cascade: HierarchicalClassifier,
    found: TrainedHierarchy,
    plan: Plan,
    levels: Levels,
    before: dict[str, Any],
) -> dict[str, Any]:
    """What the classifier is made of and what it costs, by level too."""
    backbone = cascade.backbone_
    history, top = found.history, plan.layers[-1]
    seconds = {**before["seconds"], "tune": history.seconds}
    seconds["total"] = before["seconds"]["total"] + history.seconds
    return {
        "recipe": "hierarchy",
        "layers": {**before["layers"], "used": top},
        "chosen": {"layers": ", ".join(map(str, plan.layers))},
        "cost": {
            **before["cost"],
            "parameters": backbone.parameters(top),
            "flops_per_token": backbone.flops_per_token(top),
        },
        "seconds": seconds,
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
