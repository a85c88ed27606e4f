"""How similar generated texts are to true ones, and how varied they are."""

from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics.bleu import BLEU

PERPLEXITY = (
    "The number of equally likely tokens among which the model would choose as "
    "uncertainly, on average over the tokens of the true replies."
)


def bleu_2(written: Sequence[str], true: Sequence[str]) -> float:
    """BLEU of all texts, 0 to 100, over single words and pairs, as in sacrebleu.

    Tokens are 13a, with exponential smoothing (Post 2018).
    """
    scorer = BLEU(max_ngram_order=2)
    return float(scorer.corpus_score(list(written), [list(true)]).score)


def generation_measures(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """Each measure in `test.generation` by name, with its value and its meaning."""
    descriptions = [
        ("perplexity", "Perplexity, true label", PERPLEXITY),
        ("perplexity_decoded", "Perplexity, decoded label", "The same after the "
         "label (and thought) that the model itself decided on."),
        ("bleu_2", "BLEU-2", "Words and pairs of words that generated and true "
         "replies share, 0 to 100."),
        ("bleu_2_thought", "BLEU-2 of the thought", "The same for the text that "
         "is generated before the reply."),
        ("bleu_2_borrowed", "BLEU-2, borrowed", "The same for training replies to "
         "other texts with the decoded label."),
        ("distinct_1", "Distinct-1", "Share of distinct words among all generated "
         "words."),
        ("distinct_1_true", "Distinct-1, true", "The same for the true replies."),
        ("distinct_2", "Distinct-2", "Share of distinct pairs of words."),
        ("distinct_2_true", "Distinct-2, true", "The same for the true replies."),
    ]  # fmt: skip
    return [
        {"measure": name, "value": scores[key], "meaning": meaning}
        for key, name, meaning in descriptions
        if key in scores
    ]


def distinct_n(texts: Sequence[str], n: int) -> float:
    """The share of distinct ones among all runs of `n` words; 0 if there are none.

    Words are separated by spaces, in lower case. Source: Li et al. 2016, distinct-n.
    """
    runs = [
        tuple(words[start : start + n])
        for words in (text.lower().split() for text in texts)
        for start in range(len(words) - n + 1)
    ]
    return len(set(runs)) / len(runs) if runs else 0.0
