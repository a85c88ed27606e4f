"""A selection that weighs use, with the score that the default ranking would have."""

from collections.abc import Sequence
from typing import Any

from stc_core.data.task import Read, Task
from stc_core.selection.salience import Salient
from stc_core.selection.stc import Fitted, fit_stc
from stc_core.types import Progress, silent


def beside_default(
    read: Read,
    task: Task,
    probes: Sequence[Salient],
    fitted: Fitted,
    *,
    weight: float,
    progress: Progress = silent,
    **limits: Any,
) -> Fitted:
    """`fitted`, whose ranking weighs use, with the scores of a ranking that does not.

    `chosen` then holds the `weight`, and for both rankings the number of neurons and
    the accuracy on held-out rows, without words. The default ranking is made anew under
    the same `limits` of `fit_stc`, and each fold of both chooses its own neurons.
    """
    plain = fit_stc(read, task, probes, progress=progress, **limits)
    own, other = fitted.option, plain.option
    assert own is not None and other is not None, "only the preset stc has options"
    chosen = {
        **fitted.chosen,
        "use_weight": weight,
        "neurons_by_use": own.neurons,
        "accuracy_by_use": own.accuracy,
        "neurons_by_reading": other.neurons,
        "accuracy_by_reading": other.accuracy,
    }
    return fitted._replace(chosen=chosen)
