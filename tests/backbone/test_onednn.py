"""Linear layers with laid-out weights give what torch's own give."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from helpers.models.tiny import fresh_backbone, tiny_backbone
from stc_core.backbone import onednn
from stc_core.backbone.onednn import copied_bytes, lay_out

pytestmark = pytest.mark.skipif(
    copied_bytes(nn.Linear(2, 2)) == 0, reason="for CPUs of x86 alone"
)


def layer(kind: str, width: int, wide: int, *, bias: bool = True) -> Any:
    torch.manual_seed(0)
    made = (
        nn.Linear(width, wide, bias=bias) if kind == "linear" else Conv1D(wide, width)
    )
    lay_out(made)
    return made.requires_grad_(False)


def of_torch(made: nn.Module, x: Tensor) -> Tensor:
    with torch.enable_grad():
        return made(x).detach()


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
@pytest.mark.parametrize("width, wide", [(1, 1), (3, 5), (17, 64), (384, 1536)])
def test_inputs_of_any_shape_and_layout(kind, width, wide):
    made = layer(kind, width, wide)
    inputs = [
        torch.randn(width),
        torch.randn(1, 7, width),
        torch.randn(2, 130, width),
        torch.randn(width, 9).T,
        torch.randn(6, 2, width)[:, 1],
        torch.empty(0, width),
    ]
    for x in inputs:
        if kind == "conv1d" and x.ndim == 1:
            continue
        expected = of_torch(made, x)
        with torch.inference_mode():
            found = made(x)
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_layer_without_a_bias():
    made = layer("linear", 8, 4, bias=False)
    x = torch.randn(3, 8)
    with torch.no_grad():
        found = made(x)
    torch.testing.assert_close(found, x @ made.weight.T)


def test_gradients_flow_as_ever():
    made = layer("linear", 8, 4)
    with torch.inference_mode():
        made(torch.randn(3, 8))
    x = torch.randn(3, 8, requires_grad=True)
    made(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, made.weight.sum(0).expand(3, 8))


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
@pytest.mark.parametrize("change", ["in place", "replaced", "optimizer"])
def test_a_weight_that_changed_is_laid_out_again(kind, change):
    made, x = layer(kind, 8, 4), torch.randn(3, 8)
    with torch.inference_mode():
        before = made(x).clone()
    if change == "in place":
        with torch.no_grad():
            made.weight.add_(1)
    elif change == "replaced":
        made.weight.data = made.weight.data + 1
    else:
        made.requires_grad_(True)
        made(x).sum().backward()
        torch.optim.SGD(made.parameters(), lr=0.1).step()
        made.requires_grad_(False)
    with torch.inference_mode():
        after = made(x)
    torch.testing.assert_close(after, of_torch(made, x))
    assert (after - before).abs().max() > 0.01


def test_a_layer_that_was_run_is_copied_and_pickled():
    made, x = layer("linear", 8, 4), torch.randn(3, 8)
    with torch.no_grad():
        expected = made(x)
        for again in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
            torch.testing.assert_close(again(x), expected)
            again.weight.zero_()
            assert not torch.equal(again(x), expected)
        torch.testing.assert_close(made(x), expected)


def test_other_layers_stay_as_they_are():
    class Own(nn.Linear):
        pass

    model = nn.Sequential(Own(3, 3), nn.LayerNorm(3), nn.Linear(3, 3))
    lay_out(model)
    assert [type(module) for module in model][:2] == [Own, nn.LayerNorm]
    assert isinstance(model[2], nn.Linear) and type(model[2]) is not nn.Linear
    assert list(model.state_dict()) == list(copy.deepcopy(model).state_dict())


def test_a_model_that_is_too_large_is_left_alone(monkeypatch):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    assert copied_bytes(model) == 128
    monkeypatch.setattr(onednn, "_MOST_BYTES", 127)
    assert copied_bytes(model) == 0
    lay_out(model)
    assert type(model[0]) is nn.Linear


def test_half_precision_is_left_alone():
    assert copied_bytes(nn.Linear(4, 4).bfloat16()) == 0
    made, x = layer("linear", 4, 4), torch.randn(2, 4)
    half = made.bfloat16()
    with torch.inference_mode():
        assert half(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_a_backbone_reads_with_laid_out_weights(family, monkeypatch):
    backbone = tiny_backbone(family)
    ids = [np.array([5, 6, 7]), np.array([8, 9])]
    found = backbone.token_activations(ids, backbone.sites)
    run = [m for m in backbone.model.modules() if getattr(m, "_kept", None)]
    assert len(run) >= 2 * backbone.n_layers
    monkeypatch.setattr(onednn._LaidOut, "_can", lambda *_: False)
    plain = backbone.token_activations(ids, backbone.sites)
    # Each layer rounds its sums by some 6e-8 of their largest parts, in an order of the
    # processor's own, and passes that on to about twenty others.
    for a, b in zip(found, plain, strict=True):
        for site in backbone.sites:
            most = 1e-5 * float(b[site].abs().max())
            torch.testing.assert_close(a[site], b[site], rtol=0, atol=most)


def test_a_layer_above_the_highest_site_is_not_kept_twice():
    backbone = fresh_backbone()
    lowest = [site for site in backbone.sites if site.layer <= 1]
    backbone.token_activations([np.array([5, 6, 7])], lowest)
    top = backbone.block(backbone.n_layers)
    assert top is not None
    assert not any(getattr(module, "_kept", None) for module in top.modules())


def test_a_weight_that_learns_is_read_as_it_is():
    """A checkpoint may be copied into it past its version."""
    made, x = layer("linear", 8, 4), torch.randn(3, 8)
    with torch.inference_mode():
        made(x)
    made.requires_grad_(True)
    made.weight.data.add_(1)
    with torch.no_grad():
        torch.testing.assert_close(made(x), of_torch(made, x))
    made.requires_grad_(False)
    made.weight.data.add_(1)
    with torch.inference_mode():
        torch.testing.assert_close(made(x), of_torch(made, x))
