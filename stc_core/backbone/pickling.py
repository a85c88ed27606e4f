"""How pickle keeps a backbone: by its name and identity, or whole if it has no name."""

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from stc_core.backbone.loading.checkpoint import choose_device
from stc_core.backbone.structure.trace import remove_collecting_hooks
from stc_core.errors import StcError


class Opened(NamedTuple):
    """A backbone as it was loaded; `identity` is that of its files."""

    name: str
    identity: str
    dtype: str
    max_length: int
    device: str


_HERE: WeakValueDictionary[Opened, Any] = WeakValueDictionary()
"""The backbones that were pickled or opened here, as long as somebody has them."""


def reduced(backbone: Any, *, loaded: bool) -> tuple[Callable[..., Any], tuple]:
    """What `__reduce__` gives for a backbone.

    One that was loaded by a name is loaded again by it. One in memory alone goes
    whole, model and tokenizer, as it could not be found again.
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
    """The backbone of class `kind` that was pickled; the same one where it is here.

    On its device, or on the best one of this machine if that is not here. StcError if
    the weights or the tokenizer of this name are others now.
    """
    about = Opened(*about)
    if (here := _HERE.get(about)) is not None:
        return here
    found = kind.load(
        about.name,
        device=about.device if _is_here(about.device) else "auto",
        dtype=about.dtype,
        max_length=about.max_length,
    )
    if found.identity != about.identity:
        raise StcError(
            f"pickled classifier on the backbone {about.name!r}",
            expected=f"one of identity {about.identity[:12]}, as at the fit",
            got=f"one of identity {found.identity[:12]}",
            remedy="Bring the backbone of the fit back, or fit again.",
        )
    _HERE[about] = found
    return found


def _is_here(device: str) -> bool:
    try:
        choose_device(device)
    except StcError:
        return False
    return True
