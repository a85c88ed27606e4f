"""Would other rows have kept the same neurons? The selection, made again on others.

`measure_stability` tells it; `keep_stable` keeps only what nearly all halves choose.
All repeats rank from the features that are on disk, by one pass over them. How often a
neuron is kept again is its selection frequency. Source: Meinshausen and Buhlmann 2010
(stability selection); complementary halves: Shah and Samworth 2013.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from stc_core.data.task import Read, Task
from stc_core.errors import StcError
from stc_core.selection.folds import Fold
from stc_core.selection.frontier import curves_of
from stc_core.selection.importance import keep_top
from stc_core.selection.ranking import JointColumns, Ranking, importances_of
from stc_core.selection.repeats.draws import draw_repeats, halves_of
from stc_core.selection.repeats.kinds import HALVES, NEARLY_ALWAYS
from stc_core.selection.repeats.overlap import PartOverlap, jaccard, part_overlaps
from stc_core.selection.salience import Salient
from stc_core.selection.search import DepthSearch, options_at
from stc_core.selection.stc import Finish, Fitted, as_it_is, fit_option
from stc_core.selection.use.attribution import ModelUse
from stc_core.types import Feature, Progress, silent

TRUSTING = 500
"""The trust in a site is measured on so many rows, of which a half has half."""
FEWEST_ROWS = 40


class Repeat(NamedTuple):
    """The selections of one kind: on halves, bootstrap samples, or other seeds' rows.

    `frequency` has a share for each feature that was asked about, in their order.
    `overlap` is the mean Jaccard index of two selections (of halves: of the two halves
    of a pair), `rows` the number of different rows of each. `always` features are kept
    by NEARLY_ALWAYS of the selections.
    """

    frequency: Float[np.ndarray, " n"]
    overlap: float
    rows: int
    n_selections: int
    always: int

    def record(self) -> dict[str, Any]:
        return {**self._asdict(), "frequency": self.frequency.round(4).tolist()}


class Stability(NamedTuple):
    """How often each neuron is kept, and how much the selections have in common.

    `repeats` are by the keys of REPEATS. `chance` is the Jaccard index that random sets
    of `size` neurons would have, `kept` the number of features that were asked about.
    `always` of these are kept by NEARLY_ALWAYS of the selections of every kind.
    `layers` and `sites` say the same for parts of the model.
    """

    repeats: dict[str, Repeat]
    chance: float
    size: int
    kept: int
    always: int
    layers: tuple[PartOverlap, ...]
    sites: tuple[PartOverlap, ...]

    @property
    def frequency(self) -> Float[np.ndarray, " n"]:
        """How often the halves keep each feature; they have the fewest rows."""
        return self.repeats[HALVES].frequency

    @property
    def overlap(self) -> float:
        return self.repeats[HALVES].overlap

    def summary(self) -> dict[str, Any]:
        """The stability without the frequencies, as metrics.json has it."""
        halves = self.repeats[HALVES]
        kinds = {name: one.record() for name, one in self.repeats.items()}
        for kind in kinds.values():
            del kind["frequency"]
        return {
            "overlap": halves.overlap,
            "chance": self.chance,
            "half": halves.rows,
            "kept": self.kept,
            "n_selections": halves.n_selections,
            "always": self.always,
            "repeats": kinds,
            "layers": [part.record() for part in self.layers],
            "sites": [part.record() for part in self.sites],
        }

    def record(self) -> dict[str, Any]:
        """The stability as stability.json has it, with the frequency of each neuron."""
        found = self.summary()
        for name, repeat in self.repeats.items():
            found["repeats"][name] = repeat.record()
        return {"frequency": self.frequency.round(4).tolist(), **found}


def measure_stability(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    features: Sequence[Feature],
    *,
    depth: int,
    eta: float | None = None,
    size: int | None = None,
    use: ModelUse | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Stability | None:
    """The stability of a selection of `features` from the sites up to `depth`.

    Each repeat keeps `size` neurons (None: as many as there are features), by the
    ranking that the run used. None if there are fewer than FEWEST_ROWS learned rows, or
    a class has but one. `progress` counts the passes over the features.
    """
    learned = np.sort(task.learned)
    if not _can_be_split(task, learned):
        return None
    size, draws = size or len(features), draw_repeats(task, learned, seed=seed)
    progress(0, 1)
    fits = [rows for of_kind in draws.values() for rows in of_kind]
    columns, scores = _scores_of(
        read, task, probes, learned, fits, depth=depth, eta=eta, use=use
    )
    chosen = np.stack([_flags(of_fit, size) for of_fit in scores])
    kinds = np.repeat(list(draws), [len(of_kind) for of_kind in draws.values()])
    at = columns.numbers(features)
    repeats = {}
    for name, of_kind in draws.items():
        own = chosen[kinds == name]
        frequency = own[:, at].mean(axis=0)
        repeats[name] = Repeat(
            frequency,
            jaccard(own, in_pairs=name == HALVES) or 0.0,
            min(len(np.unique(rows)) for rows in of_kind),
            len(of_kind),
            int((frequency >= NEARLY_ALWAYS).sum()),
        )
    always = np.all(
        [one.frequency >= NEARLY_ALWAYS for one in repeats.values()], axis=0
    )
    sites, layers = part_overlaps(
        columns, {name: chosen[kinds == name] for name in draws}, at, at[always]
    )
    total = int((scores > 0).any(axis=0).sum())
    progress(1, 1)
    mean_size = float(chosen.sum(axis=1).mean())
    return Stability(
        repeats,
        mean_size / max(2 * total - mean_size, 1.0),
        size,
        len(features),
        int(always.sum()),
        layers,
        sites,
    )


def _scores_of(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    rows: Int[np.ndarray, " n"],
    fits: Sequence[Int[np.ndarray, " _"]],
    *,
    depth: int,
    eta: float | None,
    use: ModelUse | None,
) -> tuple[JointColumns, Float[np.ndarray, "n_fits d"]]:
    """The columns, and the importance of each one in the ranking of each of the fits.

    The use of a neuron is not measured again for each fit, but on all `rows`.
    """
    known = np.unique(np.concatenate(fits))
    part = task._replace(train=known, validation=known[:0])
    columns = JointColumns(
        read,
        part,
        probes,
        eta=eta,
        folds=[Fold(fit, known[:0]) for fit in fits],
        trusting=TRUSTING,
        use=None if use is None else use.measured_on(rows),
    )
    return columns, importances_of(columns, depth)[:-1]


def _flags(scores: Float[np.ndarray, " d"], size: int) -> Bool[np.ndarray, " d"]:
    """Which columns a selection of this size keeps."""
    kept = np.zeros(len(scores), bool)
    kept[keep_top(scores, size)] = True
    return kept


def _can_be_split(task: Task, rows: Int[np.ndarray, " n"]) -> bool:
    """Whether both halves of the rows can be learned from."""
    counts = np.bincount(task.codes[rows], minlength=len(task.classes))
    return len(rows) >= FEWEST_ROWS and int(counts[counts > 0].min()) > 1


def keep_stable(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    fitted: Fitted,
    *,
    share: float,
    reported: Int[np.ndarray, " n_reported"],
    use: ModelUse | None = None,
    finish: Finish = as_it_is,
    progress: Progress = silent,
) -> Fitted:
    """`fitted` with the neurons alone that at least a `share` of the halves choose.

    Each half keeps as many neurons as `fitted` has, so the result has fewer. Each fold
    chooses its own neurons by halves of the rows that it is fitted on, so the score on
    held rows is that of the whole way. The ridge is chosen again. `chosen` holds the
    number of neurons and the scores of `fitted`, to compare with. Source: Meinshausen
    and Buhlmann 2010 (stability selection). StcError if no neuron is chosen so often,
    or if there are too few rows.
    """
    before, eta = fitted.option, fitted.chosen.get("eta")
    assert before is not None, "only the preset stc has options"
    size = len(fitted.head.features)
    eta = None if eta is None else float(eta)
    columns = JointColumns(read, task, probes, eta=eta, budget=size, use=use)
    fits, rankings = columns.fits, []
    for done, rows in enumerate(fits, start=1):
        if not _can_be_split(task, np.sort(rows)):
            raise _too_few_rows(len(rows))
        halves = halves_of(task, rows)
        _, scores = _scores_of(
            read, task, probes, rows, halves, depth=before.layer, eta=eta, use=use
        )
        chosen = np.stack([_flags(of_half, size) for of_half in scores])
        rankings.append(_stable_columns(chosen.mean(axis=0), share))
        progress(done, len(fits))
    search = DepthSearch(columns, Ranking(tuple(rankings[:-1]), rankings[-1]))
    most = max(map(len, rankings))
    point = search.trials([most])[0].point("neurons")
    (tried,) = options_at(search, [point], layer=before.layer, reported=reported)
    stable = fit_option(search, tried)
    option = tried._replace(neurons=len(rankings[-1]))
    chosen = {
        **fitted.chosen,
        **stable.chosen,
        "stable": share,
        "accuracy_stable": option.accuracy,
        "neurons_before": size,
        "accuracy_before": before.accuracy,
        "macro_f1_before": before.macro_f1,
    }
    options = (*fitted.options, option)
    stable = stable._replace(
        chosen=chosen,
        points=curves_of(options, option),
        options=options,
        option=option,
    )
    return finish(search, tried, stable)


def _stable_columns(
    frequency: Float[np.ndarray, " d"], share: float
) -> Int[np.ndarray, " stable"]:
    """The columns that at least this share of the halves keep, the most frequent
    first."""
    order = np.argsort(-frequency, kind="stable")
    found = order[frequency[order] >= share - 1e-9]
    if not len(found):
        raise StcError(
            "stable",
            expected=f"a share at which neurons are left, {frequency.max():g} or less",
            got=f"{share:g}",
            remedy="Ask for a smaller share: with more neurons to choose from, or few "
            "rows, fewer of them are always chosen.",
        )
    return found


def _too_few_rows(n: int) -> StcError:
    return StcError(
        "stable",
        expected=f"at least {FEWEST_ROWS} learned rows, and two of each class",
        got=f"{n:,} rows in a part that judges",
        remedy="Leave the setting out, or add rows.",
    )
