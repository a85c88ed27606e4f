"""A whole run that learns to reply: its measures, its files, its commands, its page."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.app import fine, said, visit
from helpers.command import Stc
from helpers.runs.replies import config
from stc_core.classifiers.replying import ReplyingClassifier
from stc_core.config import RunConfig
from stc_core.errors import StcError
from stc_core.metrics.text import bleu_2
from stc_core.recipe_settings import HierarchyConfig
from stc_core.recipes import registry
from stc_core.recipes.hierarchy.teacher_forcing import script_of
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.types import Site

PAGE = "pages/8_Hierarchy.py"


def made(folder: Path, wish: RunConfig) -> Run:
    with RunWriter(folder / "run", wish) as writer:
        return registry.train(writer.config, writer)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("replies")
    return made(folder, config(folder))


def test_every_measure_is_there(run: Run):
    metrics = run.metrics
    scores, about = metrics["test"]["generation"], metrics["hierarchy"]
    assert about["parts"] == ["thought", "reply"] and about["layers"] == [1, 2, 3]
    assert {"flat", "inner_probe"} <= set(metrics["baselines"])
    assert "separate" not in metrics["baselines"]
    frame = run.replies
    assert scores["n"] == len(frame) == metrics["test"]["n"]
    ours = frame["written_reply"].tolist(), frame["reply"].tolist()
    assert scores["bleu_2"] == pytest.approx(bleu_2(*ours))
    assert {"bleu_2_thought", "bleu_2_borrowed", "perplexity_decoded"} <= set(scores)
    assert (scores["cut"], scores["of"], scores["length"]) == (1, 79, 8)
    assert "1 of 79 rows have a reply" in run.log_tail(100)
    missing = [f for f in run.report.findings if f.kind == "missing_reply"]
    assert missing[0].rows == (7,)


def test_perplexity_is_that_of_whole_forwards(run: Run):
    replying: Any = run.classifier()
    corpus, spell = run.corpus, replying.speller_
    words = replying.backbone_.tokenizer
    nats, n = 0.0, 0
    for row in run.replies["row"]:
        one = corpus.loc[row]
        parts = [words(one[p], add_special_tokens=False)["input_ids"] for p in
                 ("thought", "reply")]  # fmt: skip
        tails = [np.array([*parts[0], 3]), np.array(([*parts[1], 3])[:8])]
        ids = replying.backbone_.tokenize([one["text"]]).ids[0]
        leaf = replying.classes_.tolist().index(one["label"])
        whole = script_of(
            ids, leaf, tails, tree=replying.tree_, names=spell.names
        ).tokens
        site = Site(3, "resid")
        states = replying.backbone_.token_activations([whole], [site])[0][site]
        logp = spell.logits(2, states).log_softmax(-1).detach().double().numpy()
        at = np.arange(len(whole) - len(tails[1]), len(whole))
        nats, n = nats - logp[at - 1, whole[at]].sum(), n + len(at)
    found = run.metrics["test"]["generation"]["perplexity"]
    assert found == pytest.approx(np.exp(nats / n), rel=1e-3)


def test_what_was_written_is_what_the_saved_run_writes(run: Run):
    replying = run.classifier()
    assert isinstance(replying, ReplyingClassifier)
    frame = run.replies
    written = replying.write(run.corpus["text"].iloc[frame["row"]].tolist())
    assert frame["written_reply"].tolist() == written.parts["reply"]
    assert (
        frame["label"].tolist() == replying.classes_[written.way.nodes[:, 0]].tolist()
    )


def test_an_encoder_and_other_recipes_are_refused(tmp_path: Path):
    for wish in ({"backbone": "all-MiniLM-L6-v2"}, {"hierarchy": None}):
        given = wish if "backbone" in wish else {
            "hierarchy": HierarchyConfig(heads="class")
        }  # fmt: skip
        with pytest.raises(StcError, match="a decoder with a language-model head"):
            made(tmp_path, config(tmp_path, **given))
    with pytest.raises(StcError, match="--recipe hierarchy"):
        made(tmp_path, config(tmp_path, recipe="stc"))
    long = HierarchyConfig(layers=(1, 2, 3), reply_length=20)
    with pytest.raises(StcError, match="lower --reply-length"):
        made(tmp_path, config(tmp_path, hierarchy=long))


def test_as_it_is_typed(run: Run, stc: Stc, tmp_path: Path):
    text = "good film very slow"
    ended = stc("generate", run.folder, "--text", text)
    written = run.classifier().write([text]).parts  # pyright: ignore
    assert ended.code == 0 and ended.out.strip() == written["reply"][0]
    assert "layer 1" in ended.err and f"thought: {written['thought'][0]}" in ended.err
    wish = ("--temperature", 1, "--top-p", 0.9, "--seed", 4, "--length", 3)
    again = stc("generate", run.folder, "--text", text, *wish)
    assert again.out == stc("generate", run.folder, "--text", text, *wish).out
    out = tmp_path / "out.csv"
    source = run.config.data.path
    assert stc("predict", run.folder, source, "--out", out).code == 0
    frame = pd.read_csv(out, keep_default_na=False)
    assert {"written_thought", "written_reply"} <= set(frame)
    assert stc("predict", run.folder, source, "--out", out, "--coarse-only").code == 0
    assert "BLEU-2" in stc("report", run.folder).out
    wrong = stc("generate", run.folder, "--text", text, "--temperature", -1)
    assert wrong.code == 2 and "temperature" in wrong.err


def test_a_run_without_replies_writes_none(run_folder: Path, stc: Stc):
    ended = stc("generate", run_folder, "--text", "good")
    assert ended.code == 2 and "--reply COLUMN" in ended.err


@pytest.mark.parametrize("coarse", [False, True])
def test_the_page_streams_the_reply(
    run: Run, tmp_path: Path, monkeypatch, coarse: bool
):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "r").symlink_to(run.folder, target_is_directory=True)
    monkeypatch.setenv("STC_HOME", str(tmp_path))
    text = "good film very slow"
    app = fine(visit(PAGE, run="r", text=text, state={"coarse_only": coarse}))
    tables = [one.value for one in app.dataframe]
    measured = [table["measure"].tolist() for table in tables if "measure" in table]
    assert "BLEU-2" in measured[0]
    reply = run.classifier().write([text]).parts["reply"][0]  # pyright: ignore
    assert any("decided at layer 1" in one.label for one in app.metric)
    assert ("Reply · written at layer 3" in said(app)) is not coarse
    assert (reply in [one.value.strip() for one in app.markdown]) is not coarse
