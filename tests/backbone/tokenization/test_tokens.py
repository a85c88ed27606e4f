"""Token ids and spans, with fast and slow tokenizers."""

import numpy as np
import pytest
from transformers import PreTrainedTokenizer

from helpers.models.tiny import VOCAB, tiny_tokenizer
from stc_core.backbone.tokenization.tokens import Span, spans, tokenize


class SlowTokenizer(PreTrainedTokenizer):
    """Words of the tiny vocabulary, lower-cased, in pieces of at most four letters."""

    def __init__(self, **options):
        words = [*VOCAB, "goo", "##d"]
        self.words = {word: number for number, word in enumerate(words)}
        super().__init__(
            bos_token="<s>", eos_token="</s>", unk_token="<unk>", **options
        )

    @property
    def vocab_size(self) -> int:
        return len(self.words)

    def get_vocab(self) -> dict[str, int]:
        return dict(self.words)

    def _tokenize(self, text: str) -> list[str]:
        return text.lower().replace("good", "goo ##d").split()

    def _convert_token_to_id(self, token: str) -> int:
        return self.words.get(token, self.words["<unk>"])

    def _convert_id_to_token(self, index: int) -> str:
        return list(self.words)[index]

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        return [2, *token_ids_0, 3]

    def get_special_tokens_mask(
        self, token_ids_0, token_ids_1=None, already_has_special_tokens=False
    ):
        if already_has_special_tokens:
            return [int(token in (2, 3)) for token in token_ids_0]
        return [1, *(0 for _ in token_ids_0), 1]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        return 2


def test_tokens_are_cut_and_counted():
    texts = ["good", "good bad film", "good bad film plot"]
    ids, n_cut = tokenize(tiny_tokenizer(), texts, max_length=5)
    assert [row.tolist() for row in ids] == [
        [2, 5, 3],
        [2, 5, 6, 9, 3],
        [2, 5, 6, 9, 3],
    ]
    assert n_cut == 1
    assert all(row.dtype == np.int32 for row in ids)


@pytest.mark.parametrize("padding", ["left", "right", "none"])
def test_an_empty_text_has_a_stand_in(padding):
    tokenizer = tiny_tokenizer(padding, specials=False)
    ids, _ = tokenize(tokenizer, ["", "good"], max_length=9)
    assert [row.tolist() for row in ids] == [[3], [5]]
    assert spans(tokenizer, "", max_length=9) == [Span(0, 0, "</s>")]
    assert tokenize(tokenizer, [], max_length=9) == ([], 0)


def test_spans_lead_back_to_the_text():
    text = "good  film , ünheard"
    found = spans(tiny_tokenizer(), text, max_length=9)
    assert len(found) == len(tokenize(tiny_tokenizer(), [text], max_length=9).ids[0])
    assert found[0] == Span(0, 0, "<s>")
    assert found[-1] == Span(len(text), len(text), "</s>")
    words = [text[span.start : span.end] for span in found[1:-1]]
    assert words == ["good", "film", ",", "ünheard"]


def test_slow_tokenizers_are_aligned_by_search():
    tokenizer = SlowTokenizer()
    text = "Good film, very Film"
    found = spans(tokenizer, text, max_length=20)
    ids, n_cut = tokenize(tokenizer, [text, "good " * 9], max_length=8)
    assert n_cut == 1
    assert [len(row) for row in ids] == [len(found), 8]
    pieces = [(text[span.start : span.end], span.token) for span in found]
    assert pieces == [
        ("", "<s>"),
        ("Goo", "goo"),
        ("d", "##d"),
        ("film,", "<unk>"),
        ("very", "very"),
        ("Film", "film"),
        ("", "</s>"),
    ]
