"""Hooks sit on what is wanted, stop the model in time and leave nothing behind."""

from collections import Counter

import pytest
import torch
from torch import nn

from stc_core.backbone.hooks import read_sites
from stc_core.backbone.structure.sites import Point
from stc_core.types import Site


class Twice(nn.Module):
    """x -> f(f(x)) + 1, where f doubles."""

    def __init__(self):
        super().__init__()
        self.f, self.g = nn.Identity(), nn.Identity()
        self.f.register_forward_hook(lambda *call: 2 * call[-1])

    def forward(self, x):
        return self.g(self.f(self.f(x))) + 1


def read(model: nn.Module, points: dict[Site, Point]) -> dict[Site, float]:
    out = {}
    x = torch.ones(1)
    read_sites(lambda: model(x), points, lambda site, x: out.update({site: float(x)}))
    return out


def n_hooks(model: nn.Module) -> int:
    modules = model.modules()
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules)


def test_calls_of_a_shared_module_are_counted():
    model = Twice()
    points = {
        Site(0, "resid"): Point(model.f, 0, "input"),
        Site(1, "resid"): Point(model.f, 1, "input"),
        Site(2, "resid"): Point(model.f, 1, "output"),
        Site(3, "resid"): Point(model.g, 0, "output"),
    }
    assert list(read(model, points).values()) == [1, 2, 4, 4]
    assert n_hooks(model) == 1


def test_nothing_runs_after_the_last_wanted_site():
    model = Twice()
    ran = Counter()
    model.f.register_forward_pre_hook(lambda *_: ran.update("f"))
    model.g.register_forward_pre_hook(lambda *_: ran.update("g"))
    assert read(model, {Site(1, "resid"): Point(model.f, 0, "output")}) == {
        Site(1, "resid"): 2
    }
    assert ran == {"f": 1}


def test_only_wanted_modules_are_hooked():
    model = Twice()
    counts = []
    model.f.register_forward_hook(lambda *_: counts.append(n_hooks(model)))
    before = n_hooks(model)
    read(model, {Site(3, "resid"): Point(model.g, 0, "input")})
    assert counts == [before + 2] * 2  # before and after the one module


def test_hooks_are_gone_after_an_error():
    model = Twice()

    def fail(*_):
        raise ZeroDivisionError

    model.f.register_forward_hook(fail)
    with pytest.raises(ZeroDivisionError):
        read(model, {Site(3, "resid"): Point(model.g, 0, "input")})
    assert n_hooks(model) == 2
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_a_site_that_never_comes_is_our_bug():
    model = Twice()
    with pytest.raises(AssertionError, match=r"not computed: \['resid.9'\]"):
        read(model, {Site(9, "resid"): Point(model.f, 2, "input")})


def test_nothing_wanted_runs_nothing():
    ran: list[str] = []
    read_sites(lambda: ran.append("model"), {}, lambda *_: ran.append("visit"))
    assert ran == []
