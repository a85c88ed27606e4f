"""A decoder that spells each level of labels: tuned, scored and written to its run."""

from typing import Any

import numpy as np
from torch import nn

from stc_core.activations.groups import extract_groups
from stc_core.classifiers.label_tree import Descent
from stc_core.classifiers.replying import ReplyingClassifier
from stc_core.classifiers.spelling import spelled_names
from stc_core.config import TrainConfig
from stc_core.errors import StcError
from stc_core.probes.variability import mean_state_sites
from stc_core.recipes.ending import cost_at, seconds_with
from stc_core.recipes.hierarchy.baselines import LevelGuess, level_baselines
from stc_core.recipes.hierarchy.layer_probes import (
    LevelProbe,
    level_nu,
    level_probe_table,
    probe_levels,
)
from stc_core.recipes.hierarchy.replies import Replies, replies_of
from stc_core.recipes.hierarchy.reply_scores import score_replies
from stc_core.recipes.hierarchy.results import level_metrics, prediction_frame
from stc_core.recipes.hierarchy.training import (
    HierarchyTraining,
    LevelPlan,
    plan_levels,
)
from stc_core.recipes.hierarchy.word_heads import answer_rows, train_word_heads
from stc_core.recipes.hierarchy.word_module import copied_word_head
from stc_core.runs.layout import RunFile
from stc_core.runs.metrics import RunMetrics
from stc_core.tuning.session import load_untuned


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


def fit_word_levels(
    training: HierarchyTraining, head: nn.Module, before: RunMetrics
) -> tuple[dict[str, Any], dict[str, LevelGuess], Descent]:
    """Tune a decoder to spell the levels; give its metrics, baselines and answers.

    Second come the baselines, third the answers to the test rows. The classifier is
    written before the baselines are tuned.
    """
    plan, probes = word_plan(training)
    metrics, way = word_head_metrics(training, plan, head, before)
    baselines: dict[str, Any] = {**before["baselines"]}
    training.writer.write_metrics({**metrics, "baselines": baselines})
    return metrics, level_baselines(training, plan, probes, head), way


def word_plan(
    training: HierarchyTraining,
) -> tuple[LevelPlan, list[list[LevelProbe]]]:
    """The layer of each level by probes of the frozen model, which are written."""
    corpus, levels, settings, writer = training
    writer.phase("tune", message="which layer answers which level")
    base = load_untuned(settings)
    states = mean_state_sites(base)
    store = extract_groups(
        base,
        corpus.texts,
        levels.tasks[0].groups,
        wanted=states,
        store_dtype=settings.store_dtype,
    )
    probes = probe_levels(base, store, levels, corpus.rows("test"))
    parts = tuple(corpus.columns.written)
    plan = plan_levels(base, probes, levels, settings, above=len(parts))
    table = level_probe_table(
        probes,
        levels,
        n=len(levels.tasks[0].validation),
        nu=level_nu(store.read, levels.tasks, base, states),
        layers=plan.layers,
    )
    writer.write_frame(RunFile.LEVELS, table)
    places = zip((*levels.columns, *parts), plan.layers, strict=True)
    said = ", ".join(f"{column} at layer {layer}" for column, layer in places)
    writer.phase("tune", message=said)
    return plan, probes


def word_head_metrics(
    training: HierarchyTraining, plan: LevelPlan, head: nn.Module, before: RunMetrics
) -> tuple[dict[str, Any], Descent]:
    """Tune, write the classifier, and give its metrics without baselines.

    Second come its answers to the test rows. The run keeps the neurons of the sparse
    classifier.
    """
    writer, settings, levels = training.writer, training.settings, training.levels
    replies = replies_to(training)
    found, classifier = train_word_heads(training, plan, head, replies)
    writer.phase("report", message="the tuned classifier")
    classifier.save(writer.folder / "model", params={})
    every = answer_rows(classifier, training)
    frame = prediction_frame(classifier, every, training, np.arange(len(every.nodes)))
    writer.write_frame(RunFile.PREDICTIONS, frame)
    test, held = training.corpus.rows("test"), levels.tasks[0].validation
    way = Descent(every.nodes[test], tuple(share[test] for share in every.shares))
    guess = every.nodes[held, -1]
    metrics = {**before, **level_metrics(classifier, training, way, (held, guess))}
    backbone, history, wish = classifier.backbone_, found.history, settings.hierarchy
    top = plan.layers[-1]
    metrics |= {
        "recipe": "hierarchy",
        "layers": {**before["layers"], "used": top},
        "chosen": {"layers": ", ".join(map(str, plan.layers))},
        "cost": cost_at(before, backbone, top),
        "seconds": seconds_with(before, tune=history.seconds),
        "backbone": {**before["backbone"], "tuned": backbone.identity},
        "hierarchy": {
            "heads": "words",
            "columns": list(levels.columns),
            "layers": list(plan.layers),
            "tuned": list(plan.tuned),
            "weights": list(plan.weights),
            "sizes": list(levels.tree.sizes),
            "flops_per_token": [backbone.flops_per_token(n) for n in plan.layers],
            "trainable": found.n_trainable,
            "epochs": history.epochs[-1].epoch,
            "tied": wish.tied,
            "norm": wish.norm,
        },
    }
    if replies is not None:
        assert isinstance(classifier, ReplyingClassifier), type(classifier)
        writer.phase("report", message="what is written")
        scores, frame = score_replies(classifier, replies, training)
        writer.write_frame(RunFile.REPLIES, frame)
        metrics["test"]["generation"] = scores
        metrics["hierarchy"]["parts"] = list(replies.parts)
    return metrics, way


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
