"""Tuning on pairs of texts: those of one class come together, others move apart.

Source: SetFit (arXiv 2209.11055), which draws pairs; here every pair of the texts of a
batch counts, so a forward pass of n texts learns from n (n - 1) / 2 of them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from stc_core.backbone.packing import make_batch
from stc_core.backbone.pooling import pool
from stc_core.tuning.readout import Readout


class PairReadout(Readout):
    """A Readout whose blocks learn from pairs of texts, and whose head does not.

    While it trains, the loss is `pair_loss` of the mean states of a batch. When it is
    judged, it answers like any Readout, by the head that `give_head` gave it last.
    """

    def forward(
        self, labels: Tensor | None = None, **inputs: Tensor
    ) -> dict[str, Tensor]:
        """The loss of a batch in training; else its logits, and their log-loss."""
        if not self.training or labels is None:
            return super().forward(labels, **inputs)
        return {"loss": pair_loss(self.means(inputs), labels)}

    def means(self, inputs: dict[str, Tensor]) -> Float[Tensor, "batch width"]:
        """The mean of the states of each text of a padded batch."""
        hidden = self._backbone.graded(inputs, [self.site])[self.site]
        return pool(hidden, inputs["attention_mask"].bool(), "mean").float()

    @torch.no_grad()
    def means_of(
        self, ids: Sequence[np.ndarray], *, size: int = 64
    ) -> Float[np.ndarray, "n width"]:
        """The means of texts given as token ids, read without dropout."""
        was_training = self.training
        self.eval()
        out = np.empty((len(ids), self.width), np.float32)
        by_length = np.argsort([len(one) for one in ids], kind="stable")
        device = self.head.weight.device
        for start in range(0, len(ids), size):
            rows = by_length[start : start + size]
            batch = make_batch(
                [ids[row] for row in rows],
                self.model.config,
                device=device,
                packed=False,
            )
            out[rows[batch.order]] = self.means(batch.inputs).cpu().numpy()
        self.train(was_training)
        return out

    @torch.no_grad()
    def give_head(self, head: Any) -> None:
        """Answer by this head, a SparseHead on the features of the first one."""
        for ours, theirs in (
            (self.head.weight, head.weight),
            (self.head.bias, head.bias),
            (self.mean, head.mean),
            (self.sd, head.sd),
        ):
            values = torch.from_numpy(np.array(theirs, np.float32))
            ours.copy_(values)  # pyright: ignore[reportCallIssue]


def pair_loss(
    vectors: Float[Tensor, "n width"], codes: Int[Tensor, " n"]
) -> Float[Tensor, ""]:
    """The mean squared error of the cosines of all pairs of texts.

    The cosine of two texts should be 1 if their classes are the same, and 0 otherwise.
    Pairs of one class weigh as much as all other pairs, however few they are. Source:
    the loss of SetFit, arXiv 2209.11055, section 3.1.
    """
    unit = normalize(vectors, dim=1)
    first, second = torch.triu_indices(len(codes), len(codes), 1, device=codes.device)
    same = codes[first] == codes[second]
    errors = ((unit[first] * unit[second]).sum(1) - same.float()) ** 2
    kinds = [errors[kind].mean() for kind in (same, ~same) if kind.any()]
    return torch.stack(kinds).mean()


def balanced_batches(
    codes: Int[np.ndarray, " n"], *, batch: int, batches: int, seed: int
) -> Int[np.ndarray, "batches size"]:
    """Positions in `codes` for each batch, with classes alike and pairs of each class.

    A batch has `batch` texts, or all if there are no more. If it cannot hold two texts
    of every class, it holds two of as many classes as it can. Classes and the texts of
    a class take turns in random order; a class of one text gives just that one.
    """
    rng = np.random.default_rng(seed)
    size = min(batch, len(codes))
    known = np.unique(codes)
    places = {code: np.flatnonzero(codes == code) for code in known.tolist()}
    texts = {code: _turns(rows, rng) for code, rows in places.items()}
    classes = _turns(known, rng)
    counts = np.bincount(codes)
    return np.stack([_batch(classes, texts, counts, size=size) for _ in range(batches)])


def _batch(
    classes: Callable[[], int],
    texts: dict[int, Callable[[], int]],
    counts: Int[np.ndarray, " n_class"],
    *,
    size: int,
) -> Int[np.ndarray, " size"]:
    """Different positions, two of a class in turn, until there are `size`."""
    taken: list[int] = []
    used = dict.fromkeys(texts, 0)
    while len(taken) < size:
        code = classes()
        more = min(2, counts[code] - used[code], size - len(taken))
        used[code] += more
        taken += _different(texts[code], taken, int(more))
    return np.array(taken)


def _different(draw: Callable[[], int], taken: Sequence[int], n: int) -> list[int]:
    """The next `n` of `draw` that are not taken yet."""
    found: list[int] = []
    while len(found) < n:
        one = draw()
        if one not in taken and one not in found:
            found.append(one)
    return found


def _turns(items: Int[np.ndarray, " n"], rng: np.random.Generator) -> Callable[[], int]:
    """A function that gives the items in turn, each round in another random order."""
    left: list[int] = []

    def draw() -> int:
        if not left:
            left.extend(rng.permutation(items).tolist())
        return left.pop()

    return draw
