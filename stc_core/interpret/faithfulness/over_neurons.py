"""Are the neurons that an attribution names the neurons that the answer rests on?

The strongest kept neurons of each text get their mean inside the model, or all others
do, and everything above them is computed again.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float

from stc_core.activations.reference import TextBatch
from stc_core.heads.head import softmax
from stc_core.interpret.faithfulness.scores import (
    LEFT_OUT,
    RANDOM,
    READOUT,
    Erased,
    PartScores,
    score_methods,
)
from stc_core.interpret.interventions.choice import Neurons, count_neurons
from stc_core.interpret.interventions.edits import mean_edit
from stc_core.interpret.interventions.effect_records import CLASSIFIER
from stc_core.interpret.interventions.effects import EffectStudy
from stc_core.interpret.interventions.usage import (
    SiteSlope,
    first_order,
    readout_parts,
    slopes_at,
)
from stc_core.metrics.faithfulness import ERASED_SHARES, part_counts, strongest_parts
from stc_core.types import Progress, Site, silent

PATH_POINTS = 5
"""Points of the path of integrated gradients (Gauss-Legendre), for each site."""
MOST_OCCLUSIONS = 20_000
"""Neurons are left out one by one if so many forward passes of a text are enough."""
_TOGETHER = 64


def faithfulness_over_neurons(
    study: EffectStudy, *, seed: int = 0, progress: Progress = silent
) -> PartScores:
    """The faithfulness of each attribution of the kept neurons, on a study's texts.

    The class is the one that the text gets. `progress` counts the batches.
    """
    neurons, n_texts = study.kept, len(study.texts)
    n = count_neurons(neurons)
    passes = n * n_texts
    missing = {}
    if passes > MOST_OCCLUSIONS:
        missing[LEFT_OUT] = (
            f"{n:,} neurons left out one by one in {n_texts:,} texts are {passes:,} "
            f"passes, and at most {MOST_OCCLUSIONS:,} are made"
        )
    counts = part_counts(n) if n > 1 else [1] * len(ERASED_SHARES)
    whole = np.zeros(n_texts)
    found: dict[str, Erased] = {}
    for done, batch in enumerate(study.batches, start=1):
        label = study.before.logits[CLASSIFIER][batch.places].argmax(axis=1)
        rows = np.arange(len(label))
        shares = softmax(study.before.logits[CLASSIFIER][batch.places])
        whole[batch.places] = shares[rows, label]
        values = _attributions(study, neurons, batch, seed=seed, exact=not missing)
        for name, of_method in values.items():
            if name not in found:
                empty = np.zeros((2, n_texts, len(ERASED_SHARES)))
                found[name] = Erased(empty[0], empty[1], np.zeros(n_texts, int))
            masks = _masks(of_method, counts)
            after = _answers(study, neurons, batch, np.concatenate([masks, ~masks]))
            after = softmax(after.reshape(-1, after.shape[2])).reshape(after.shape)
            after = after[:, rows, label].T
            found[name].without[batch.places] = after[:, : len(ERASED_SHARES)]
            found[name].alone[batch.places] = after[:, len(ERASED_SHARES) :]
            found[name].top[batch.places] = of_method.argmax(axis=1)
        progress(done, len(study.batches))
    return score_methods(
        whole,
        found,
        places=np.arange(n_texts),
        n_parts=np.full(n_texts, n),
        missing=missing,
    )


def _attributions(
    study: EffectStudy, neurons: Neurons, batch: TextBatch, *, seed: int, exact: bool
) -> dict[str, Float[np.ndarray, "batch n_neurons"]]:
    """What each method says of each neuron for the class of each text of a batch."""
    slopes = slopes_at(study, neurons, batch, readers=(CLASSIFIER,))[CLASSIFIER]
    values = {
        READOUT: readout_parts(study, neurons, batch),
        "gradient_input": first_order(study, neurons, batch, slopes, from_mean=False),
        "gradient_from_mean": first_order(study, neurons, batch, slopes),
        "integrated_gradients": _integrated(study, neurons, batch, slopes),
    }
    if exact:
        values[LEFT_OUT] = _occlusions(study, neurons, batch)
    values[RANDOM] = np.stack(
        [
            np.random.default_rng((seed, int(place))).random(count_neurons(neurons))
            for place in batch.places
        ]
    )
    return values


def _integrated(
    study: EffectStudy, neurons: Neurons, batch: TextBatch, whole: dict[Site, SiteSlope]
) -> Float[np.ndarray, "batch n_neurons"]:
    """Integrated gradients from the mean to the value of the neurons, site by site.

    At each site the neurons move together, and everything above is computed again; so
    the values of a site sum to the effect of all its kept neurons. `whole` are the
    slopes without a change.
    """
    points, weights = np.polynomial.legendre.leggauss(PATH_POINTS)
    n_rows, many = len(batch.places), batch.repeated(PATH_POINTS)
    shares = np.repeat((points + 1) / 2, n_rows)
    parts = []
    for site, columns in neurons.items():
        here = {site: columns}
        on_path = slopes_at(study, here, many, readers=(CLASSIFIER,), shares=shares)
        gradient = on_path[CLASSIFIER][site].gradient
        if gradient is not None:
            split = gradient.reshape(PATH_POINTS, n_rows, *gradient.shape[1:])
            share = torch.from_numpy(weights / 2).to(gradient)
            gradient = torch.einsum("p,pb...->b...", share, split)
        moved = {site: whole[site]._replace(gradient=gradient)}
        parts.append(first_order(study, here, batch, moved))
    return np.concatenate(parts, axis=1)


def _occlusions(
    study: EffectStudy, neurons: Neurons, batch: TextBatch
) -> Float[np.ndarray, "batch n_neurons"]:
    """What the margin of each text's class loses if one neuron gets its mean."""
    n, n_rows = count_neurons(neurons), len(batch.places)
    before = study.before.logits[CLASSIFIER][batch.places]
    rows, label = np.arange(n_rows), before.argmax(axis=1)
    single = np.broadcast_to(np.eye(n, dtype=bool)[:, None], (n, n_rows, n))
    after = _answers(study, neurons, batch, single)
    margin = before[rows, label] - before.mean(axis=1)
    return (margin - (after[:, rows, label] - after.mean(axis=2))).T


