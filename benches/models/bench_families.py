"""Every family of the installed transformers: are its sites what they are said to be?

Each is built tiny, with random weights, and read as a backbone, which is held against
family_oracle.py. `exact`: all sites agree with it; `residual only`: so do residual
ones, and a note says that no FFN neurons are read; `refused`: a sentence says why.
`wrong` must never be. The table goes to docs/models.md, the counts to RESULTS.md.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

from benches.measure import Row, show, table
from benches.models.families import NO_TEXT, build, families
from benches.models.family_oracle import faults
from stc_core.backbone.backbone import Backbone
from stc_core.errors import StcError

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- families: begin -->", "<!-- families: end -->"
OUTCOMES = (
    "exact",
    "exact in part",
    "residual only",
    "refused",
    "fails on text alone",
    "not built",
    "wrong",
)


class Verdict(NamedTuple):
    """What comes of a family, and what is said of it."""

    family: str
    outcome: str
    said: str


def tokenizer() -> Any:
    """One word of which a backbone needs no more than that it is there."""
    words = {f"w{number}": number for number in range(64)}
    backend = Tokenizer(WordLevel(words, unk_token="w0"))
    backend.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="w1", eos_token="w2", unk_token="w0"
    )


def judged(family: str) -> Verdict | None:
    """None for a family that reads no text."""
    try:
        model, reason = build(family)
    except Exception as error:  # noqa: BLE001 - the library's, of sizes of ours
        return Verdict(family, "not built", _line(error))
    if model is None:
        return None if reason == NO_TEXT else Verdict(family, "not built", reason)
    try:
        backbone = Backbone.from_model(model, tokenizer(), name=family)
    except StcError as error:
        return Verdict(family, "refused", str(error))
    except Exception as error:  # noqa: BLE001 - it may ask for an image
        return Verdict(family, "fails on text alone", _line(error))
    if wrong := faults(backbone):
        return Verdict(family, "wrong", "; ".join(wrong))
    n_blocks = sum("block" in name for name in backbone.layer_names)
    n_mlp = sum(site.kind == "mlp" for site in backbone.sites)
    outcomes = {n_blocks: "exact", 0: "residual only"}
    outcome = outcomes.get(n_mlp, "exact in part")
    return Verdict(family, outcome, " ".join(backbone.notes))


def _line(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    first = re.sub(r"/\S*site-packages/", "", first)  # where it is on this machine
    return f"{type(error).__name__}: {first}".replace("|", "/")[:200]


def publish(verdicts: Sequence[Verdict]) -> None:
    """Write the table between the marks of the page."""
    rows: list[Row] = [
        verdict._asdict()
        for outcome in OUTCOMES
        for verdict in verdicts
        if verdict.outcome == outcome
    ]
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    about = f"With transformers {transformers.__version__}: " + ", ".join(
        f"{sum(v.outcome == outcome for v in verdicts)} {outcome}"
        for outcome in OUTCOMES
    )
    parts = [BEGIN, f"{about}.", table(rows), END]
    PAGE.write_text(before + "\n\n".join(parts) + after, encoding="utf-8")


def bench() -> Iterator[Row]:
    logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    verdicts = []
    for family in families():
        if (verdict := judged(family)) is not None:
            verdicts.append(verdict)
    publish(verdicts)
    for outcome in OUTCOMES:
        n = sum(verdict.outcome == outcome for verdict in verdicts)
        yield {"bench": "families", "case": outcome, "families": n}


if __name__ == "__main__":
    show(bench, __doc__ or "")
