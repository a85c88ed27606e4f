"""The recipe `existing` after its frozen half: a model with its own head answers.

Nothing of the model is trained. The frozen half finds what its layers know about the
labels of the table; the head's own answers then take the place of the sparse ones.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from stc_core.activations.groups import shared_progress
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.classifiers.pretrained.own_labels import LabelMatch, match_labels
from stc_core.classifiers.pretrained.sequence_classifier import SequenceClassifier
from stc_core.classifiers.pretrained.sequence_model import SequenceModel, has_own_head
from stc_core.config import RunConfig, TrainConfig
from stc_core.data.texts import Texts
from stc_core.recipes.ending import (
    corpus_of_run,
    cost_at,
    finish_tuned,
    seconds_with,
    sparse_half,
)
from stc_core.recipes.leads import answers_of, with_leads
from stc_core.recipes.planning.tuning_time import reading_seconds
from stc_core.recipes.registry import RecipeCode
from stc_core.recipes.results import evaluate, task_of
from stc_core.recipes.sparse import read_run_table, stop_if_interrupted, train_sparse
from stc_core.recipes.tables import prediction_frames
from stc_core.runs.layout import SPARSE, RunFile
from stc_core.runs.run import Run
from stc_core.runs.stages import RunStage
from stc_core.runs.writer import RunWriter
from stc_core.tuning.session import absolute_name
from stc_core.types import Progress, silent

_SPARSE = (RunFile.NEURONS, RunFile.ACTIVATIONS, *SPARSE)
"""Files of the sparse half that a run of an existing classifier does not have."""
SEEN = (
    "The scores are those of the model's own head. If the model was trained on rows of "
    "this table, they are too good."
)


def check_existing(config: RunConfig, writer: RunWriter) -> None:
    """The first step: refuse a model without a head, or with other labels, before any
    work."""
    if RunStage.SPARSE in writer.stages:
        return
    writer.phase("read", message=config.data.path)
    corpus = read_run_table(config)
    writer.phase("load", message=config.train.backbone)
    model = load_with_head(config.train, progress=writer.progress)
    match = match_labels(model.labels, corpus.classes, config.train.own_labels)
    if match.left_out:
        writer.note(left_out_note(match))
    writer.note(SEEN)


def check_has_head(settings: TrainConfig, backbone: Backbone) -> None:
    """Raise StcError if this backbone has no head of its own."""
    if not has_own_head(settings.backbone):
        load_with_head(settings)  # it says what is missing


def answer_existing(config: RunConfig, writer: RunWriter) -> None:
    """The last step: replace the sparse classifier by the model with its own head."""
    settings, run = config.train, Run(writer.folder)
    before, corpus = sparse_half(writer).metrics, corpus_of_run(run)
    task, began = task_of(corpus, settings), writer.total_seconds
    writer.phase("report", message=f"own head: {len(corpus.texts):,} texts")
    model = load_with_head(settings)
    match = match_labels(model.labels, task.classes, settings.own_labels)
    classifier = SequenceClassifier(model, match)
    logits = _logits(classifier, corpus.texts, task.groups, progress=writer.progress)
    wanted = set(SparsifyThenClassify().get_params()) - {"backbone"}
    params = settings.model_dump(mode="json", include=wanted)
    classifier.save(writer.folder / "model", params=params)
    names = tuple(str(name) for name in classifier.classes_)
    frames = prediction_frames(corpus, names, logits)
    writer.write_frames(RunFile.PREDICTIONS, frames)
    test, held = corpus.rows("test"), task.validation
    after = {**before, **evaluate(corpus, task, held, logits[held], logits[test])}
    backbone = model.backbone
    n = backbone.d_model
    after |= {
        "recipe": "existing",
        "own_head": {"labels": match.pairs, "left_out": list(match.left_out)},
        "neurons": {**before["neurons"], "selected": n, "unique": n},
        "layers": {**before["layers"], "used": backbone.n_layers},
        "chosen": {},
        "cost": cost_at(before, backbone, backbone.n_layers),
        "seconds": seconds_with(before, own_head=writer.total_seconds - began),
    }
    y, ours = task.codes[test], logits[test].argmax(axis=1)
    others = {"stc": before["test"], **before["baselines"]}
    answers, n_class = answers_of(run), len(task.classes)
    after["baselines"] = with_leads(others, answers, y, ours, n_class=n_class)
    finish_tuned(writer, after, gone=_SPARSE)


def _logits(
    classifier: SequenceClassifier,
    texts: Texts,
    groups: Sequence[Int[np.ndarray, " _"]],
    *,
    progress: Progress,
) -> Float[np.ndarray, "n n_class"]:
    """The logits of all rows. Test rows, which are a group, are read apart.

    The last bits of a row depend on the rows that are read together with it.
    """
    shares = shared_progress(progress, list(map(len, groups)))
    parts = [
        classifier.logits(list(texts.at(rows)), progress=share)
        for rows, share in zip(groups, shares, strict=True)
    ]
    return np.concatenate(parts)[np.argsort(np.concatenate(groups))]


def load_with_head(
    settings: TrainConfig, *, progress: Progress = silent
) -> SequenceModel:
    """The model that the settings name, with its own head."""
    return SequenceModel.load(
        absolute_name(settings.backbone),
        device=settings.device,
        dtype=settings.dtype,
        max_length=settings.max_length,
        progress=progress,
    )


def left_out_note(match: LabelMatch) -> str:
    """The sentence about labels of the head that the table does not have."""
    names = ", ".join(map(repr, match.left_out))
    return (
        f"The model's own head also knows {names}. The table does not, so these labels "
        "are left out of its answers."
    )


CODE = RecipeCode(
    (check_existing, train_sparse, stop_if_interrupted, answer_existing),
    check=check_has_head,
    tuning_seconds=reading_seconds,
)
