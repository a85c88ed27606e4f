"""Labels, then a reply: learned by heart, cached as in whole forwards, and streamed."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from helpers.models.saved import PATHS, saved_lm
from helpers.models.tiny import TEXTS, VOCAB, tiny_backbone, tiny_tokenizer
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.label_tree import tree_of
from stc_core.classifiers.replying import ReplyingClassifier, open_spelled
from stc_core.classifiers.sampling import Chooser, Decoding, pieces, plain_text
from stc_core.classifiers.spelled import SpelledClassifier
from stc_core.classifiers.spelling import spelled_names
from stc_core.data.columns import Columns
from stc_core.data.corpus import Corpus
from stc_core.data.findings import Report
from stc_core.errors import StcError
from stc_core.recipe_settings import HierarchyConfig, TuneConfig
from stc_core.recipes.hierarchy.replies import replies_of
from stc_core.recipes.hierarchy.teacher_forcing import script_of, token_losses
from stc_core.recipes.hierarchy.word_module import WordHeadModule, copied_word_head
from stc_core.tuning.blocks import TunePlan, changes_for, cut_and_adapt
from stc_core.tuning.trainer import padded
from stc_core.types import Site

LABELS = np.array([("good",), ("bad",)])
FAMILIES = ("gpt2", "llama", "opt", "mistral", "gpt_neo", "bloom")


def replying(
    family: str, parts=("reply",), *, length: int = 6, **wish: Any
) -> ReplyingClassifier:
    backbone = tiny_backbone(family)
    layers = (1, 2, 3)[-1 - len(parts) :]
    torch.manual_seed(0)
    width = 8 if family == "opt" else backbone.d_model
    heads = [nn.Linear(backbone.d_model, 64) for _ in parts]
    if wish.get("norm"):
        heads = [nn.Linear(width, 64) for _ in parts]
    heads = [*heads, nn.Linear(width, 64)]
    tree, columns = tree_of(LABELS), ("topic",)
    more: dict[str, Any] = {"norm": False, **wish}
    return ReplyingClassifier(
        backbone, tree, layers, heads, columns, parts=parts, length=length, **more
    )


def by_hand(one: ReplyingClassifier, text: str) -> dict[str, list[int]]:
    """Every part by whole forwards of one text alone, without a cache."""
    spell, backbone = one.speller_, one.backbone_
    ids = backbone.tokenize([text]).ids[0]
    leaf = int(one.answer([text]).nodes[0, -1])
    row = script_of(ids, leaf, tree=one.tree_, names=spell.names).tokens.tolist()
    found = {}
    for place, part in enumerate(one.parts_, start=one.tree_.depth):
        site, said = Site(one.layers_[place], "resid"), []
        while len(said) < one.length_ and spell.names.end not in said:
            whole = np.array([*row, *said], np.int32)
            state = backbone.token_activations([whole], [site])[0][site][-1:]
            said.append(int(spell.logits(place, state).argmax()))
        said = [token for token in said if token != spell.names.end]
        row += [*said, spell.names.end]
        found[part] = said
    return found


@torch.inference_mode()
@pytest.mark.parametrize("parts", [("reply",), ("thought", "reply")])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_writes_what_whole_forwards_say(family: str, parts: tuple[str, ...]):
    one = replying(family, parts)
    texts = list(TEXTS[:12])
    written = one.write(texts)
    assert (written.way.nodes == one.answer(texts).nodes).all()
    for row, text in enumerate(texts):
        for part, said in by_hand(one, text).items():
            assert written.tokens[part][row].tolist() == said
    lengths = {len(said) for said in written.tokens["reply"]}
    assert max(lengths) <= 6


def test_no_block_reads_a_token_twice():
    one = replying("llama", ("thought", "reply"))
    one.write(TEXTS[:5])
    low, middle, top = one.speller_.block_tokens
    assert 0 < top <= middle <= low
    n = sum(len(ids) for ids in one.backbone_.tokenize(TEXTS[:5]).ids)
    assert low <= n + 5 * (1 + 2 + 2 * 7)


def test_streamed_pieces_are_the_text():
    one = replying("gpt2", ("thought", "reply"))
    for text in TEXTS[:6]:
        written = one.write([text])
        way, coming = one.tell(text)
        told = list(coming)
        assert (way.nodes == written.way.nodes).all()
        for part in one.parts_:
            joined = "".join(piece.text for piece in told if piece.part == part)
            assert joined.rstrip() == written.parts[part][0]
        assert [p.part for p in told] == sorted((p.part for p in told), reverse=True)


def test_a_seed_draws_the_same_words_and_greedy_needs_none():
    one, text = replying("gpt2"), [TEXTS[9]]
    drawn = [
        one.write(text, Decoding(temperature=1.5, seed=seed))
        .tokens["reply"][0]
        .tolist()
        for seed in (1, 1, 2, 3)
    ]
    assert drawn[0] == drawn[1] and len({str(one) for one in drawn}) > 1
    cold = Decoding(temperature=1e-4, seed=5)
    same = one.write(text, cold).parts == one.write(text).parts
    tiny = Decoding(temperature=2.0, top_p=1e-6, seed=5)
    assert same and one.write(text, tiny).parts == one.write(text).parts
    assert len(one.write(text, Decoding(length=2)).tokens["reply"][0]) <= 2


def test_draws_follow_the_probabilities():
    logits = torch.log(torch.tensor([[0.6, 0.3, 0.1]])).repeat(4000, 1)
    ids = torch.zeros(4000, 1, dtype=torch.long)
    every = Chooser(Decoding(temperature=1.0)).choose(ids, logits)
    shares = torch.bincount(every, minlength=3) / 4000
    assert torch.allclose(shares, torch.tensor([0.6, 0.3, 0.1]), atol=0.03)
    most = Chooser(Decoding(temperature=1.0, top_p=0.7)).choose(ids, logits)
    assert set(most.tolist()) == {0, 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"seed": -1},
        {"seed": 2**63},
        {"temperature": 1e-50},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"length": 0},
    ],
)
def test_wishes_that_cannot_be_are_refused(wrong: dict[str, float]):
    (name,) = wrong
    with pytest.raises(StcError, match=name):
        replying("gpt2").write(TEXTS[:1], Decoding(**wrong))  # pyright: ignore


class Letters:
    """A tokenizer of bytes: characters beyond ASCII are several tokens."""

    def decode(self, ids: list[int], **_: Any) -> str:
        return bytes(ids).decode("utf-8", "replace")


def test_a_character_of_several_tokens_waits():
    told = list(pieces(Letters(), iter(" süß €".encode())))
    assert told == ["s", "ü", "ß", " ", "€"]
    assert "".join(pieces(Letters(), iter(b"a\xe2"))) == "a\ufffd"
    assert plain_text(tiny_tokenizer("right"), [2, VOCAB["good"], 3]) == "good"


@torch.inference_mode()
def test_surprise_is_that_of_a_whole_forward():
    one = replying("llama", norm=True)
    tail = np.array([VOCAB["late"], VOCAB["order"], 3])
    names, tree = one.speller_.names, one.tree_
    ids = one.backbone_.tokenize(TEXTS[3:9]).ids
    scripts = [script_of(row, 1, [tail], tree=tree, names=names) for row in ids]
    found = token_losses(one.speller_, scripts, 1)
    nats = []
    for row in ids:
        whole = np.array([*row, 3, VOCAB["good"], 3, *tail], np.int32)
        site = Site(3, "resid")
        states = one.backbone_.token_activations([whole], [site])[0][site]
        logp = one.speller_.logits(1, states).log_softmax(-1).double()
        at = np.arange(len(whole) - 4, len(whole) - 1)
        nats.append(-float(logp[at, whole[at + 1]].sum()))
    assert np.allclose(found.nats, nats, rtol=1e-4)
    assert found.tokens.tolist() == [3] * 6
    assert found.perplexity == pytest.approx(np.exp(sum(nats) / 18), rel=1e-4)


def test_replies_are_closed_unless_they_were_cut():
    columns = Columns("t", ("l",), None, None, "w", "a")
    frame = pd.DataFrame(
        {
            "thought": ["good good good", "bad"],
            "reply": ["late order broken", "rude </s>"],
        }
    )
    report = Report(n_rows=2, n_used=2, columns=columns, classes={}, source={})
    corpus = Corpus(frame, columns, report)
    wish = HierarchyConfig(reply_length=2)
    found = replies_of(corpus, tiny_backbone("gpt2"), wish, end=3)
    good, bad, late, order, rude = (
        VOCAB[w] for w in "good bad late order rude".split()
    )
    rows = [[part.tolist() for part in row] for row in found.tokens]
    assert rows == [[[good, good, 3], [late, order]], [[bad, 3], [rude, 3]]]
    assert (found.parts, found.length, found.n_cut) == (("thought", "reply"), 2, 1)
    free = replies_of(corpus, tiny_backbone("gpt2"), HierarchyConfig(), end=3)
    assert free.length == 12 and free.n_cut == 0  # a quarter of 48


@pytest.mark.parametrize("n_parts", [1, 2])
def test_replies_are_learned_by_heart(tmp_path: Path, n_parts: int):
    base = Backbone.load(str(saved_lm(tmp_path, "llama")), device="cpu")
    plan = TunePlan(3, (1, 2, 3))
    tune = TuneConfig(where="all")
    tunable = cut_and_adapt(base, plan, changes_for(base, plan, tune), seed=0)
    tree, head = tree_of(LABELS), copied_word_head(str(tmp_path))
    assert head is not None
    names, layers = spelled_names(tree, tunable.backbone), (1, 2, 3)[-1 - n_parts :]
    heads = [copy.deepcopy(head) for _ in layers]
    parts = ("thought", "reply")[-n_parts:]
    model = WordHeadModule(
        tunable,
        tree,
        names,
        layers=layers,
        heads=heads,
        norm=True,
        weights=[1.0] * len(layers),
    )
    texts = ["plot slow", "film good", "card late", "refund never", "price cheap",
             "login broken", "support rude", "actor boring"]  # fmt: skip
    said = [f"the {a} is {b} and {b}" for a, b in (text.split() for text in texts)]
    ids, leaves = base.tokenize(texts).ids, torch.tensor([n % 2 for n in range(8)])
    tails = [
        [np.array([*base.tokenizer(reply)["input_ids"], 3]) for _ in parts]  # pyright: ignore
        for reply in said
    ]
    width = max(map(len, ids))
    inputs = torch.zeros(8, width, dtype=torch.long)
    mask = torch.zeros(8, width, dtype=torch.long)
    for row, one in enumerate(ids):
        inputs[row, : len(one)], mask[row, : len(one)] = torch.from_numpy(one), 1
    given = {"input_ids": inputs, "attention_mask": mask, "tails": padded(tails)}
    rate = torch.optim.Adam(model.learned().values(), lr=1e-2)
    model.train()
    for _ in range(150):
        loss = model(labels=leaves, **given)["loss"]
        rate.zero_grad()
        loss.backward()
        rate.step()
    assert loss.item() < 0.1
    model.eval()
    heads = [one.requires_grad_(False) for one in model.heads]
    made = ReplyingClassifier(
        tunable.backbone,
        tree,
        layers,
        heads,
        ("topic",),
        norm=True,
        parts=parts,
        length=8,
    )
    written = made.write(texts)
    assert written.way.nodes[:, 0].tolist() == leaves.tolist()
    assert all(written.parts[part] == said for part in parts)


def test_the_way_over_the_disk(tmp_path: Path):
    backbone = Backbone.load(str(saved_lm(tmp_path / "lm")), device="cpu")
    heads = [torch.nn.Linear(16, 64) for _ in range(2)]
    tree = tree_of(LABELS)
    more: dict[str, Any] = {"norm": False, "parts": ("reply",), "length": 5}
    made = ReplyingClassifier(backbone, tree, (2, 3), heads, ("a",), **more)
    again = open_spelled(made.save(tmp_path / "model", params={}))
    assert isinstance(again, ReplyingClassifier) and again.writes
    assert made.write(TEXTS[:9]).parts == again.write(TEXTS[:9]).parts
    heads = [torch.nn.Linear(16, 64) for _ in range(2)]
    mute = SpelledClassifier(
        backbone, tree_of(PATHS), (2, 3), heads, ("a", "b"), norm=False
    )
    assert (
        type(open_spelled(mute.save(tmp_path / "mute", params={}))) is SpelledClassifier
    )
