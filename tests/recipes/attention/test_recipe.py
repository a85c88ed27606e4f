"""The recipe attention from a table to a run, on tiny models of several families."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.command import Stc
from helpers.metrics import undeclared
from helpers.models.saved import tuned_folder
from helpers.models.tiny import tiny_backbone
from helpers.runs.attention import Killed, check_explanation, configured, trained
from stc_core.errors import StcError
from stc_core.interpret.integrated_gradients import integrated_gradients
from stc_core.recipe_settings import AttentionConfig
from stc_core.recipes import registry
from stc_core.recipes.attention.recipe import _SPARSE
from stc_core.recipes.attention.uniform import ALIKE, read_sites_of
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("attention"))


def test_every_metric_is_there(run: Run):
    assert undeclared(run.metrics) == []
    metrics = run.metrics
    assert metrics["recipe"] == "attention"
    assert metrics["test"]["accuracy"] > metrics["baselines"]["majority"]["accuracy"]
    assert {"stc", "tfidf", *ALIKE} <= set(metrics["baselines"])
    told = metrics["attention"]
    assert told["layers"] == [0, 1, 2, 3]
    assert sum(told["layer_shares"]) == pytest.approx(1)
    names = [row["name"] for row in metrics["comparison"]]
    assert names == ["attention", *ALIKE, "stc", "last_layer"]
    assert not any(run.has(name) for name in _SPARSE)
    assert not (run.folder / "checkpoints").exists()
    assert len(run.tuning["epochs"]) >= 3


def test_predictions_are_those_of_the_saved_classifier(run: Run):
    reader, frame = run.classifier(), run.predictions
    texts = run.corpus["text"].tolist()
    shares = frame[[f"p:{name}" for name in reader.classes_]].to_numpy()
    assert np.allclose(shares, reader.predict_proba(texts), atol=1e-4)
    assert frame["predicted"].tolist() == reader.predict(texts).tolist()
    test = frame["split"] == "test"
    right = float(frame.loc[test, "correct"].to_numpy().mean())
    assert right == pytest.approx(run.metrics["test"]["accuracy"])
    few = [texts[3], texts[0]]
    assert np.allclose(reader.predict_proba(few), shares[[3, 0]], atol=1e-4)


def test_layers_and_tokens_sum_to_the_logits(run: Run):
    check_explanation(run, "good film but very slow")


def test_gradients_go_through_attention(run: Run):
    found = integrated_gradients(run.classifier(), "good film but slow", n_steps=128)
    whole = run.classifier().explain("good film but slow")
    assert found["logit"] == pytest.approx(whole["logits"][found["label"]], abs=1e-3)
    total = sum(token["contribution"][found["label"]] for token in found["tokens"])
    gained = found["logit"] - found["start"]
    assert total == pytest.approx(gained, abs=0.2 * abs(gained) + 0.2)


@pytest.mark.parametrize(
    ("family", "per_class"), [("gpt2", True), ("llama", False), ("t5", False)]
)
def test_other_families_and_an_attention_for_each_class(
    tmp_path: Path, family: str, per_class: bool
):
    wish = AttentionConfig(epochs=1, per_class=per_class)
    run = trained(tmp_path, family, 2, attention=wish)
    check_explanation(run, "good film but very slow")
    tokens = run.classifier().explain("good film slow")["attention"]["tokens"]
    different = not np.allclose(tokens["good"], tokens["bad"], atol=1e-6)
    assert different == per_class


def test_the_same_seed_gives_the_same(run: Run, tmp_path: Path):
    again = trained(tmp_path)
    assert again.metrics["test"] == run.metrics["test"]
    assert again.metrics["attention"] == run.metrics["attention"]


def test_a_killed_run_goes_on_after_its_last_epoch(run: Run, tmp_path: Path):
    config = configured(tmp_path)
    writer = RunWriter(tmp_path / "run", config)
    tell, checkpoints = writer.progress, tmp_path / "run" / "checkpoints"

    def progress(done: int, total: int) -> None:
        tell(done, total)
        if list(checkpoints.glob("checkpoint-*")):
            raise Killed

    writer.progress = progress  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Killed), writer:
        registry.train(config, writer)
    with RunWriter(tmp_path / "run", config) as again:
        resumed = registry.train(config, again)
    assert "Going on where the tuning was cut off" in resumed.log_tail()
    assert resumed.predictions.equals(run.predictions)
    assert not checkpoints.exists()


def test_a_tuned_backbone_is_read_as_any(tmp_path: Path):
    tuned = tuned_folder(tmp_path)
    run = trained(tmp_path, backbone=str(tuned), class_weight="balanced")
    assert run.metrics["attention"]["layers"] == [0, 1, 2]
    check_explanation(run, "good film but very slow")


def test_layers_of_one_stack_and_one_width():
    assert [s.layer for s in read_sites_of(tiny_backbone("bert"), None)] == [0, 1, 2, 3]
    assert [s.layer for s in read_sites_of(tiny_backbone("bert"), 1)] == [0, 1]
    t5 = tiny_backbone("t5")
    assert not any(t5.reads_shifted(site) for site in read_sites_of(t5, None))
    assert len(read_sites_of(t5, None)) == 3
    for family in ("albert", "electra", "opt"):
        backbone = tiny_backbone(family)
        sites = read_sites_of(backbone, None)
        assert {backbone.widths[site] for site in sites} == {16}
        assert torch.finfo(backbone.dtype).bits == 32


def test_no_neurons_are_said_plainly(run: Run):
    with pytest.raises(StcError, match="by attention"):
        run.classifier().features(["good"])


def test_as_it_is_typed(run: Run, tmp_path: Path, stc: Stc):
    source, out = run.folder.parent / "1.csv", tmp_path / "out.csv"
    assert stc("predict", run.folder, source, "--out", out).code == 0
    assert list(pd.read_csv(out))[-4:] == [
        "predicted_label",
        "probability",
        "p:cold",
        "p:warm",
    ]
    assert stc("report", run.folder).code == 0
    code, said, _ = stc("explain", run.folder, "--text", "good film")
    assert code == 0
    assert "resid.3" in said and "#None" not in said