def _masks(
    values: Float[np.ndarray, "batch n"], counts: list[int]
) -> Bool[np.ndarray, "n_counts batch n"]:
    """For each count the strongest neurons of each text."""
    masks = np.zeros((len(counts), *values.shape), bool)
    for row, of_text in enumerate(values):
        for at, strongest in enumerate(strongest_parts(of_text, counts)):
            masks[at, row, strongest] = True
    return masks


def _answers(
    study: EffectStudy,
    neurons: Neurons,
    batch: TextBatch,
    masks: Bool[np.ndarray, "n_masks batch n"],
) -> Float[np.ndarray, "n_masks batch n_class"]:
    """The logits of each text if the neurons of each mask get their mean."""
    n_rows, step = len(batch.places), max(1, _TOGETHER // len(batch.places))
    out = []
    for start in range(0, len(masks), step):
        some = masks[start : start + step]
        many = batch.repeated(len(some))
        chosen = _by_site(study, neurons, some.reshape(-1, some.shape[2]))
        edit = mean_edit(study.backbone, chosen, study.reference, many)
        logits = study.read(many, edit)[1][CLASSIFIER]
        out.append(logits.reshape(len(some), n_rows, -1))
    return np.concatenate(out)


def _by_site(
    study: EffectStudy, neurons: Neurons, chosen: Bool[np.ndarray, "rows n"]
) -> dict[Site, Bool[np.ndarray, "rows width"]]:
    """The chosen neurons as a mask over all neurons of each site."""
    found, start = {}, 0
    for site, columns in neurons.items():
        mask = np.zeros((len(chosen), study.backbone.widths[site]), bool)
        mask[:, columns] = chosen[:, start : start + len(columns)]
        found[site] = mask
        start += len(columns)
    return found
