"""What a run keeps of its probes: the importance of each neuron and each probe's score.

It is enough to select neurons again, bit for bit, and takes a thousandth of the size of
the features.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from stc_core.errors import StcError
from stc_core.files import replacing
from stc_core.types import PooledSite

SALIENCE = "salience.safetensors"
MACRO_F1 = "macro_f1"


@runtime_checkable
class Salient(Protocol):
    """What a selection needs to know of the best probe of a pooled site.

    A ProbeResult has it, and so has a `Salience`, which a run keeps.
    """

    @property
    def pooled_site(self) -> PooledSite: ...

    @property
    def importance(self) -> Float[np.ndarray, " width"]: ...

    @property
    def macro_f1(self) -> float: ...


class Salience(NamedTuple):
    """The importance of a site's neurons and its probe's score, without the probe."""

    pooled_site: PooledSite
    importance: Float[np.ndarray, " width"]
    macro_f1: float


def write_saliences(path: Path, probes: Sequence[Salient]) -> None:
    """Write the saliences of all probes to one file, in computing order."""
    ordered = sorted(probes, key=lambda probe: probe.pooled_site)
    tensors = {str(probe.pooled_site): probe.importance for probe in ordered}
    scores = np.array([probe.macro_f1 for probe in ordered])
    with replacing(path) as temporary:
        save_file({**tensors, MACRO_F1: scores}, temporary)


def read_saliences(path: Path) -> list[Salience]:
    """The saliences as they were written. StcError if the file cannot be read."""
    try:
        tensors = load_file(path)
        scores = tensors.pop(MACRO_F1)
    except (OSError, SafetensorError, KeyError) as error:
        raise StcError(
            f"{str(path)!r}",
            expected="the neurons' importances and the scores of the run's probes",
            got=f"a file that cannot be read ({error})",
            remedy="Train the run again.",
        ) from error
    ordered = sorted((PooledSite.parse(name), name) for name in tensors)
    return [
        Salience(pooled_site, tensors[name], float(score))
        for (pooled_site, name), score in zip(ordered, scores, strict=True)
    ]


def site_widths(path: Path) -> dict[str, int]:
    """The number of neurons of each probed site, read from the file's header alone."""
    with safe_open(path, "np") as file:
        return {
            str(PooledSite.parse(name).site): file.get_slice(name).get_shape()[0]
            for name in file.keys()
            if name != MACRO_F1
        }
