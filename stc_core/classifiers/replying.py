"""A decoder that writes a reply after its labels, and perhaps a thought before it.

Source: HdLM (arXiv 2507.12930), classification-guided and hierarchical generation. The
states of the lower blocks for a text and its labels are kept. The upper blocks read
them in one prefill when the next part is needed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from stc_core.classifiers.hierarchical import TREE
from stc_core.classifiers.label_tree import Descent
from stc_core.classifiers.labelling.given_texts import check_texts
from stc_core.classifiers.sampling import Chooser, Decoding, pieces, plain_text
from stc_core.classifiers.spelled import SpelledClassifier, open_spelled_kind
from stc_core.classifiers.staged_decoder import Reading
from stc_core.files import read_json
from stc_core.types import Progress, silent

GREEDY = Decoding()


class Written(NamedTuple):
    """The path of each text, and the text and tokens of each part written after it."""

    way: Descent
    parts: dict[str, list[str]]
    tokens: dict[str, list[np.ndarray]]


class WrittenPiece(NamedTuple):
    """A piece of the text of a part, passed on while it is written."""

    part: str
    text: str


class ReplyingClassifier(SpelledClassifier):
    """A SpelledClassifier that writes `parts_` after the labels.

    The last part is written at the top layer. Each part has at most `length_` tokens.
    `layers_` holds the layers of the levels, then those of the parts.
    """

    abilities = ("predict", "generate")

    def __init__(self, *args: Any, parts: Sequence[str], length: int, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.parts_, self.length_ = tuple(parts), length

    @property
    def writes(self) -> bool:
        """True if it predicts all levels; otherwise it cannot write."""
        return self.levels_ == self.tree_.depth

    def write(
        self,
        texts: Sequence[str],
        decoding: Decoding = GREEDY,
        *,
        progress: Progress = silent,
    ) -> Written:
        """The labels of each text, and the parts written after them.

        A part ends at the end token, which is not among its tokens, or at its greatest
        length.
        """
        listed, chooser = check_texts(texts), Chooser(decoding)
        ids, depth = self.backbone_.tokenize(listed).ids, self.tree_.depth
        nodes = np.zeros((len(listed), depth), int)
        shares = tuple(np.zeros((len(listed), n)) for n in self.tree_.sizes)
        tokens = {part: [np.zeros(0, int)] * len(listed) for part in self.parts_}
        done = 0
        for rows in self.speller_.batches(ids, more=self.room):
            reading = self.speller_.begin([ids[row] for row in rows])
            way = self.speller_.read_down(reading, depth)
            nodes[rows] = way.nodes
            for share, of_batch in zip(shares, way.shares, strict=True):
                share[rows] = of_batch
            for place, part in enumerate(self.parts_):
                steps = self._go_on(reading, place, chooser, decoding.length)
                written = _gathered(steps, len(rows))
                for row, row_ids in zip(rows, written, strict=True):
                    tokens[part][row] = row_ids[row_ids != self.speller_.names.end]
            self.speller_.count(reading)
            done += len(rows)
            progress(done, len(listed))
        parts = {
            part: [
                plain_text(self.backbone_.tokenizer, row_ids.tolist()).rstrip()
                for row_ids in of_part
            ]
            for part, of_part in tokens.items()
        }
        return Written(Descent(nodes, shares), parts, tokens)

    def written_columns(self, written: Written | None) -> dict[str, np.ndarray]:
        """The written texts as columns of a table, one column for each part."""
        return {
            f"written_{part}": np.array(
                written.parts[part] if written else [], dtype=object
            )
            for part in self.parts_
        }

    def tell(
        self, text: str, decoding: Decoding = GREEDY
    ) -> tuple[Descent, Iterator[WrittenPiece]]:
        """The labels of a text, and an iterator over the pieces written after them."""
        chooser = Chooser(decoding)
        reading = self.speller_.begin(self.backbone_.tokenize(check_texts([text])).ids)
        way = self.speller_.read_down(reading, self.tree_.depth)
        return way, self._pieces(reading, chooser, decoding.length)

    def _pieces(
        self, reading: Reading, chooser: Chooser, length: int | None
    ) -> Iterator[WrittenPiece]:
        for place, part in enumerate(self.parts_):
            steps = self._go_on(reading, place, chooser, length)
            tokens = (int(tokens[0]) for tokens, _ in steps)
            for piece in pieces(self.backbone_.tokenizer, tokens):
                yield WrittenPiece(part, piece)

    @property
    def room(self) -> int:
        """The most tokens that are written, including the end tokens."""
        return len(self.parts_) * (self.length_ + 1)

    def _go_on(
        self, reading: Reading, place: int, chooser: Chooser, length: int | None
    ) -> Iterator[tuple[Int[Tensor, " batch"], Bool[Tensor, " batch"]]]:
        """The next token of each text and whether it is real, until all have ended.

        The reading then holds the part with its end token; a text that did not reach an
        end token gets one.
        """
        end = self.speller_.names.end
        open_ = torch.ones(
            len(reading.ids), dtype=torch.bool, device=reading.ids.device
        )
        for _ in range(min(length or self.length_, self.length_)):
            tokens = self._next(reading, self.tree_.depth + place, chooser)
            tokens = torch.where(open_, tokens, end)
            reading.push(tokens, open_)
            yield tokens, open_
            open_ = open_ & (tokens != end)
            if not open_.any():
                return
        reading.push(torch.full_like(reading.ids[:, 0], end), open_)

    @torch.inference_mode()
    def _next(self, reading: Reading, stage: int, chooser: Chooser) -> Tensor:
        logits = self.speller_.logits(stage, reading.states(stage))
        return chooser.choose(reading.ids, logits)

    def _parts_written(self) -> dict[str, Any]:
        return {"parts": self.parts_, "length": self.length_}

    def _record(self) -> dict[str, Any]:
        return {**super()._record(), **self._parts_written()}


def _gathered(
    steps: Iterator[tuple[Tensor, Tensor]], n: int
) -> list[Int[np.ndarray, " _"]]:
    """The real tokens of each text."""
    by_row: list[list[int]] = [[] for _ in range(n)]
    for tokens, real in steps:
        for row in np.flatnonzero(real.cpu().numpy()):
            by_row[row].append(int(tokens[row]))
    return [np.array(row, int) for row in by_row]


def open_spelled(folder: str | Path, **arguments: Any) -> SpelledClassifier:
    """The classifier that spells its labels, saved in `folder`.

    It is a ReplyingClassifier if it was one when it was saved.
    """
    record = read_json(Path(folder) / TREE)
    if "parts" not in record:
        return open_spelled_kind(folder, **arguments)
    replies = {"parts": record["parts"], "length": record["length"]}
    return open_spelled_kind(folder, kind=ReplyingClassifier, **replies, **arguments)
