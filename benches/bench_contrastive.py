"""Few texts of each class: ours beside contrastive tuning and the plain last layer.

    python -m benches contrastive --draws 10 --shots 8 16

Contrastive tuning is that of SetFit (arXiv 2209.11055) written out: 20 pairs of texts
of one class and 20 of two classes for each text, one epoch with the cosine loss over
all weights (AdamW, 2e-5, batches of 16 pairs), then logistic regression on the means of
the tuned model. `last layer` is the same regression on the untouched model. Each row is
the mean accuracy over the draws, with its standard deviation; the draws are the same
for all, and every one is scored on the same test texts.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import cosine_similarity, mse_loss

from benches.measure import Row
from benches.seeds import data_of, options, show_runs
from stc_core.backbone.loading import hub
from stc_core.classifiers.estimator import SparsifyThenClassify
from stc_core.config import DEFAULT_BACKBONE

SETS = ("ag_news", "sst2", "trec")
PAIRS, BATCH, RATE, LONGEST = 20, 16, 2e-5, 256
Texts = list[str]


class Embedder:
    """The default backbone with mean pooling, as transformers loads it."""

    def __init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer

        folder = str(hub.resolve(DEFAULT_BACKBONE))
        self.model = AutoModel.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def __call__(self, texts: Texts) -> torch.Tensor:
        given = self.tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=LONGEST,
            return_tensors="pt",
        )
        states = self.model(**given).last_hidden_state
        mask = given["attention_mask"][:, :, None]
        return (states * mask).sum(1) / mask.sum(1)

    @torch.no_grad()
    def vectors(self, texts: Texts) -> np.ndarray:
        """The means of many texts, the short ones together."""
        order = np.argsort([len(text) for text in texts])
        out = np.empty((len(texts), self.model.config.hidden_size), np.float32)
        for rows in np.array_split(order, max(1, len(texts) // 64)):
            out[rows] = self([texts[row] for row in rows]).numpy()
        return out


def pairs_of(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows (first, second, whether they have the same class), in random order."""
    found = []
    for row in range(len(y)):
        for same in (True, False):
            others = np.flatnonzero((y == y[row]) == same)
            drawn = rng.choice(others, PAIRS)
            found += [(row, other, same) for other in drawn]
    return rng.permutation(np.array(found))


def contrastive(train: Texts, y: np.ndarray, test: Texts, seed: int) -> np.ndarray:
    torch.manual_seed(seed)
    embed, rng = Embedder(), np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(embed.model.parameters(), RATE)
    pairs = pairs_of(y, rng)
    warm = max(1, len(pairs) // BATCH // 10)
    embed.model.train()
    for step, start in enumerate(range(0, len(pairs), BATCH)):
        first, second, same = pairs[start : start + BATCH].T
        left, right = embed([train[row] for row in (*first, *second)]).chunk(2)
        loss = mse_loss(cosine_similarity(left, right), torch.tensor(same).float())
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / warm)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    embed.model.eval()
    return regression(embed, train, y, test)


def last_layer(train: Texts, y: np.ndarray, test: Texts, seed: int) -> np.ndarray:
    return regression(Embedder(), train, y, test)


def regression(embed: Embedder, train: Texts, y: np.ndarray, test: Texts) -> np.ndarray:
    model = LogisticRegression(max_iter=1000).fit(embed.vectors(train), y)
    return np.asarray(model.predict(embed.vectors(test)))


def ours(train: Texts, y: np.ndarray, test: Texts, seed: int) -> np.ndarray:
    return np.asarray(SparsifyThenClassify(seed=seed).fit(train, y).predict(test))


RIVALS: dict[str, Callable[[Texts, np.ndarray, Texts, int], np.ndarray]] = {
    "stc": ours,
    "last layer": last_layer,
    "contrastive": contrastive,
}


def table(path: str | Path | None) -> pd.DataFrame:
    return pd.read_csv(str(path), keep_default_na=False)


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    for name in SETS:
        data = data_of(name, ("label",), asked)
        train, test = table(data.path), table(data.test_path)
        texts, true = test["text"].tolist(), np.asarray(test["label"])
        for shots in asked.shots:
            draws = [
                train.groupby("label").sample(shots, random_state=seed)
                for seed in range(asked.draws)
            ]
            for rival, answer in RIVALS.items():
                scores, start = [], time.perf_counter()
                for seed, drawn in enumerate(draws):
                    y = np.asarray(drawn["label"])
                    guess = answer(drawn["text"].tolist(), y, texts, seed)
                    scores.append(float(np.mean(guess == true)))
                yield {
                    "set": name,
                    "rows": shots,
                    "rival": rival,
                    "accuracy": round(100 * statistics.mean(scores), 1),
                    "sd": round(100 * statistics.pstdev(scores), 1),
                    "draws": len(scores),
                    "seconds": round((time.perf_counter() - start) / len(scores), 1),
                }


if __name__ == "__main__":
    parser = options(__doc__ or "", rows=5000)
    parser.set_defaults(test_rows=1000)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--shots", type=int, nargs="+", default=(8, 16))
    show_runs(bench, parser)
