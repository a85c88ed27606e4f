"""The tables of a run folder, each from fitted results by a pure function."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from stc_core.backbone.backbone import Backbone
from stc_core.data.corpus import Corpus
from stc_core.data.task import Task
from stc_core.heads.head import SparseHead, softmax
from stc_core.metrics.intervals import accuracy_interval
from stc_core.metrics.scores import accuracy, macro_f1
from stc_core.probes.fit import ProbeResult
from stc_core.runs.run_frames import ProbeGuesses
from stc_core.selection.stc import Fitted
from stc_core.types import Site

_CHUNK = 4096


def probe_table(probes: Sequence[ProbeResult], task: Task) -> pd.DataFrame:
    """A row for each (site, pooling, C): validation scores, nonzeros, certified gap."""
    n, rows = len(task.validation), []
    for probe in probes:
        site, pooling = probe.pooled_site
        for i, C in enumerate(probe.path.Cs):
            low, high = accuracy_interval(probe.val_accuracy[i], n)
            rows.append(
                {
                    **_site_columns(site),
                    "pooling": pooling,
                    "C": float(C),
                    "accuracy": float(probe.val_accuracy[i]),
                    "macro_f1": float(probe.val_macro_f1[i]),
                    "accuracy_low": low,
                    "accuracy_high": high,
                    "n": n,
                    "nonzeros": int(probe.path.nonzeros[i]),
                    "gap": float(probe.path.gap[i]),
                    "kkt": float(probe.path.kkt[i]),
                    "best": i == probe.best,
                }
            )
    return pd.DataFrame(rows)


def probe_guesses(probes: Sequence[ProbeResult], task: Task) -> ProbeGuesses:
    """What each probe of `probe_table` says of the validation rows, in its order."""
    predicted = np.concatenate([probe.val_guesses for probe in probes])
    return ProbeGuesses(task.codes[task.validation], predicted)


def neuron_table(head: SparseHead) -> pd.DataFrame:
    """A row for each kept neuron; `weight:<class>` is the change of the logit for one
    sd."""
    frame = pd.DataFrame(
        [
            {**_site_columns(f.site), "index": f.index, "pooling": f.pooling}
            for f in head.features
        ]
    )
    frame.insert(0, "neuron", np.arange(len(frame)))
    frame["importance"] = head.importance
    frame["mean"], frame["sd"] = head.mean, head.sd
    frame = frame.assign(**head.range)
    names = [f"weight:{name}" for name in head.classes]
    return pd.concat([frame, pd.DataFrame(head.weight.T, columns=names)], axis=1)


def curve_table(fitted: Fitted, backbone: Backbone) -> pd.DataFrame:
    """A row for each classifier that was considered: neurons, layer, scores and
    cost."""
    n = len(fitted.held)
    chosen = {
        "neurons": len(fitted.head.features),
        "depth": fitted.head.layer,
    }
    rows = []
    for point in fitted.points:
        low, high = accuracy_interval(point.accuracy, n)
        x = point.neurons if point.curve == "neurons" else point.layer
        rows.append(
            {
                "curve": point.curve,
                "x": x,
                "neurons": point.neurons,
                "layer": point.layer,
                "accuracy": point.accuracy,
                "macro_f1": point.macro_f1,
                "accuracy_low": low,
                "accuracy_high": high,
                "n": n,
                **_shares(backbone, point.layer),
                "chosen": x == chosen[point.curve],
            }
        )
    return pd.DataFrame(rows)


def frontier_table(
    fitted: Fitted,
    backbone: Backbone,
    seconds: Mapping[int, float],
    *,
    y_test: Int[np.ndarray, " n_test"],
    n: int,
) -> pd.DataFrame:
    """A row for each option: scores on `n` held rows and on test rows, and cost.

    `deepest` is the highest layer that is read and decides the cost; `seconds` maps it
    to the seconds of a text. Test scores are reported and choose nothing.
    """
    rows = []
    for option in fitted.options:
        low, high = accuracy_interval(option.accuracy, n)
        right = accuracy(y_test, option.guess)
        test_low, test_high = accuracy_interval(right, len(y_test))
        rows.append(
            {
                **{k: v for k, v in option._asdict().items() if k != "guess"},
                "accuracy_low": low,
                "accuracy_high": high,
                "n": n,
                "test_accuracy": right,
                "test_accuracy_low": test_low,
                "test_accuracy_high": test_high,
                "test_macro_f1": macro_f1(y_test, option.guess),
                "n_test": len(y_test),
                "parameters": backbone.parameters(option.deepest),
                "flops_per_token": backbone.flops_per_token(option.deepest),
                **_shares(backbone, option.deepest),
                "ms_per_text": 1000 * seconds[option.deepest],
                "chosen": option is fitted.option,
            }
        )
    return pd.DataFrame(rows)


def prediction_table(
    corpus: Corpus,
    classes: Sequence[str],
    probabilities: Float[np.ndarray, "n n_class"],
) -> pd.DataFrame:
    """A row for each corpus row: split, label, prediction, probability of each class.

    The classes are those of the whole corpus, even if `corpus` has some rows only.
    The rows that judged the choices have the answers of heads that had not seen them;
    the writer marks them as `held`.
    """
    predicted = np.array(classes, dtype=object)[probabilities.argmax(axis=1)]
    frame = pd.DataFrame(
        {
            "row": np.arange(len(probabilities)),
            "split": corpus.frame["split"].to_numpy(),
            "label": corpus.labels,
            "predicted": predicted,
            "probability": probabilities.max(axis=1),
            "correct": predicted == corpus.labels,
        }
    )
    names = [f"p:{name}" for name in classes]
    each = pd.DataFrame(probabilities.astype(np.float32), columns=names)
    return pd.concat([frame, each], axis=1)


def prediction_frames(
    corpus: Corpus, classes: Sequence[str], logits: Float[np.ndarray, "n n_class"]
) -> Iterator[pd.DataFrame]:
    """The predictions of all rows from their logits, a frame for each chunk of rows."""
    for start in range(0, len(logits), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(logits)))
        table = prediction_table(corpus.take(rows), classes, softmax(logits[rows]))
        yield table.assign(row=rows)


def level_scores(
    corpus: Corpus,
    rows: Int[np.ndarray, " some"],
    predicted: Shaped[np.ndarray, " some"],
) -> list[dict[str, Any]]:
    """Scores of each level of labels on some rows, coarse to fine.

    Only the finest level is trained; a coarser answer is the parent of the finest.
    """
    scores = []
    for column, (level, parent) in zip(
        corpus.columns.labels, corpus.parents.items(), strict=False
    ):
        true = corpus.frame[level].to_numpy(dtype=str)[rows]
        guess = np.array([parent[str(label)] for label in predicted], dtype=str)
        scores.append(_level(column, true, guess))
    fine = _level(corpus.columns.labels[-1], corpus.labels[rows], predicted)
    return [*scores, fine]


def _level(column: str, true: np.ndarray, guess: np.ndarray) -> dict[str, Any]:
    return {
        "column": column,
        "accuracy": accuracy(true, guess),
        "macro_f1": macro_f1(true, guess),
    }


def _site_columns(site: Site) -> dict[str, Any]:
    return {"site": str(site), "kind": site.kind, "layer": site.layer}


def _shares(backbone: Backbone, layer: int) -> dict[str, float]:
    return {
        "parameters_share": backbone.parameters(layer) / backbone.parameters(),
        "flops_share": backbone.flops_per_token(layer)
        / max(backbone.flops_per_token(), 1),
    }
