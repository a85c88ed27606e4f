"""The language model of a run in a folder that transformers opens without us."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from helpers.command import Stc
from helpers.models.tiny import TEXTS, one_thread
from helpers.runs.serving import TUNE, config_of, trained
from stc_core.errors import StcError
from stc_core.export import backbone_folder
from stc_core.export.backbone_folder import write_backbone
from stc_core.recipes import registry
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter
from stc_core.types import PooledSite, Site

assert one_thread


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run that is not tuned, and one for each way to tune."""
    folder = tmp_path_factory.mktemp("runs")
    found = {"stc": trained(folder, "stc")}
    for method in ("full", "lora", "bottleneck"):
        config = config_of(folder, "variability")
        tune = TUNE.changed(method=method, layer=2)
        config = config.changed(train=config.train.changed(tune=tune))
        with RunWriter(folder / method, config) as writer:
            found[method] = registry.train(config, writer)
    return found


def check_equal(run: Run, model: Any, tokenizer: Any) -> None:
    """Hidden states that transformers gives are those that the run reads."""
    backbone = run.classifier(device="cpu").backbone_
    for text in TEXTS[:6]:
        with torch.inference_mode():
            batch = tokenizer(text, return_tensors="pt")
            states = model(**batch, output_hidden_states=True).hidden_states
        (ids,) = backbone.tokenize([text]).ids
        assert batch["input_ids"][0].tolist() == ids.tolist()
        for layer in range(backbone.n_layers + 1):
            site = Site(layer, "resid")
            (known,) = backbone.token_activations([ids], [site])
            np.testing.assert_allclose(states[layer][0], known[site], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "merged"),
    [("stc", False), ("full", False), ("lora", False), ("lora", True)],
)
def test_transformers_opens_it_with_the_same_hidden_states(
    runs: dict[str, Run], name: str, merged: bool, tmp_path: Path
):
    facts = write_backbone(runs[name], tmp_path / "m", merged=merged)
    assert facts.has_adapters == (name == "lora" and not merged)
    assert facts.difference < 1e-5
    model = AutoModel.from_pretrained(tmp_path / "m", local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m", local_files_only=True)
    check_equal(runs[name], model.eval(), tokenizer)
    names = {path.name for path in (tmp_path / "m").iterdir()}
    assert ("adapter_config.json" in names) == facts.has_adapters
    assert {"config.json", "model.safetensors"} <= names
    assert "changes.json" not in names


# PEFT asks the model by a name that transformers no longer likes.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
def test_adapters_are_those_of_the_tuning_and_the_base_is_not_tuned(
    runs: dict[str, Run], tmp_path: Path
):
    write_backbone(runs["lora"], tmp_path / "m")
    write_backbone(runs["lora"], tmp_path / "merged", merged=True)
    (tmp_path / "base").mkdir()
    for path in (tmp_path / "m").iterdir():
        if not path.name.startswith("adapter_"):
            (tmp_path / "base" / path.name).symlink_to(path)
    base = AutoModel.from_pretrained(tmp_path / "base", local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m", local_files_only=True)
    with pytest.raises(AssertionError):
        check_equal(runs["lora"], base.eval(), tokenizer)
    tuned = PeftModel.from_pretrained(base, tmp_path / "m")
    check_equal(runs["lora"], tuned.eval(), tokenizer)
    config = json.loads((tmp_path / "m" / "adapter_config.json").read_text())
    assert not Path(config["base_model_name_or_path"]).is_absolute()
    weights = load_file(tmp_path / "m" / "adapter_model.safetensors")
    assert any(float(w.abs().max()) > 0 for n, w in weights.items() if "lora_B" in n)


def test_what_transformers_does_not_know_is_refused(
    runs: dict[str, Run], tmp_path: Path
):
    with pytest.raises(StcError, match=r"got bottlenecks.*as a bundle"):
        write_backbone(runs["bottleneck"], tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_never_replaced(runs: dict[str, Run], tmp_path: Path):
    with pytest.raises(StcError, match="one that is there"):
        write_backbone(runs["stc"], tmp_path)
    with pytest.raises(StcError, match="no such folder"):
        write_backbone(runs["stc"], tmp_path / "no" / "m")


def test_a_model_that_differs_is_not_kept(
    runs: dict[str, Run], tmp_path: Path, monkeypatch
):
    """As if the adapters were saved under names that transformers does not read."""
    monkeypatch.setattr(backbone_folder, "_SAVED", ".none")
    with pytest.raises(StcError, match="hidden states as in the run"):
        write_backbone(runs["lora"], tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_a_layer_of_nan_is_a_difference(broken: int):
    sites = [PooledSite(Site(layer, "resid"), "mean") for layer in range(3)]
    ours = {one: torch.ones(2, 4) for one in sites}
    theirs = {**ours, sites[broken]: torch.full((2, 4), torch.nan)}
    assert np.isnan(backbone_folder._largest_share(ours, theirs))
    ours[sites[broken]] = theirs[sites[broken]] = torch.zeros(2, 4)
    assert backbone_folder._largest_share(ours, theirs) == 0


def test_the_command_says_what_it_wrote(runs: dict[str, Run], stc: Stc, tmp_path: Path):
    said = stc("export", runs["lora"].folder, "--backbone", tmp_path / "m")
    assert said.code == 0, said.err
    assert "the base with PEFT adapters" in said.err
    assert "Hidden states differ" in said.err
    merged = ("--backbone", tmp_path / "n", "--merged")
    assert "all weights" in stc("export", runs["lora"].folder, *merged).err
    alone = stc("export", runs["lora"].folder, tmp_path / "b.zip", "--merged")
    assert alone.code == 2 and "--backbone FOLDER" in alone.err
