"""How near written texts are to true ones, and how varied they are."""

from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU


def bleu_2(written: Sequence[str], true: Sequence[str]) -> float:
    """BLEU of all texts, 0 to 100, by single words and pairs, as sacrebleu counts.

    Tokens 13a, smoothed exponentially (Post 2018).
    """
    scorer = BLEU(max_ngram_order=2)
    return float(scorer.corpus_score(list(written), [list(true)]).score)


def distinct(texts: Sequence[str], n: int) -> float:
    """The share of different ones among all runs of `n` words; 0 if there are none.

    Words are what spaces part, in lower case. Source: Li et al. 2016, distinct-n.
    """
    runs = [
        tuple(words[at : at + n])
        for words in (text.lower().split() for text in texts)
        for at in range(len(words) - n + 1)
    ]
    return len(set(runs)) / len(runs) if runs else 0.0
