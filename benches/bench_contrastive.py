"""Few texts of each class: the recipe contrastive beside what it began with.

    python -m benches contrastive --draws 10 --shots 8 16 --out runs

A row has the mean accuracy over the draws and its standard deviation, for the recipe
and for the baselines of the same runs: the sparse classifier, the last layer, all
sites. With --setfit also of SetFit (arXiv 2209.11055) written out, on the same draws:
20 pairs of texts of one class and 20 of two classes for each text, one epoch with the
cosine loss over all weights (AdamW, 2e-5, batches of 16 pairs), then logistic
regression on the means of the tuned model.
"""

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import cosine_similarity, mse_loss

from benches.measure import Row
from benches.seeds import data_of, options, show_runs, trained
from stc_core.backbone.loading import hub
from stc_core.config import DEFAULT_BACKBONE, DataConfig

SETS = ("ag_news", "sst2", "trec")
RIVALS = ("contrastive", "stc", "last_layer", "all_sites")
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


def setfit(train: Texts, y: np.ndarray, test: Texts, seed: int) -> np.ndarray:
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


def regression(embed: Embedder, train: Texts, y: np.ndarray, test: Texts) -> np.ndarray:
    model = LogisticRegression(max_iter=1000).fit(embed.vectors(train), y)
    return np.asarray(model.predict(embed.vectors(test)))


def run_of(
    asked: argparse.Namespace, case: str, drawn: pd.DataFrame, test: Path
) -> Any:
    """The metrics of the recipe on the drawn texts; a finished run is taken again."""
    path = asked.out / f"{case}.csv"
    drawn.to_csv(path, columns=["text", "label"], index=False)
    data = DataConfig(
        path=str(path), test_path=str(test), text="text", labels=("label",)
    )
    return trained(asked.out / case, data, {"recipe": "contrastive", "device": "cpu"})


def bench(asked: argparse.Namespace) -> Iterator[Row]:
    for name in asked.sets:
        data = data_of(name, ("label",), asked)
        assert data.test_path is not None
        train, test = (
            pd.read_csv(path, keep_default_na=False)
            for path in (data.path, data.test_path)
        )
        for shots in asked.shots:
            found: dict[str, list[float]] = {}
            seconds: list[float] = []
            for seed in range(asked.draws):
                groups = train.groupby("label")
                drawn = pd.DataFrame(groups.sample(shots, random_state=seed))
                case = f"{name}-{shots}-{seed}"
                metrics = run_of(asked, case, drawn, Path(data.test_path))
                scores = {"contrastive": metrics["test"], **metrics["baselines"]}
                for rival in RIVALS:
                    score = scores[rival]["accuracy"]
                    found.setdefault(rival, []).append(100 * score)
                seconds.append(metrics["seconds"]["tune"])
                if asked.setfit:
                    y, true = np.asarray(drawn["label"]), np.asarray(test["label"])
                    guess = setfit(
                        drawn["text"].tolist(), y, test["text"].tolist(), seed
                    )
                    right = 100 * float(np.mean(guess == true))
                    found.setdefault("setfit", []).append(right)
            for rival, scores in found.items():
                leads = np.subtract(found["contrastive"], scores)
                yield {
                    "set": name,
                    "rows": shots,
                    "rival": rival,
                    "accuracy": round(statistics.mean(scores), 1),
                    "sd": round(statistics.pstdev(scores), 1),
                    "lead": round(float(leads.mean()), 1),
                    "lead_error": round(float(leads.std()) / len(leads) ** 0.5, 1),
                    "draws": len(scores),
                    "tuning_s": round(statistics.median(seconds), 1),
                }


if __name__ == "__main__":
    parser = options(__doc__ or "", rows=5000)
    parser.set_defaults(test_rows=1000)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--setfit", action="store_true", help="and SetFit")
    parser.add_argument("--shots", type=int, nargs="+", default=(8, 16))
    show_runs(bench, parser)
