"""How near written texts are to true ones, and how varied they are."""

from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics.bleu import BLEU

PERPLEXITY = (
    "Among how many tokens, as if alike, the model wavers at each of the true reply's."
)


def bleu_2(written: Sequence[str], true: Sequence[str]) -> float:
    """BLEU of all texts, 0 to 100, by single words and pairs, as sacrebleu counts.

    Tokens 13a, smoothed exponentially (Post 2018).
    """
    scorer = BLEU(max_ngram_order=2)
    return float(scorer.corpus_score(list(written), [list(true)]).score)


def measures(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """Each measure of `test.generation` by name, with its value and what it means."""
    said = [
        ("perplexity", "Perplexity, true label", PERPLEXITY),
        ("perplexity_decoded", "Perplexity, decoded label", "The same after the "
         "label (and thought) that the model decided itself."),
        ("bleu_2", "BLEU-2", "Words and pairs of words that written and true replies "
         "share, 0 to 100."),
        ("bleu_2_thought", "BLEU-2 of the thought", "The same of what is written "
         "before the reply."),
        ("bleu_2_borrowed", "BLEU-2, borrowed", "The same of training replies to "
         "other texts of the decoded label."),
        ("distinct_1", "Distinct-1", "Share of different words among all that were "
         "written."),
        ("distinct_1_true", "Distinct-1, true", "The same of the true replies."),
        ("distinct_2", "Distinct-2", "Share of different pairs of words."),
        ("distinct_2_true", "Distinct-2, true", "The same of the true replies."),
    ]  # fmt: skip
    return [
        {"measure": name, "value": scores[key], "meaning": meaning}
        for key, name, meaning in said
        if key in scores
    ]


def distinct_n(texts: Sequence[str], n: int) -> float:
    """The share of different ones among all runs of `n` words; 0 if there are none.

    Words are what spaces part, in lower case. Source: Li et al. 2016, distinct-n.
    """
    runs = [
        tuple(words[at : at + n])
        for words in (text.lower().split() for text in texts)
        for at in range(len(words) - n + 1)
    ]
    return len(set(runs)) / len(runs) if runs else 0.0
