"""The training of a backbone as a language model on the texts of a corpus.

A bidirectional model guesses masked words (arXiv 1810.04805), and a causal model
guesses the next word. The word vectors do not change.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, layer_norm
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from stc_core.backbone import changes
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading import hub
from stc_core.backbone.loading.checkpoint import quiet
from stc_core.backbone.loading.loading_errors import explain_model_errors
from stc_core.errors import StcError
from stc_core.tuning.readout import Readout, learn
from stc_core.types import Site

MASKED, AS_MASK, AS_OTHER = 0.15, 0.8, 0.1
"""The share of tokens to guess; the shares of these that are shown as the mask and as a
random token."""


class Guesses(NamedTuple):
    """The mean cross-entropy of guessed words, their number, and the number right."""

    loss: Float[Tensor, ""]
    n: int
    right: int


class WordHead(nn.Module):
    """Logits of all words from the last states of the model.

    If `own` is true, it is the head from the model files. Otherwise it is tied to the
    input word vectors and at first gives all words the same logit.
    """

    def __init__(self, backbone: Backbone, model: nn.Module | None) -> None:
        super().__init__()
        self.own = model is not None
        if model is not None:
            prefix = cast(Any, model).base_model_prefix
            setattr(model, prefix, _Entrance())
            self.model = model
            self._entrance = [getattr(model, prefix)]
            outer = cast(Any, model).get_output_embeddings()
            learn(model)
            if outer is not None:
                cast(Tensor, outer.weight).requires_grad_(False)
        else:
            words = cast(Any, backbone.model).get_input_embeddings().weight
            self._words = [words]
            self.bridge = nn.Linear(_last_width(backbone), words.shape[1])
            nn.init.zeros_(self.bridge.weight)
            nn.init.zeros_(self.bridge.bias)
            self.bias = nn.Parameter(torch.zeros(len(words)))
        self.to(backbone.device)

    def forward(self, states: Float[Tensor, "n d"]) -> Float[Tensor, "n words"]:
        if self.own:
            entrance = self._entrance[0]
            entrance.states = states[None].float()
            ids = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
            logits = self.model(input_ids=ids).logits[0]
            entrance.states = None
            return logits.float()
        vectors = self.bridge(layer_norm(states.float(), states.shape[-1:]))
        return vectors.float() @ self._words[0].float().T + self.bias


class _Entrance(nn.Module):
    """A stand-in for the blocks below a head, which returns given states."""

    states: Tensor | None = None

    def forward(self, *args: Any, **more: Any) -> Any:
        assert self.states is not None
        states = cast(Any, self.states)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=states)


def word_head(backbone: Backbone) -> WordHead:
    """The word head of the backbone's files, or a new one tied to its word vectors."""
    folder = changes.root_folder(hub.resolve(backbone.name))
    return WordHead(backbone, language_model(folder, causal=backbone.causal))


