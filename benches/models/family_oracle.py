"""What the sites of a tiny model must be, found out without the code that finds them.

Each text is run alone, and the model itself shows its hidden states. The last of them
has gone through the model's final norm; of a recurrent model the first is missing.
"""

import inspect
import re
from typing import Any

import numpy as np
import torch

from benches.models.families import D_FFN, D_MODEL
from stc_core.backbone.backbone import Backbone
from stc_core.types import Site

TOLERANCE = 1e-4
LENGTHS = (3, 40, 7)
WIDTHS = {
    **dict.fromkeys(("bloom", "gpt_neox_japanese", "mpt", "openai-gpt"), 4 * D_MODEL),
    **dict.fromkeys(("moshi", "recurrent_gemma"), D_FFN // 2),
    **dict.fromkeys(("lfm2", "lfm2_vl"), 256),  # 2/3 of it, up to a multiple of 256
    "xlstm": 128,  # 8/3 of d_model, up to a multiple of 64
}
"""Of FFNs whose width is not that of the config, or is in no field of it."""
TAIL = re.compile(r"(norm\w*|ln\w*|\w*proj\w*|dense\w*|linear\w*)$", re.IGNORECASE)
"""What families call the modules above their last block."""


def texts() -> list[np.ndarray]:
    """Ids of texts of very unlike lengths; no special token is among them."""
    rng = np.random.default_rng(0)
    return [rng.integers(8, 60, n).astype(np.int32) for n in LENGTHS]


@torch.no_grad()
def shown(model: Any, ids: np.ndarray, start: int) -> list[torch.Tensor]:
    """The hidden states that the model shows of a text alone, stack after stack."""
    row = torch.from_numpy(ids[None].astype(np.int64))
    more: dict[str, Any] = {"output_hidden_states": True}
    if "use_cache" in inspect.signature(model.forward).parameters:
        more["use_cache"] = False
    if model.config.is_encoder_decoder:
        first = torch.tensor([[start]])
        more["decoder_input_ids"] = torch.cat([first, row[:, :-1]], 1)
    out = model(input_ids=row, attention_mask=torch.ones_like(row), **more)
    if model.config.is_encoder_decoder:
        states = [*out.encoder_hidden_states, *out.decoder_hidden_states]
    else:
        states = list(out.hidden_states)
    return [state[0].float() for state in states]


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape:
        return False
    most = TOLERANCE * max(1.0, float(other.abs().max()))
    return float((one - other).abs().max()) <= most


def onward(model: Any, state: torch.Tensor, last: torch.Tensor) -> bool:
    """True if modules that are in no list of blocks make `last` of `state`."""
    free = [
        module
        for name, module in model.named_modules()
        if TAIL.search(name)
        and not re.search(r"\.\d+(\.|$)|vision|visual|image|modal|projector", name)
    ]
    made = [state[None]]
    for _ in range(3):
        if any(same(x[0], last) for x in made):
            return True
        for module in free:
            for x in list(made):
                try:
                    out = module(x)
                except (RuntimeError, TypeError, LookupError, ValueError):
                    continue
                if isinstance(out, torch.Tensor) and out.ndim == 3 and len(made) < 60:
                    made.append(out)
    return any(same(x[0], last) for x in made)


def faults(backbone: Backbone) -> list[str]:
    """What disagrees with the oracle."""
    model: Any = backbone.model
    ids, start = texts(), _start(model.config)
    found: list[str] = []
    together = backbone.token_activations(ids, backbone.sites)
    again = backbone.token_activations(ids[:1], backbone.sites)
    for place, row in enumerate(ids):
        states = shown(model, row, start)
        if len(states) != backbone.n_layers + 1:
            return [f"{backbone.n_layers} layers, {len(states)} hidden states"]
        tops = [backbone.n_layers]
        tops += [
            n - 1
            for n, name in enumerate(backbone.layer_names)
            if n and "embed" in name
        ]
        if same(together[place][Site(1, "resid")], states[0]):
            # what blocks give, and the last of it once more, after the norm
            states = [together[place][Site(0, "resid")], *states[:-2], states[-1]]
        for layer, state in enumerate(states):
            mine = together[place][Site(layer, "resid")]
            with torch.no_grad():
                right = same(mine, state) or (
                    layer in tops and onward(model, mine, state)
                )
            if not right:
                found.append(f"resid.{layer} of {len(row)} tokens")
    for site, values in again[0].items():
        if not same(together[0][site], values):
            found.append(f"{site} depends on its batch")
    return found + ffn_faults(backbone)


def ffn_faults(backbone: Backbone) -> list[str]:
    """FFN sites of another width than the config says."""
    widths = {WIDTHS.get(backbone.name, D_FFN)}
    return [
        f"{site} has width {width}"
        for site, width in backbone.widths.items()
        if site.kind == "mlp" and width not in widths
    ]


def _start(config: Any) -> int:
    names = ("decoder_start_token_id", "bos_token_id", "pad_token_id")
    ids = (getattr(config, name, None) for name in names)
    return next((i for i in ids if isinstance(i, int)), 0)
