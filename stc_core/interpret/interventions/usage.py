"""What can be read in each neuron beside what the model uses it for.

The read-out's contribution of a neuron is exact, but it is no cause. The effect of a
mean ablation inside the model is, to first order, the gradient of the margin times the
distance from the mean, summed over the tokens: one backward pass gives it for all
neurons at once (attribution patching: Nanda 2023; Syed et al. 2023, arXiv 2310.10348).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from stc_core.activations.reference import TextBatch
from stc_core.backbone.hooks import Edit
from stc_core.interpret.interventions.choice import Intervention, Neurons, neurons_of
from stc_core.interpret.interventions.effect_records import (
    CLASSIFIER,
    LAST_LAYER,
    margin_change,
)
from stc_core.interpret.interventions.effects import EffectStudy
from stc_core.types import Feature, Progress, Site, silent

EFFECT, EFFECT_LAST = "effect", "effect_last_layer"
_COLUMN = {CLASSIFIER: EFFECT, LAST_LAYER: EFFECT_LAST}


class Usage(NamedTuple):
    """The kept neurons, one a row, and how their two measures agree.

    `table` has site, layer, index, readout, effect and effect_last_layer, means over
    the texts of absolute values in logits of the predicted class's margin. `rank` is
    the rank correlation (Spearman) of readout and effect over the neurons, `same_sign`
    the share of (text, neuron) pairs in which both have one sign, by their size.
    `exact_rank` is the rank correlation of the effects by gradient with those of real
    mean ablations, one by one, of `n_exact` neurons.
    """

    table: pd.DataFrame
    n_texts: int
    rank: float
    same_sign: float
    exact_rank: float
    n_exact: int

    def record(self) -> dict[str, Any]:
        """The usage as JSON has it; numbers that are not known are None."""
        numbers = {
            "rank_correlation": self.rank,
            "same_sign": self.same_sign,
            "exact_rank_correlation": self.exact_rank,
        }
        known = {
            name: value if np.isfinite(value) else None
            for name, value in numbers.items()
        }
        counts = {"texts": self.n_texts, "exact_neurons": self.n_exact}
        return {**known, **counts, "neurons": self.table.to_dict("records")}


def measure_usage(
    study: EffectStudy,
    *,
    n_exact: int = 20,
    progress: Progress = silent,
) -> Usage:
    """The usage of every kept neuron on the study's texts.

    `n_exact` neurons, spread over the ranks of the effect, are ablated one by one, to
    check the gradient. `progress` counts batches and then these neurons.
    """
    neurons = study.kept
    batches = study.batches
    total = len(batches) + n_exact
    sums: dict[str, list[np.ndarray]] = {name: [] for name in (*_COLUMN.values(), "r")}
    for done, batch in enumerate(batches, start=1):
        own = _gradients(study, neurons, batch)
        for reader, column in _COLUMN.items():
            sums[column].append(own[reader])
        sums["r"].append(readout_parts(study, neurons, batch))
        progress(done, total)
    effect, last, readout = (
        np.concatenate(sums[name]) for name in (EFFECT, EFFECT_LAST, "r")
    )
    rows = [
        (str(site), site.layer, int(column))
        for site, columns in neurons.items()
        for column in columns
    ]
    table = pd.DataFrame(rows, columns=["site", "layer", "index"])
    table["readout"] = np.abs(readout).mean(axis=0)
    table[EFFECT] = np.abs(effect).mean(axis=0)
    table[EFFECT_LAST] = np.abs(last).mean(axis=0)
    checked = _spread(table[EFFECT].to_numpy(), n_exact)
    exact = []
    for done, row in enumerate(checked, start=len(batches) + 1):
        one = neurons_of([Feature(Site.parse(rows[row][0]), "mean", rows[row][2])])
        after = study.answers(Intervention(one))
        before = study.before.logits[CLASSIFIER]
        exact.append(margin_change(before, after.logits[CLASSIFIER]))
        progress(done, total)
    size = np.abs(readout) * np.abs(effect)
    agree = size[np.sign(readout) == np.sign(effect)].sum() / max(size.sum(), 1e-30)
    return Usage(
        table,
        len(study.texts),
        _rank(table["readout"].to_numpy(), table[EFFECT].to_numpy()),
        float(agree),
        _rank(np.array(exact), table[EFFECT].to_numpy()[checked]),
        len(checked),
    )


def _gradients(
    study: EffectStudy, neurons: Neurons, batch: TextBatch
) -> dict[str, np.ndarray]:
    """For each reader (batch, neurons): what the neuron's distance from its mean adds
    to the margin of the predicted class, to first order."""
    found = slopes_at(study, neurons, batch)
    return {
        reader: first_order(study, neurons, batch, slopes)
        for reader, slopes in found.items()
    }


class SiteSlope(NamedTuple):
    """The states of a site (batch, pos, width) and the gradient of the margin there.

    The gradient is None if the margin does not depend on the site.
    """

    hidden: Tensor
    gradient: Tensor | None


def slopes_at(
    study: EffectStudy,
    neurons: Neurons,
    batch: TextBatch,
    *,
    readers: Sequence[str] = (CLASSIFIER, LAST_LAYER),
    shares: Float[np.ndarray, " batch"] | None = None,
) -> dict[str, dict[Site, SiteSlope]]:
    """For each reader the slope of the predicted class's margin at each site.

    With `shares` the neurons of each text have only this share of their distance from
    the mean, as on the path of integrated gradients.
    """
    kept: dict[Site, Tensor] = {}
    first = min(neurons, key=study.backbone.sites.index)

    def change(site: Site, hidden: Tensor) -> Tensor:
        # The graph begins here: below, nothing is differentiated.
        own = hidden.detach() if site == first else hidden
        if shares is not None:
            own = own.clone()
            columns = torch.from_numpy(neurons[site]).to(own.device)
            usual = _usual(study, batch, site, neurons[site]).to(own)
            part = torch.from_numpy(shares).to(own)[:, None, None]
            own[..., columns] = usual + part * (own[..., columns] - usual)
        kept[site] = own = own.requires_grad_() if site == first else own
        return own

    wanted = {name: study.readers[name] for name in readers}
    sites = sorted({site for one in wanted.values() for site in one.sites})
    mask = torch.ones(batch.kinds.shape, dtype=torch.bool).to(study.backbone.device)
    with torch.enable_grad():
        edit = Edit(frozenset(neurons), change)
        hidden = study.backbone.graded(batch.inputs, sites, edit=edit)
        out: dict[str, dict[Site, SiteSlope]] = {}
        for reader, one in wanted.items():
            logits = one.logits(one.features(hidden, mask))
            best = torch.from_numpy(study.before.logits[reader][batch.places].argmax(1))
            margin = logits - logits.mean(1, keepdim=True)
            chosen = margin.gather(1, best.to(logits.device)[:, None]).sum()
            states = [kept[site] for site in neurons]
            found = torch.autograd.grad(
                chosen, states, retain_graph=True, allow_unused=True
            )
            out[reader] = {
                site: SiteSlope(state.detach(), gradient)
                for site, state, gradient in zip(neurons, states, found, strict=True)
            }
    return out


def first_order(
    study: EffectStudy,
    neurons: Neurons,
    batch: TextBatch,
    slopes: dict[Site, SiteSlope],
    *,
    from_mean: bool = True,
) -> np.ndarray:
    """Gradient times distance from the mean, summed over the tokens (batch, neurons).

    Without `from_mean` it is gradient times activation.
    """
    parts = []
    for site, columns in neurons.items():
        hidden, gradient = slopes[site]
        if gradient is None:
            parts.append(np.zeros((len(batch.places), len(columns)), np.float32))
            continue
        shape = (*batch.kinds.shape, -1)
        values = hidden.reshape(shape)[..., columns]
        if from_mean:
            values = values - _usual(study, batch, site, columns).to(values)
        of_tokens = gradient.reshape(shape)[..., columns] * values
        parts.append(of_tokens.sum(1).float().cpu().numpy())
    return np.concatenate(parts, axis=1)


def _usual(
    study: EffectStudy, batch: TextBatch, site: Site, columns: np.ndarray
) -> Tensor:
    """The mean of these neurons over tokens of each token's kind (batch, pos, k)."""
    kinds = batch.kinds_at(study.backbone, site).cpu()
    return study.reference.mean[site][:, columns][kinds]


def readout_parts(
    study: EffectStudy, neurons: Neurons, batch: TextBatch
) -> Float[np.ndarray, "batch n_neurons"]:
    """The read-out's contributions to the margin of the predicted class, exact.

    A neuron that is read under several poolings has their sum.
    """
    head = study.head
    best = study.before.logits[CLASSIFIER][batch.places].argmax(axis=1)
    centred = head.weight - head.weight.mean(axis=0)
    X = study.before.features[batch.places]
    parts = head.standardised(X) * centred[best]
    place = {}
    for site, columns in neurons.items():
        for column in columns.tolist():
            place[site, column] = len(place)
    out = np.zeros((len(X), len(place)), np.float32)
    at = [place[feature.site, feature.index] for feature in head.features]
    np.add.at(out.T, at, parts.T)
    return out


def _spread(values: np.ndarray, n: int) -> np.ndarray:
    """Positions of at most `n` values, evenly spread over their ranks."""
    order = np.argsort(-values, kind="stable")
    steps = np.linspace(0, len(order) - 1, min(n, len(order))).astype(int)
    return order[steps]


def _rank(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation; nan if one of the two does not vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(pd.Series(a).corr(pd.Series(b), method="spearman"))
