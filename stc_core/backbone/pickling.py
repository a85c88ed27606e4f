"""Pickles a backbone by its name and identity, or whole if it was made in memory."""

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from stc_core.backbone.loading.checkpoint import choose_device
from stc_core.backbone.structure.trace import remove_collecting_hooks
from stc_core.errors import StcError


class Opened(NamedTuple):
    """What is needed to load a backbone again; `identity` is that of its files."""

    name: str
    identity: str
    dtype: str
    max_length: int
    device: str


_HERE: WeakValueDictionary[Opened, Any] = WeakValueDictionary()
"""The backbones pickled or opened in this process, as long as they are in use."""


def reduce_backbone(backbone: Any, *, loaded: bool) -> tuple[Callable[..., Any], tuple]:
    """The result of `__reduce__` for a backbone.

    A backbone that was loaded by a name is loaded again by that name. One in memory is
    pickled whole, with model and tokenizer, since nothing else could find it.
    """
    if not loaded:
        with backbone.alone():
            remove_collecting_hooks(backbone.model)
        return _whole, (
            type(backbone),
            backbone.model,
            backbone.tokenizer,
            backbone.name,
            backbone.identity,
            backbone.max_length,
        )
    dtype = str(backbone.dtype).removeprefix("torch.")
    about = Opened(
        backbone.name,
        backbone.identity,
        dtype,
        backbone.max_length,
        str(backbone.device),
    )
    _HERE[about] = backbone
    return opened, (type(backbone), about)


def _whole(
    kind: Callable[..., Any],
    model: Any,
    tokenizer: Any,
    name: str,
    identity: str,
    max_length: int,
) -> Any:
    """A backbone of class `kind` around the model that was pickled with it."""
    return kind(model, tokenizer, name=name, identity=identity, max_length=max_length)


def opened(kind: Any, about: Opened) -> Any:
    """The backbone of class `kind` that was pickled; the same object if it is in use.

    It is on its old device, or on the best device of this machine if that one does not
    exist here. StcError if this name now has other weights or another tokenizer.
    """
    about = Opened(*about)
    if (in_use := _HERE.get(about)) is not None:
        return in_use
    backbone = kind.load(
        about.name,
        device=about.device if _is_here(about.device) else "auto",
        dtype=about.dtype,
        max_length=about.max_length,
    )
    if backbone.identity != about.identity:
        raise StcError(
            f"pickled classifier on the backbone {about.name!r}",
            expected=f"a backbone with identity {about.identity[:12]}, as at the fit",
            got=f"a backbone with identity {backbone.identity[:12]}",
            remedy="Restore the backbone of the fit, or fit again.",
        )
    _HERE[about] = backbone
    return backbone


def _is_here(device: str) -> bool:
    """Whether this machine has the device."""
    try:
        choose_device(device)
    except StcError:
        return False
    return True
