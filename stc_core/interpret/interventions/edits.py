"""Changes of neurons inside the model: ablation, steering, and values of another text.

A neuron is changed at every token, at its place in the forward pass, and everything
above it is computed again. How a text pools a neuron does not matter here: one
neuron may be read under several poolings.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from stc_core.activations.reference import (
    Reference,
    TextBatch,
    text_batches,
)
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.hooks import Edit
from stc_core.interpret.interventions.choice import Intervention, Neurons
from stc_core.types import Site


def edit_of(
    backbone: Backbone,
    intervention: Intervention,
    reference: Reference,
    batch: TextBatch,
) -> Edit:
    """The intervention on one batch, as a change of the forward pass.

    With "resample" a token gets the values of all changed neurons from one token of its
    kind; which one hangs on the seed and on the text's place in the list alone.
    """
    neurons, how = intervention.neurons, intervention.how

    def change(site: Site, hidden: Tensor) -> Tensor:
        columns = torch.from_numpy(neurons[site]).to(hidden.device)
        kinds = batch.kinds_at(backbone, site)
        new = hidden.clone()
        if how == "zero":
            new[..., columns] = 0
        elif how == "mean":
            values = reference.mean[site][:, neurons[site]].to(hidden)
            new[..., columns] = values[kinds]
        elif how == "steer":
            sd = reference.sd[site][:, neurons[site]].to(hidden)
            new[..., columns] += intervention.steer * sd[kinds]
        else:
            donors = reference.donors[site][:, :, neurons[site]].to(hidden)
            drawn = [
                np.random.default_rng((intervention.seed, int(place))).integers(
                    donors.shape[1], size=hidden.shape[1]
                )
                for place in batch.places
            ]
            new[..., columns] = donors[kinds, torch.from_numpy(np.stack(drawn))]
        return new

    return Edit(frozenset(neurons), change)


def mean_edit(
    backbone: Backbone,
    chosen: Mapping[Site, Bool[np.ndarray, "batch width"]],
    reference: Reference,
    batch: TextBatch,
) -> Edit:
    """An edit that gives other neurons of each text their mean, where `chosen` is true.

    The mean is that over tokens of the same kind, as in "mean" ablation.
    """

    def change(site: Site, hidden: Tensor) -> Tensor:
        usual = reference.mean[site].to(hidden)[batch.kinds_at(backbone, site)]
        here = torch.from_numpy(chosen[site]).to(hidden.device)[:, None, :]
        return torch.where(here, usual, hidden)

    return Edit(frozenset(chosen), change)


def patch_of(
    backbone: Backbone, neurons: Neurons, text: str, donor: str
) -> tuple[TextBatch, Edit, bool]:
    """The batch of `text`, and an edit that gives its neurons the values of `donor`.

    Texts with equally many tokens lend token by token. Else every token of the text
    gets the donor's mean over the tokens of its own kind; the third result is False.
    """
    own, other = (text_batches(backbone, [one])[0] for one in (text, donor))
    with torch.inference_mode():
        hidden = backbone.graded(other.inputs, sorted(neurons))
    aligned = own.kinds.shape == other.kinds.shape

    def change(site: Site, states: Tensor) -> Tensor:
        lent = hidden[site].clone()[..., neurons[site]].to(states)
        if not aligned:
            kinds = other.kinds_at(backbone, site)[0]
            by_kind = _mean_by_kind(lent[0], kinds, 1 + int(own.kinds.max()))
            lent = by_kind[own.kinds_at(backbone, site)]
        new = states.clone()
        new[..., torch.from_numpy(neurons[site]).to(states.device)] = lent
        return new

    return own, Edit(frozenset(neurons), change), aligned


def _mean_by_kind(values: Tensor, kinds: Tensor, n_kinds: int) -> Tensor:
    """The mean of `values` (pos, k) over the tokens of each kind; of all if none is."""
    n_kinds = max(n_kinds, int(kinds.max()) + 1)
    rows = [
        values[kinds == kind] if bool((kinds == kind).any()) else values
        for kind in range(n_kinds)
    ]
    return torch.stack([row.mean(0) for row in rows])


def matched_sets(
    neurons: Neurons, reference: Reference, *, n_sets: int, seed: int = 0
) -> Iterator[Neurons]:
    """Random neurons to compare with: of the same sites, with a like spread.

    For each neuron one is drawn at random from the MOST_ALIKE neurons of its site, by
    the standard deviation over a text's own tokens. The set itself is left out; where
    it holds more than half of a site, its own neurons may be drawn, too.
    """
    rng = np.random.default_rng(seed)
    spread = {site: reference.sd[site][0].numpy() for site in neurons}
    for _ in range(n_sets):
        yield {
            site: _matched(columns, spread[site], rng)
            for site, columns in neurons.items()
        }


MOST_ALIKE = 32
"""A matched neuron is one of so many with the most alike spread."""


def _matched(
    columns: Int[np.ndarray, " k"], spread: np.ndarray, rng: np.random.Generator
) -> Int[np.ndarray, " k"]:
    """As many other columns of one site, each of a spread like one of `columns`."""
    free = np.ones(len(spread), bool)
    if 2 * len(columns) <= len(spread):
        free[columns] = False
    order = np.argsort(spread, kind="stable")
    rank = np.empty(len(spread), int)
    rank[order] = np.arange(len(spread))
    taken = []
    for column in rng.permutation(columns):
        open_ = np.flatnonzero(free)
        near = np.abs(rank[open_] - rank[column]).argsort(kind="stable")[:MOST_ALIKE]
        choice = int(open_[rng.choice(near)])
        free[choice] = False
        taken.append(choice)
    return np.array(sorted(taken))
