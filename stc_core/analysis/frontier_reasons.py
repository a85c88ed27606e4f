"""Why a run has this classifier of its frontier, and which cheaper one comes near."""

from collections.abc import Sequence

from stc_core.analysis.shrink_options import TOLERANCE
from stc_core.config import RunConfig, TrainConfig
from stc_core.display import count
from stc_core.metrics.scores import METRICS, metric_name_of
from stc_core.selection.frontier import Option, cheapest

_FEWEST = (
    "Training looked at all layers{limits} and kept the **fewest neurons that do as "
    "well as any number** on validation, by scores that are smoothed over neighbouring "
    "numbers and penalties; the deepest of them says how deep to read. Cost was not "
    "weighed."
)
NOISE = " That is a single score, which is noisy{error}; it was not gone by."


def reasons(
    options: Sequence[Option], chosen: Option, config: RunConfig, *, n: int
) -> list[str]:
    """Why it is `chosen`, as Markdown, and what to think of options that score more.

    `chosen` is one of `options`, `n` the number of validation texts; scores are
    shares of 1.
    """
    by_training, rule = _rule(options, chosen, config)
    return [rule, *_better(options, chosen, config.train, n if by_training else None)]


def nearly(
    options: Sequence[Option], chosen: Option, config: RunConfig
) -> list[Option]:
    """The shallowest option within TOLERANCE of the best, if it is cheaper."""
    by = metric_name_of(config.train.class_weight)
    found = cheapest(options, tolerance=TOLERANCE, by=by)
    assert found is not None, options
    cheaper = (found.deepest, found.neurons) < (chosen.deepest, chosen.neurons)
    return [found] if cheaper else []


def _rule(
    options: Sequence[Option], chosen: Option, config: RunConfig
) -> tuple[bool, str]:
    """Whether training chose the number of neurons by itself, and how it was chosen."""
    train, by = config.train, metric_name_of(config.train.class_weight)
    if train.tolerance is not None and chosen is cheapest(
        options, tolerance=train.tolerance, by=by
    ):
        return False, (
            f"The shallowest within **{points(train.tolerance)}** of the best on "
            "validation was asked for."
        )
    if config.shrink is not None and config.shrink.layer is not None:
        return False, "This point of another run's frontier was asked for."
    if train.budget is not None:
        asked = ", as asked for" if chosen.neurons == train.budget else ""
        return False, (
            f"The best **{count(chosen.neurons, 'neuron')}** beside each other"
            f"{asked}; the deepest of them says how deep to read."
        )
    return True, _FEWEST.format(limits=_limits(train))


def _limits(train: TrainConfig) -> str:
    """' up to 3 for at most 256 neurons'."""
    said = "" if train.max_layer is None else f" up to {train.max_layer}"
    if train.max_neurons is not None:
        said += f" for at most {count(train.max_neurons, 'neuron')}"
    return said


def _better(
    options: Sequence[Option], chosen: Option, train: TrainConfig, n: int | None
) -> list[str]:
    """The option with the best score; why it was not taken, where `n` is given."""
    by = metric_name_of(train.class_weight)
    best = max(options, key=lambda option: getattr(option, by))
    score, more = getattr(chosen, by), getattr(best, by) - getattr(chosen, by)
    if round(100 * more, 1) == 0:
        return []
    named = f"**{count(best.neurons, 'neuron')} of layers up to {best.layer}**"
    told = f"{named} have {points(more)} more {METRICS[by]} on validation."
    if n is None:
        return [told]
    error = f", one standard error is about {points((score * (1 - score) / n) ** 0.5)}"
    of_texts = f"{error} on {n:,} texts" if by == "accuracy" else ""
    return [told + NOISE.format(error=of_texts)]


def points(share: float) -> str:
    """A difference of shares: '1.5 points'."""
    said = f"{100 * share:.1f}"
    return "1 point" if said == "1.0" else f"{said.removesuffix('.0')} points"
