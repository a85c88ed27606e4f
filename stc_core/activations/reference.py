"""What is usual at each site by kind of token; texts in batches without padding."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from stc_core.backbone.backbone import Backbone
from stc_core.backbone.packing import make_batch
from stc_core.backbone.tokenization.own_tokens import added_ids
from stc_core.types import Progress, Site, silent

MOST_DONOR_BYTES = 2**26
MOST_DONORS = 256
"""So many tokens of each kind lend their values, fewer in a very wide model."""
MOST_TOGETHER = 32
"""So many texts of one length go through the model at once."""


class Reference(NamedTuple):
    """What is usual at each site: by kind of token, over reference texts.

    A kind is a row: 0 for the tokens of the text itself, then one for each token that
    the tokenizer adds, such as [CLS], whose activations are of another kind. `donors`
    are the activations of some tokens of each kind (kind, donor, width).
    """

    mean: dict[Site, Tensor]  # (kind, width)
    sd: dict[Site, Tensor]  # (kind, width)
    donors: dict[Site, Tensor]  # (kind, donor, width)
    n_texts: int


class TextBatch(NamedTuple):
    """Texts with equally many tokens: their places in the list, ids, kinds of token."""

    places: Int[np.ndarray, " batch"]
    inputs: dict[str, Tensor]
    kinds: Int[np.ndarray, "batch pos"]
    shifted: Int[np.ndarray, "batch pos"]  # the kinds as a decoder reads them

    def kinds_at(self, backbone: Backbone, site: Site) -> Tensor:
        """The kind of each token at a site, on the backbone's device."""
        kinds = self.shifted if backbone.reads_shifted(site) else self.kinds
        return torch.from_numpy(kinds).to(backbone.device)

    def repeated(self, times: int) -> "TextBatch":
        """The batch with its texts `times` times over, one round after another."""
        inputs = {
            name: torch.cat([value] * times) for name, value in self.inputs.items()
        }
        return TextBatch(
            np.tile(self.places, times),
            inputs,
            np.tile(self.kinds, (times, 1)),
            np.tile(self.shifted, (times, 1)),
        )


def text_batches(backbone: Backbone, texts: Sequence[str]) -> list[TextBatch]:
    """The texts in batches of equal length, so that nothing is padded."""
    ids = backbone.tokenize(texts).ids
    lengths = np.array([len(row) for row in ids])
    added = sorted(added_ids(backbone.tokenizer))
    out = []
    for length in np.unique(lengths):
        same = np.flatnonzero(lengths == length)
        for start in range(0, len(same), MOST_TOGETHER):
            places = same[start : start + MOST_TOGETHER]
            rows = np.stack([ids[place] for place in places])
            kinds = np.zeros(rows.shape, np.int64)
            for number, token in enumerate(added, start=1):
                kinds[rows == token] = number
            # A decoder reads a start token first, which is of the kind of an added one.
            start_kind = np.full((len(rows), 1), min(1, len(added)))
            shifted = np.concatenate([start_kind, kinds[:, :-1]], axis=1)
            batch = make_batch(
                list(rows), backbone.config, device=backbone.device, packed=False
            )
            out.append(TextBatch(places, batch.inputs, kinds, shifted))
    return out


def read_reference(
    backbone: Backbone,
    texts: Sequence[str],
    sites: Iterable[Site],
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> Reference:
    """Mean, standard deviation and donors of each site over the tokens of these texts.

    Where no text has a token of a kind, the values are those of the text's own tokens.
    The donors are drawn at random with `seed`.
    """
    sites = sorted(set(sites))
    n_kinds = 1 + len(added_ids(backbone.tokenizer))
    cells = n_kinds * sum(backbone.widths[site] for site in sites)
    n_donors = min(MOST_DONORS, max(8, MOST_DONOR_BYTES // (4 * max(cells, 1))))
    kept = {site: _Sums(n_kinds, backbone.widths[site], n_donors) for site in sites}
    rng = np.random.default_rng(seed)
    batches = text_batches(backbone, texts)
    with torch.inference_mode():
        for done, batch in enumerate(batches, start=1):
            hidden = backbone.graded(batch.inputs, sites)
            keys = rng.random(batch.kinds.shape)
            for site in sites:
                kinds = batch.kinds_at(backbone, site)
                kept[site].add(hidden[site].float(), kinds, keys)
            progress(done, len(batches))
    parts = {site: kept[site].finish() for site in sites}
    return Reference(
        {site: part[0] for site, part in parts.items()},
        {site: part[1] for site, part in parts.items()},
        {site: part[2] for site, part in parts.items()},
        len(texts),
    )


class _Sums:
    """The running sums of one site for each kind of token, and its donors.

    The donors are the tokens with the smallest random keys.
    """

    def __init__(self, n_kinds: int, width: int, n_donors: int) -> None:
        self.n, self.n_donors = np.zeros(n_kinds), n_donors
        self.total = torch.zeros(n_kinds, width, dtype=torch.float64)
        self.square = torch.zeros(n_kinds, width, dtype=torch.float64)
        self.donors: list[tuple[np.ndarray, Tensor]] = [
            (np.zeros(0), torch.zeros(0, width)) for _ in range(n_kinds)
        ]

    def add(self, hidden: Tensor, kinds: Tensor, keys: np.ndarray) -> None:
        """Count the tokens of a batch (batch, pos, width)."""
        for kind in kinds.unique().tolist():
            at = kinds == kind
            rows = hidden[at].cpu()
            self.n[kind] += len(rows)
            self.total[kind] += rows.sum(0, dtype=torch.float64)
            self.square[kind] += rows.double().square().sum(0)
            known, donors = self.donors[kind]
            together = np.concatenate([known, keys[at.cpu().numpy()]])
            first = np.argsort(together, kind="stable")[: self.n_donors]
            rows = torch.cat([donors, rows])[torch.from_numpy(first)]
            self.donors[kind] = together[first], rows

    def finish(self) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, sd and donors; a kind that was not seen gets those of kind 0."""
        full = int(max(len(keys) for keys, _ in self.donors))
        mean, sd, donors = [], [], []
        for kind in range(len(self.n)):
            seen = kind if self.n[kind] else int(np.flatnonzero(self.n)[0])
            center = self.total[seen] / self.n[seen]
            spread = self.square[seen] / self.n[seen] - center**2
            mean.append(center.float())
            sd.append(spread.clamp(min=0).sqrt().float())
            rows = self.donors[seen][1]
            donors.append(rows[torch.arange(full) % len(rows)])
        return torch.stack(mean), torch.stack(sd), torch.stack(donors)
