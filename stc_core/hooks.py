"""Reads a model's sites while it runs, and stops it when all is read."""

from collections import Counter
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from stc_core.axes import Site
from stc_core.sites import Point, carried, first_tensor

Take = Callable[[Site, Tensor], None]
"""Gets a site's activations as they are made; it must not keep a view of them."""


class _Done(BaseException):
    """All wanted sites are read. Not an Exception: no model may swallow it."""


def read_sites(
    forward: Callable[[], object], points: Mapping[Site, Point], take: Take
) -> None:
    """Runs `forward` and hands `take` each site of `points` as (..., d_feat).

    Calls of a shared module are counted. Nothing above the last wanted site runs, no
    other module is hooked, and the hooks are gone afterwards, after an error too.
    """
    left = dict(points)
    by_module: dict[nn.Module, list[Site]] = {}
    for site, point in points.items():
        by_module.setdefault(point.module, []).append(site)
    calls: Counter[nn.Module] = Counter()

    def seen(module: nn.Module, moment: str, hidden: Tensor | None) -> None:
        for site in by_module[module]:
            point = points[site]
            if point.moment == moment and point.times == calls[module]:
                assert hidden is not None, f"{site}: no tensor at {moment}"
                take(site, hidden)
                del left[site]
        if not left:
            raise _Done

    def before(module: nn.Module, args: tuple, kwargs: dict) -> None:
        seen(module, "input", carried(args, kwargs))

    def after(module: nn.Module, args: tuple, output: object) -> None:
        seen(module, "output", first_tensor(output))
        calls[module] += 1

    handles = []
    try:
        for module in by_module:
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(after))
        with torch.inference_mode():
            forward()
    except _Done:
        return
    finally:
        for handle in handles:
            handle.remove()
    assert not left, f"never computed: {[str(site) for site in left]}"
