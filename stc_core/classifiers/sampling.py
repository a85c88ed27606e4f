"""The choice of the next word: the likeliest word, or a drawn one."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from stc_core.errors import StcError

COLDEST = 0.0001  # a lower temperature would make logits too large for float32
_HALF = "\ufffd"  # stands for an incomplete character in the output of a tokenizer


class Decoding(NamedTuple):
    """How words are chosen. Temperature 0 takes the likeliest word; else `seed` draws.

    Words are drawn from the likeliest words with the total probability `top_p`.
    `length` is the most tokens of a part; None means the length of the training.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    length: int | None = None

    def checked(self) -> "Decoding":
        """The same settings; StcError names one that is not valid."""
        length = 1 if self.length is None else self.length
        for name, good, expected, got in (
            (
                "temperature",
                self.temperature == 0 or self.temperature >= COLDEST,
                f"0, or {COLDEST} or more",
                self.temperature,
            ),
            ("top_p", 0 < self.top_p <= 1, "above 0, up to 1", self.top_p),
            ("seed", 0 <= self.seed < 2**63, "0 up to 2**63 - 1", self.seed),
            ("length", length >= 1, "at least one token", length),
        ):
            if not good:
                raise StcError(name, expected=expected, got=str(got))
        return self


class Chooser:
    """Chooses one word after another; the same seed draws the same words."""

    def __init__(self, decoding: Decoding) -> None:
        self.greedy = decoding.checked().temperature == 0
        self.warp = LogitsProcessorList()
        if not self.greedy:
            self.warp.append(TemperatureLogitsWarper(float(decoding.temperature)))
            if decoding.top_p < 1:
                self.warp.append(TopPLogitsWarper(float(decoding.top_p)))
        self.generator = torch.Generator().manual_seed(decoding.seed)

    def choose(
        self,
        ids: Int[Tensor, "batch pos"],
        logits: Float[Tensor, "batch vocabulary"],
    ) -> Int[Tensor, " batch"]:
        """The next word of each text, from the logits after its tokens `ids`."""
        if self.greedy:
            return logits.argmax(dim=-1)
        scores: Any = self.warp(ids, logits)  # pyright: ignore[reportArgumentType]
        p = scores.softmax(-1).cpu()
        drawn = torch.multinomial(p, 1, generator=self.generator)[:, 0]
        return drawn.to(logits.device)


def plain_text(tokenizer: Any, ids: list[int]) -> str:
    """The text of the tokens, without special tokens and without leading spaces."""
    text = tokenizer.decode(
        ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text.lstrip()


def pieces(tokenizer: Any, tokens: Iterator[int]) -> Iterator[str]:
    """The text of `tokens`, piece by piece; joined, the pieces are the whole text.

    A character made of several tokens is passed on when it is complete.
    """
    ids, passed_on = [], ""
    for token in tokens:
        ids.append(token)
        text = plain_text(tokenizer, ids)
        if len(text) > len(passed_on) and not text.endswith(_HALF):
            yield text[len(passed_on) :]
            passed_on = text
    if rest := plain_text(tokenizer, ids)[len(passed_on) :]:
        yield rest
