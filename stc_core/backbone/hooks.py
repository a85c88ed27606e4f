"""Reads a model's sites while it runs, and stops it when all is read."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from stc_core.backbone.structure.sites import Moment, Point
from stc_core.backbone.structure.trace import carried, first_tensor
from stc_core.types import Site

Take = Callable[[Site, Tensor], None]
"""Gets a site's activations as they are made; it must not keep a view of them."""


class _Done(BaseException):
    """All wanted sites are read. Not an Exception: no model may swallow it."""


def read_sites(
    forward: Callable[[], object],
    points: Mapping[Site, Point],
    take: Take,
    *,
    graded: bool = False,
) -> None:
    """Runs `forward` and hands `take` each site of `points` as (..., d_feat).

    Calls of a shared module are counted. Nothing above the last wanted site runs, no
    other module is hooked, and the hooks are gone afterwards, after an error too. What
    a model's own hooks add to the input of a block is not seen.
    With `graded` the gradients are those of the caller's mode, `take` may keep what it
    gets, and a block that has begun ends: it may be one that is computed again.
    """
    if not points:
        return
    reader = _Reader(points, take, graded)
    handles = []
    try:
        for module in reader.sites:
            handles.append(
                module.register_forward_pre_hook(
                    reader.before, with_kwargs=True, prepend=True
                )
            )
            handles.append(module.register_forward_hook(reader.after))
        with nullcontext() if graded else torch.inference_mode():
            forward()
    except _Done:
        return
    finally:
        for handle in handles:
            handle.remove()
    assert not reader.left, f"never computed: {[str(site) for site in reader.left]}"


class _Reader:
    """The hooks of one forward, and which sites are still to come."""

    def __init__(self, points: Mapping[Site, Point], take: Take, graded: bool) -> None:
        self.points, self.take, self.graded = points, take, graded
        self.left = set(points)
        self.calls: Counter[nn.Module] = Counter()
        self.sites: dict[nn.Module, list[Site]] = {}
        for site, point in points.items():
            self.sites.setdefault(point.module, []).append(site)

    def before(self, module: nn.Module, args: tuple, kwargs: dict) -> None:
        self._see(module, "input", carried(args, kwargs))

    def after(self, module: nn.Module, args: tuple, output: object) -> None:
        self._see(module, "output", first_tensor(output))
        self.calls[module] += 1

    def _see(self, module: nn.Module, moment: Moment, hidden: Tensor | None) -> None:
        here = Point(module, self.calls[module], moment)
        for site in self.sites[module]:
            if self.points[site] == here:
                assert hidden is not None, f"{site}: no tensor at {moment}"
                self.take(site, hidden)
                self.left.remove(site)
        if not self.left and not (self.graded and moment == "output"):
            raise _Done
