"""The words of a backbone: what is hidden, whose head guesses, and that it learns."""

import math
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
import transformers as hf
from torch import nn

from helpers.models.masked_words import MASK, inputs_of, masking, tunable_of
from helpers.models.tiny import CONFIGS, tiny_backbone, tiny_model, tiny_tokenizer
from stc_core.backbone.backbone import Backbone
from stc_core.errors import StcError
from stc_core.tuning.language_model import (
    MASKED,
    Speaker,
    WordHead,
    check_language,
    hide,
    read_whole,
    top_site,
    word_head,
)


def test_what_is_hidden_is_a_share_of_the_texts_own_tokens():
    backbone = masking()
    inputs = inputs_of(backbone, 64)
    ids, special = inputs["input_ids"], [*backbone.tokenizer.all_special_ids]
    own = inputs["attention_mask"].bool() & ~torch.isin(ids, torch.tensor(special))
    shares, kinds = [], {"mask": 0, "same": 0, "other": 0}
    for seed in range(20):
        shown, chosen = hide(backbone, inputs, torch.Generator().manual_seed(seed))
        assert not (chosen & ~own).any()
        assert torch.equal(shown[~chosen], ids[~chosen])
        shares.append(float(chosen.sum() / own.sum()))
        now, before = shown[chosen], ids[chosen]
        kinds["mask"] += int((now == MASK).sum())
        kinds["same"] += int((now == before).sum())
        kinds["other"] += int(((now != MASK) & (now != before)).sum())
    assert np.mean(shares) == pytest.approx(MASKED, abs=0.02)
    total = sum(kinds.values())
    assert kinds["mask"] / total == pytest.approx(0.8, abs=0.04)
    assert kinds["same"] / total == pytest.approx(0.1, abs=0.04)


def test_one_token_at_least_is_hidden():
    backbone = masking()
    inputs = {name: part[:1] for name, part in inputs_of(backbone).items()}
    for seed in range(20):
        _, chosen = hide(backbone, inputs, torch.Generator().manual_seed(seed))
        assert chosen.any()


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "roberta"])
def test_a_head_of_the_files_is_the_models_own(family: str, tmp_path: Path):
    whole = hf.AutoModelForCausalLM if family in ("gpt2", "llama") else None
    kind = whole or hf.AutoModelForMaskedLM
    torch.manual_seed(0)
    model = kind.from_config(CONFIGS[family]()).eval()
    model.save_pretrained(tmp_path)
    specials = family in ("bert", "roberta")
    tiny_tokenizer("right", specials=specials).save_pretrained(tmp_path)
    backbone = Backbone.load(str(tmp_path), device="cpu")
    head = word_head(backbone)
    assert head.own
    inputs = inputs_of(backbone, 6)
    mask = inputs["attention_mask"].bool()
    states = read_whole(backbone, inputs, ())[1][mask]
    known = model(**inputs).logits[mask]
    assert torch.allclose(head(states), known, atol=1e-5)
    assert not any(p.requires_grad for p in backbone.model.parameters())


@pytest.mark.parametrize("family", ["bert", "gpt2", "albert", "electra", "opt"])
def test_a_tied_head_begins_with_all_words_alike(family: str):
    backbone = masking(family)
    head = WordHead(backbone, None)
    speaker = Speaker(backbone, head, (), ())
    speaker.eval()
    found = speaker(**inputs_of(backbone))
    assert float(found["loss"].detach()) == pytest.approx(math.log(64), abs=1e-4)
    assert {name for name, _ in head.named_parameters()} == {
        "bridge.weight",
        "bridge.bias",
        "bias",
    }


def test_the_files_without_a_head_get_a_tied_one(tmp_path: Path):
    tiny_model("bert").save_pretrained(tmp_path)
    tiny_tokenizer("right").save_pretrained(tmp_path)
    backbone = Backbone.load(str(tmp_path), device="cpu")
    assert not word_head(backbone).own


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_it_learns_the_words_and_leaves_their_vectors(family: str):
    tunable = tunable_of(masking(family))
    backbone = tunable.backbone
    speaker = Speaker(backbone, WordHead(backbone, None), tunable.parts, tunable.blocks)
    before = {n: p.detach().clone() for n, p in speaker.named_parameters()}
    optimizer = torch.optim.AdamW(speaker.learned().values(), lr=1e-2)
    inputs = inputs_of(backbone)
    first = float(speaker.eval()(**inputs)["loss"].detach())
    torch.manual_seed(0)
    for _ in range(40):
        optimizer.zero_grad()
        speaker.train()(**inputs)["loss"].backward()
        optimizer.step()
    assert float(speaker.eval()(**inputs)["loss"].detach()) < 0.95 * first
    moved = {n for n, p in speaker.named_parameters() if not torch.equal(p, before[n])}
    assert moved <= set(speaker.learned())
    assert not any("embed" in name or "wte" in name for name in moved)
    assert any(name.startswith("model.") for name in moved)
    assert set(speaker.state_dict()) == set(speaker.learned())


def test_a_validation_hides_the_same_words_each_time():
    backbone = masking()
    head = WordHead(backbone, None)
    torch.nn.init.normal_(head.bridge.weight)
    speaker = Speaker(backbone, head, (), ()).eval()
    inputs = inputs_of(backbone)
    one, two = speaker(**inputs), speaker(**inputs)
    assert torch.equal(one["loss"], two["loss"])
    n, right = one["logits"].sum(0).tolist()
    assert 0 <= right <= n
    speaker.train()
    assert not torch.equal(speaker(**inputs)["loss"], speaker(**inputs)["loss"])


def test_the_share_of_right_words_is_over_all_batches():
    class Found:
        predictions = np.array([[2.0, 1.0], [3.0, 0.0], [5.0, 4.0]])

    speaker = Speaker(masking(), WordHead(masking(), None), (), ())
    assert speaker.scores(Found()) == {"accuracy": 0.5}


def test_the_next_word_is_not_told_by_itself():
    backbone = masking("gpt2")
    head = WordHead(backbone, None)
    torch.nn.init.normal_(head.bridge.weight)
    speaker = Speaker(backbone, head, (), ()).eval()
    inputs = {name: part[-1:] for name, part in inputs_of(backbone).items()}
    states = read_whole(backbone, inputs, ())[1]
    logits = head(states[0]).log_softmax(-1)
    ids = inputs["input_ids"][0]
    known = -logits[torch.arange(len(ids) - 1), ids[1:]].mean()
    loss = float(speaker(**inputs)["loss"].detach())
    assert loss == pytest.approx(float(known.detach()), rel=1e-5)


def test_who_cannot_is_told_so():
    with pytest.raises(StcError, match="mask"):
        check_language(tiny_backbone("bert"))
    with pytest.raises(StcError, match="an encoder or a decoder"):
        check_language(tiny_backbone("t5"))
    check_language(tiny_backbone("gpt2"))
    check_language(masking())


def test_the_end_of_a_model_is_read_with_its_layers():
    backbone = masking("llama")
    inputs, site = inputs_of(backbone, 4), top_site(backbone)
    hidden, last = read_whole(backbone, inputs, [site])
    normed = cast(nn.Module, backbone.model.norm)(hidden[site])
    assert torch.allclose(last, normed, atol=1e-6)