def language_model(folder: Path, *, causal: bool) -> nn.Module | None:
    """The whole language model in float32; None if the files or family have no head."""
    kind = AutoModelForCausalLM if causal else AutoModelForMaskedLM
    with quiet(), explain_model_errors(f"language model in {str(folder)!r}", folder):
        try:
            loaded: Any = kind.from_pretrained(
                folder.absolute(),
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
        except ValueError as error:
            if "Unrecognized configuration class" not in str(error):
                raise
            return None
    model, report = loaded
    return None if report["missing_keys"] or report["mismatched_keys"] else model


def check_language(backbone: Backbone) -> None:
    """Raise StcError unless the backbone can be trained as a language model."""
    where = f"language model of {backbone.name}"
    if getattr(backbone.config, "is_encoder_decoder", False):
        raise StcError(
            where,
            expected="an encoder or a decoder",
            got="an encoder with a decoder",
            remedy="Choose --schedule frozen, or another backbone.",
        )
    if not backbone.causal and backbone.tokenizer.mask_token_id is None:
        raise StcError(
            where,
            expected="a tokenizer with a mask token",
            remedy="Choose --schedule frozen, or another backbone.",
        )


def top_site(backbone: Backbone) -> Site:
    """The hidden states of the last layer."""
    return max(site for site in backbone.sites if site.kind == "resid")


def read_whole(
    backbone: Backbone, inputs: Mapping[str, Tensor], sites: Sequence[Site]
) -> tuple[dict[Site, Tensor], Float[Tensor, "batch pos d"]]:
    """The states of `sites` and the output of the model, from one forward pass."""
    wanted = list(dict.fromkeys([*sites, top_site(backbone)]))

    def read(part: dict[str, Tensor]) -> dict[Site | None, Tensor]:
        ends: list[Tensor] = []
        handle = backbone.model.register_forward_hook(
            lambda model, args, output: ends.append(output[0])
        )
        try:
            hidden = backbone.graded(part, wanted)
        finally:
            handle.remove()
        return {**hidden, None: ends[0]}

    states = backbone.by_parts(inputs, read)
    last = states.pop(None)
    return {site: x for site, x in states.items() if site is not None}, last


@torch.no_grad()
def _last_width(backbone: Backbone) -> int:
    """The width of the model output, which may differ from that of its blocks."""
    token = torch.ones((1, 1), dtype=torch.long, device=backbone.device)
    inputs = {"input_ids": token, "attention_mask": token}
    return read_whole(backbone, inputs, ())[1].shape[-1]


def next_words(
    head: WordHead, last: Float[Tensor, "batch pos d"], inputs: Mapping[str, Tensor]
) -> Guesses:
    """The guesses of each token from the tokens before it."""
    follows = inputs["attention_mask"].bool()[:, 1:]
    words = inputs["input_ids"][:, 1:]
    return _guessed(head, last[:, :-1][follows], words[follows])


def hidden_words(
    backbone: Backbone,
    head: WordHead,
    inputs: Mapping[str, Tensor],
    *,
    sites: Sequence[Site] = (),
    generator: torch.Generator | None = None,
) -> tuple[Guesses, dict[Site, Tensor]]:
    """The guesses of hidden tokens of a batch, and the states with them hidden."""
    shown, chosen = hide(backbone, inputs, generator)
    hidden, last = read_whole(backbone, {**inputs, "input_ids": shown}, sites)
    return _guessed(head, last[chosen], inputs["input_ids"][chosen]), hidden


def hide(
    backbone: Backbone,
    inputs: Mapping[str, Tensor],
    generator: torch.Generator | None = None,
) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"]]:
    """The ids with some tokens hidden, and a mask of the tokens to guess.

    Padding and special tokens are never chosen. At least one token is, if possible.
    """
    ids = inputs["input_ids"].cpu()
    special = torch.tensor(backbone.tokenizer.all_special_ids)
    free = inputs["attention_mask"].cpu().bool() & ~torch.isin(ids, special)
    draw = torch.rand(ids.shape, generator=generator).masked_fill(~free, 2.0)
    chosen = (draw < MASKED) | ((draw == draw.min()) & free)
    change = torch.rand(ids.shape, generator=generator)
    words = cast(Any, backbone.model).get_input_embeddings().weight
    other = torch.randint(len(words), ids.shape, generator=generator)
    shown = torch.where(chosen & (change < AS_MASK), _mask_id(backbone), ids)
    swapped = chosen & (change >= AS_MASK) & (change < AS_MASK + AS_OTHER)
    shown = torch.where(swapped, other, shown)
    return shown.to(backbone.device), chosen.to(backbone.device)


def _mask_id(backbone: Backbone) -> int:
    mask = backbone.tokenizer.mask_token_id
    assert isinstance(mask, int), backbone.name
    return mask


def _guessed(
    head: WordHead, states: Float[Tensor, "n d"], words: Int[Tensor, " n"]
) -> Guesses:
    if not len(words):
        return Guesses(0.0 * states.sum(), 0, 0)
    logits = head(states)
    right = int((logits.detach().argmax(-1) == words).sum())
    return Guesses(cross_entropy(logits, words), len(words), right)


class Speaker(Readout):
    """The backbone with its word head, as a trainable module; it ignores labels.

    Its validation score is the share of words guessed right; each validation hides the
    same words.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: WordHead,
        parts: Sequence[nn.Module],
        blocks: Sequence[nn.Module],
    ) -> None:
        nn.Module.__init__(self)
        self.model, self.words = backbone.model, head
        self._backbone, self._blocks = backbone, [*blocks, head]
        for part in parts:
            learn(part)

    def forward(
        self, labels: Tensor | None = None, **inputs: Tensor
    ) -> dict[str, Tensor]:
        """The loss, and as logits the numbers of words and of right words, per text."""
        guesses = self._guess(inputs)
        n = len(inputs["input_ids"])
        counts = torch.tensor([[guesses.n, guesses.right]], dtype=torch.float32) / n
        return {
            "loss": guesses.loss,
            "logits": counts.expand(n, -1).to(guesses.loss.device),
        }

    def _guess(self, inputs: Mapping[str, Tensor]) -> Guesses:
        backbone = self._backbone
        if backbone.causal:
            return next_words(self.words, read_whole(backbone, inputs, ())[1], inputs)
        fixed = None if self.training else torch.Generator().manual_seed(0)
        return hidden_words(backbone, self.words, inputs, generator=fixed)[0]

    def scores(self, found: Any) -> dict[str, float]:
        n, right = found.predictions.sum(0)
        return {"accuracy": float(right / max(n, 1))}
