"""What a run claims, checked by transformers, scikit-learn and scipy alone.

    python -m benches audit --rows 1500 --test-rows 500 --out RUNS

Answers: those that the run keeps, those of `predict` in batches, and texts read one by
one, against plain transformers in double precision; `dp` is the largest difference of
a probability, `flips` counts other labels. Numbers: scores and calibration computed
again from the kept predictions. Contributions: the largest error of their sum. The
bench fails if a difference is more than its `limit`.
"""

import argparse
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss

from benches.checks.oracle import PlainBert, SavedHead, answers
from benches.measure import Row
from benches.seeds import data_of, options, show_runs, trained
from stc_core.backbone.loading import hub
from stc_core.classifiers.base import BaseClassifier
from stc_core.classifiers.loading import open_classifier
from stc_core.runs.run import Run

SETS = ("trec", "sst2", "sms_spam", "banking77")
SAME_ANSWER, SAME_NUMBER, SAME_SUM = 1e-3, 1e-6, 1e-4
EXPLAINED = 40


def against(name: str, case: str, found: np.ndarray, true: np.ndarray) -> Row:
    """One row: how far the probabilities are from the true ones, and other labels."""
    flips = int((found.argmax(axis=1) != true.argmax(axis=1)).sum())
    most = float(np.abs(found - true).max())
    row = {"set": name, "case": case, "texts": len(true), "dp": f"{most:.1e}"}
    return row | {
        "flips": flips,
        "limit": SAME_ANSWER,
        "ok": most <= SAME_ANSWER and flips == 0,
    }


def kept_answers(run: Run, *, split: str) -> pd.DataFrame:
    """The predictions of a split, as the run keeps them."""
    frame = pd.read_parquet(run.folder / "predictions.parquet")
    return frame.loc[frame["split"] == split].reset_index(drop=True)


def answer_rows(name: str, run: Run, reader: BaseClassifier) -> Iterator[Row]:
    """The answers for the test texts on every way that a user may get them."""
    frame = kept_answers(run, split="test")
    rows = frame["row"].to_numpy()
    texts = [str(text) for text in run.corpus["text"].iloc[rows]]
    classes = [f"p:{label}" for label in reader.classes_]
    head, backbone = SavedHead(run.folder / "model"), reader.backbone_
    folder, length = str(hub.resolve(backbone.name)), backbone.max_length
    double = PlainBert(folder, torch.float64, length)
    true = answers(double, head, texts)
    single = PlainBert(folder, torch.float32, length)
    yield against(name, "kept in the run", frame[classes].to_numpy(), true)
    yield against(name, "predict, in batches", reader.predict_proba(texts), true)
    alone = np.concatenate([reader.predict_proba([text]) for text in texts])
    yield against(name, "predict, one by one", alone, true)
    yield against(name, "transformers, float32", answers(single, head, texts), true)


def calibration_error(P: np.ndarray, y: np.ndarray) -> float:
    """The expected calibration error over 15 bins of equal width, bin by bin."""
    sure, right = P.max(axis=1), P.argmax(axis=1) == y
    total = 0.0
    for k in range(15):
        low, high = k / 15, (k + 1) / 15
        own = (sure >= low) & ((sure < high) | (k == 14))
        if own.any():
            total += own.mean() * abs(right[own].mean() - sure[own].mean())
    return total


def number_rows(name: str, run: Run, classes: list[str]) -> Iterator[Row]:
    """The scores of test, computed again from the kept predictions."""
    frame, told = kept_answers(run, split="test"), run.metrics["test"]
    true, guess = frame["label"].astype(str), frame["predicted"].astype(str)
    P = frame[[f"p:{label}" for label in classes]].to_numpy(np.float64)
    P /= P.sum(axis=1, keepdims=True)  # the table keeps float32
    y = pd.Index(classes).get_indexer(pd.Index(true))
    again = {
        "accuracy": accuracy_score(true, guess),
        "macro_f1": f1_score(true, guess, average="macro"),
        "log_loss": log_loss(y, P, labels=range(len(classes))),
        "ece": calibration_error(P, y),
    }
    for case, value in again.items():
        off = abs(float(value) - float(told[case]))
        row = {"set": name, "case": case, "texts": len(frame), "dp": f"{off:.1e}"}
        # The run computes from logits, of which the table keeps float32.
        limit = 1e-4 if case in ("log_loss", "ece") else SAME_NUMBER
        yield row | {"limit": limit, "ok": off <= limit}


def sum_row(name: str, run: Run, reader: BaseClassifier) -> Row:
    """The contributions of neurons and of tokens, which must sum to the logits."""
    frame = kept_answers(run, split="test").head(EXPLAINED)
    worst = 0.0
    for row in frame["row"]:
        told = reader.explain(str(run.corpus["text"].iloc[row]))
        for label, logit in told["logits"].items():
            for parts in (told["neurons"], told["tokens"]):
                total = sum(part["contribution"][label] for part in parts)
                worst = max(worst, abs(total + told["bias"][label] - logit))
    row = {"set": name, "case": "sum of contributions", "texts": len(frame)}
    return row | {"dp": f"{worst:.1e}", "limit": SAME_SUM, "ok": worst <= SAME_SUM}


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    failed: list[Row] = []
    for name in SETS:
        folder = asked.out / f"audit-{name}-{asked.rows}"
        trained(folder, data_of(name, ("label",), asked), {"seed": asked.seeds[0]})
        run = Run(folder)
        reader = open_classifier(folder / "model")
        classes = [str(label) for label in reader.classes_]
        for rows in (
            answer_rows(name, run, reader),
            number_rows(name, run, classes),
            [sum_row(name, run, reader)],
        ):
            for row in rows:
                failed += [] if row["ok"] else [row]
                yield row
    if failed:
        sys.stderr.write(f"{len(failed)} checks failed:\n")
        sys.stderr.writelines(f"  {row}\n" for row in failed)
        sys.exit(1)


if __name__ == "__main__":
    show_runs(bench, options(__doc__ or "", rows=1500))
