"""The replies that a decoder writes for test rows, and their scores."""

import time
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from stc_core.classifiers.replying import ReplyingClassifier, Written
from stc_core.frames import series
from stc_core.metrics.text import bleu_2, distinct_n
from stc_core.recipes.hierarchy.replies import Replies
from stc_core.recipes.hierarchy.teacher_forcing import script_of, token_losses
from stc_core.recipes.hierarchy.training import HierarchyTraining

_MOST = 500
"""The most test rows to write for; of more a random sample is taken."""


def rows_to_write(training: HierarchyTraining) -> Int[np.ndarray, " some"]:
    """Test rows whose labels are known to the model, ascending."""
    rows = training.corpus.rows("test")
    rows = rows[training.levels.codes[rows, -1] >= 0]
    if len(rows) > _MOST:
        rng = np.random.default_rng(training.settings.seed)
        rows = np.sort(rng.choice(rows, _MOST, replace=False))
    return rows


def score_replies(
    classifier: ReplyingClassifier, replies: Replies, training: HierarchyTraining
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The scores for `test.generation` in metrics.json, and the replies, one row each.

    Perplexity is that of the true reply, given the text and the true labels (and
    thought), or given the decoded ones. `bleu_2_borrowed` scores replies drawn from
    training rows of the decoded label: a baseline that writes nothing.
    """
    rows, began = rows_to_write(training), time.monotonic()
    texts = list(training.corpus.texts.at(rows))
    written = classifier.write(texts, progress=training.writer.progress)
    frame = pd.DataFrame(
        {"row": rows, "label": classifier.classes_[written.way.nodes[:, -1]]}
    )
    for part in replies.parts:
        true = series(training.corpus.frame, part).to_numpy(dtype=object)[rows]
        frame[part] = true
        frame[f"written_{part}"] = written.parts[part]
    scores = {
        "n": len(rows),
        **perplexities(classifier, replies, training, rows, written),
        **text_scores(frame, replies.parts),
        "bleu_2_borrowed": borrow_speller(training, rows, written),
        "length": replies.length,
        "cut": replies.n_cut,
        "of": len(replies.tokens),
        "seconds": time.monotonic() - began,
    }
    return scores, frame


def text_scores(frame: pd.DataFrame, parts: tuple[str, ...]) -> dict[str, Any]:
    """BLEU-2 of each part, and the variety of written and of true replies."""
    said = {part: frame[f"written_{part}"].tolist() for part in parts}
    true = {part: frame[part].tolist() for part in parts}
    last = parts[-1]
    found = {"bleu_2": bleu_2(said[last], true[last])}
    for part in parts[:-1]:
        found[f"bleu_2_{part}"] = bleu_2(said[part], true[part])
    for n in (1, 2):
        found[f"distinct_{n}"] = distinct_n(said[last], n)
        found[f"distinct_{n}_true"] = distinct_n(true[last], n)
    return found


def perplexities(
    classifier: ReplyingClassifier,
    replies: Replies,
    training: HierarchyTraining,
    rows: Int[np.ndarray, " some"],
    written: Written,
) -> dict[str, float]:
    """Perplexities of the true replies, after true labels and after decoded labels."""
    speller, true = classifier.speller_, training.levels.codes[rows, -1]
    end = [speller.names.end]
    ids = classifier.backbone_.tokenize(list(training.corpus.texts.at(rows))).ids
    found = {}
    for name, leaves in (
        ("perplexity", true),
        ("perplexity_decoded", written.way.nodes[:, -1]),
    ):
        scripts = []
        for place, (row, leaf) in enumerate(zip(rows, leaves, strict=True)):
            tails = list(replies.tokens[row])
            if name == "perplexity_decoded":
                before = [written.tokens[part][place] for part in replies.parts[:-1]]
                tails[:-1] = [np.array([*one, *end]) for one in before]
            scripts.append(
                script_of(
                    ids[place],
                    int(leaf),
                    tails,
                    tree=classifier.tree_,
                    names=speller.names,
                )
            )
        last = len(classifier.layers_) - 1
        found[name] = token_losses(speller, scripts, last).perplexity
    return found


def borrow_speller(
    training: HierarchyTraining, rows: Int[np.ndarray, " some"], written: Written
) -> float:
    """BLEU-2 of replies of training rows, drawn among those of the decoded label."""
    rng = np.random.default_rng(training.settings.seed)
    replies = series(training.corpus.frame, "reply").to_numpy(dtype=object)
    learned = training.levels.tasks[0].train
    leaf = training.levels.codes[:, -1]
    found = []
    for node in written.way.nodes[:, -1]:
        among = learned[leaf[learned] == node]
        found.append(replies[rng.choice(among if len(among) else learned)])
    return bleu_2(found, replies[rows].tolist())
