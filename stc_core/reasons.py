"""Why a run has this classifier of its frontier, and which cheaper one comes near."""

from collections.abc import Sequence

from stc_core.config import RunConfig
from stc_core.dial import TOLERANCE
from stc_core.frontier import Option, cheapest
from stc_core.readings import Metric
from stc_core.wording import count

FEWEST = (
    "Training looked at all layers{up_to} and kept the **fewest neurons that do as "
    "well as any number** on validation; the deepest of them says how deep to read. "
    "Cost was not weighed."
)
NOISE = (
    " Single scores are noisy, one standard error is about {error} on {n:,} texts: "
    "training goes by means over neighbouring numbers of neurons and penalties."
)


def chosen_by(config: RunConfig) -> Metric:
    """The validation score by which the run chose: macro-F1 with class weights."""
    return "accuracy" if config.train.class_weight is None else "macro_f1"


def reasons(
    options: Sequence[Option], chosen: Option, config: RunConfig, *, n: int
) -> list[str]:
    """Why it is `chosen`, as Markdown, and what to think of options that score more.

    `chosen` is one of `options`, `n` the number of validation texts; scores are
    shares of 1.
    """
    return [_rule(options, chosen, config), *_better(options, chosen, config, n)]


def nearly(
    options: Sequence[Option], chosen: Option, config: RunConfig
) -> list[Option]:
    """The shallowest option within TOLERANCE of the best, if it is cheaper."""
    found = cheapest(options, tolerance=TOLERANCE, by=chosen_by(config))
    assert found is not None, options
    cheaper = (found.deepest, found.neurons) < (chosen.deepest, chosen.neurons)
    return [found] if cheaper else []


def _rule(options: Sequence[Option], chosen: Option, config: RunConfig) -> str:
    train, by = config.train, chosen_by(config)
    if train.tolerance is not None and chosen is cheapest(
        options, tolerance=train.tolerance, by=by
    ):
        return (
            f"The shallowest within **{points(train.tolerance)}** of the best on "
            "validation was asked for."
        )
    if config.shrink is not None and config.shrink.layer is not None:
        return "This point of another run's frontier was asked for."
    if train.budget is not None:
        return (
            f"The best **{count(train.budget, 'neuron')}** beside each other, as asked "
            "for; the deepest of them says how deep to read."
        )
    limits = []
    if train.max_layer is not None:
        limits.append(f"up to {train.max_layer}")
    if train.max_neurons is not None:
        limits.append(f"for at most {count(train.max_neurons, 'neuron')}")
    up_to = f" {' '.join(limits)}" if limits else ""
    return FEWEST.format(up_to=up_to)


def _better(
    options: Sequence[Option], chosen: Option, config: RunConfig, n: int
) -> list[str]:
    by = chosen_by(config)
    best = max(options, key=lambda option: getattr(option, by))
    score, more = getattr(chosen, by), getattr(best, by) - getattr(chosen, by)
    if more <= 0:
        return []
    named = f"Layer {best.deepest} with {count(best.neurons, 'neuron')}"
    told = f"**{named}** scores {points(more)} more there."
    if config.train.tolerance is not None or config.train.budget is not None:
        return [told]
    error = (score * (1 - score) / n) ** 0.5
    return [told + NOISE.format(error=points(error), n=n)]


def points(share: float) -> str:
    """A difference of shares: '1.5 points'."""
    said = f"{100 * share:.1f}"
    return "1 point" if said == "1.0" else f"{said.removesuffix('.0')} points"
