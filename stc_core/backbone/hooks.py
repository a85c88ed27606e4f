"""Reads or changes a model's sites while it runs, and stops it when all are read."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stc_core.backbone.structure.sites import Moment, Point
from stc_core.backbone.structure.trace import (
    first_tensor,
    input_states,
    replace_argument,
    replace_output,
)
from stc_core.types import Site

Take = Callable[[Site, Tensor], None]
"""It receives a site's activations when they are computed; it must not keep a view of
them."""


class Edit(NamedTuple):
    """A change of the activations of some sites in the forward pass.

    `change` receives a site and its activations, and returns what stands in their
    place: a tensor of the same shape, which everything above is computed from. It must
    not write into what it receives.
    """

    sites: frozenset[Site]
    change: Callable[[Site, Tensor], Tensor]


class _Done(BaseException):
    """All wanted sites are read. Not an Exception, so that no model catches it."""


def read_sites(
    forward: Callable[[], object],
    points: Mapping[Site, Point],
    take: Take,
    *,
    graded: bool = False,
    to_end: bool = False,
    edit: Edit | None = None,
) -> None:
    """Run `forward` and pass each site of `points` to `take`, as (..., d_feat).

    Calls of a shared module are counted. Nothing above the last wanted site runs, no
    other module is hooked, and the hooks are removed afterwards, even after an error.
    What a model's own hooks add to the input of a block is not seen.

    With `graded` the caller's gradient mode applies, and `take` may keep what it
    receives. A block that has begun also ends, since it may be computed again for
    gradients. With `to_end` the forward is not stopped: a tracer needs it whole. With
    an `edit`, whose sites are among `points`, `take` receives the changed activations.
    """
    if not points:
        return
    reader = _Reader(points, take, graded, to_end, edit)
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
    assert not reader.missing, f"not computed: {sorted(map(str, reader.missing))}"


class _Reader:
    """The hooks of one forward, and the sites that are still to come."""

    def __init__(
        self,
        points: Mapping[Site, Point],
        take: Take,
        graded: bool,
        to_end: bool,
        edit: Edit | None,
    ) -> None:
        self.points, self.take, self.edit = points, take, edit
        self.graded, self.to_end = graded, to_end
        self.missing = set(points)
        self.calls: Counter[nn.Module] = Counter()
        self.sites: dict[nn.Module, list[Site]] = {}
        for site, point in points.items():
            self.sites.setdefault(point.module, []).append(site)

    def before(self, module: nn.Module, args: tuple, kwargs: dict) -> tuple | None:
        """The hook before a module runs; it returns the arguments if they change."""
        states = input_states(args, kwargs)
        new = self._see(module, "input", states)
        if new is None or new is states:
            return None
        return replace_argument(args, kwargs, states, new)

    def after(self, module: nn.Module, args: tuple, output: object) -> object:
        """The hook after a module has run; it returns the output if that changes."""
        states = first_tensor(output)
        new = self._see(module, "output", states)
        self.calls[module] += 1
        if new is None or new is states:
            return None
        return replace_output(output, new)

    def _see(
        self, module: nn.Module, moment: Moment, hidden: Tensor | None
    ) -> Tensor | None:
        """The activations of the sites that are read here, after their changes."""
        point = Point(module, self.calls[module], moment)
        for site in self.sites[module]:
            if self.points[site] == point:
                assert hidden is not None, f"{site}: no tensor at {moment}"
                if self.edit is not None and site in self.edit.sites:
                    hidden = self.edit.change(site, hidden)
                self.take(site, hidden)
                self.missing.remove(site)
        ends_block = self.graded and moment == "output"
        if not self.missing and not ends_block and not self.to_end:
            raise _Done
        return hidden
