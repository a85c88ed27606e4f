"""Other test texts, fewer or longer ones, change nothing that a recipe learns.

Not in the last bit: the texts of a batch change the last bits of its activations, so no
test text may be in a batch of learned texts. Here they change much more, so that each
batch of both is found, though the products of tiny models may be rounded alike.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from helpers.models.saved import saved_lm
from helpers.models.tiny import WORDS
from helpers.runs.serving import RECIPES, config_of
from stc_core.activations.cache import list_stores
from stc_core.backbone.backbone import Backbone
from stc_core.classifiers.spelling import Speller
from stc_core.config import RunConfig
from stc_core.files import read_json
from stc_core.heads.head import SparseHead
from stc_core.paths import features_folder
from stc_core.recipe_settings import AttentionConfig
from stc_core.recipes import registry
from stc_core.recipes.shrink_settings import shrink_config
from stc_core.runs.layout import RunFile
from stc_core.runs.run import Run
from stc_core.runs.writer import RunWriter

VARIANTS = ("other", "few and long")
"""Other test rows: as many and about as long, or a third of them and much longer."""
LEARNED = ("probes", "classes", "control", "curves", "neurons", "levels")
"""Tables of a run that hold only what is learned from train and validation rows."""
OF_TEST = "test|guess|ms_per_text"
"""Columns of the frontier about test rows, or timed."""


@pytest.fixture(autouse=True)
def sensitive_batches(monkeypatch) -> None:
    """What is read of a text depends on its whole batch; so do the logits of a row."""
    pooled, graded = Backbone.pooled, Backbone.graded
    words, logits = Speller.logits, SparseHead.logits

    def factor(number: float) -> float:
        return 1 + 0.01 * np.sin(number)

    def scaled(blocks: dict, number: float) -> dict:
        return {site: factor(number) * block for site, block in blocks.items()}

    def pooled_together(self, ids, wanted):
        return scaled(pooled(self, ids, wanted), sum(int(row.sum()) for row in ids))

    def graded_together(self, inputs, sites):
        return scaled(graded(self, inputs, sites), int(inputs["input_ids"].sum()))

    def words_together(self, level, states):
        return factor(float(states.detach().sum())) * words(self, level, states)

    def logits_together(self, X):
        factor_of_rows = np.float32(factor(float(X.sum(dtype=np.float64))))
        return factor_of_rows * logits(self, X)

    monkeypatch.setattr(Backbone, "pooled", pooled_together)
    monkeypatch.setattr(Backbone, "graded", graded_together)
    monkeypatch.setattr(Speller, "logits", words_together)
    monkeypatch.setattr(SparseHead, "logits", logits_together)


def varied(table: pd.DataFrame, variant: str) -> pd.DataFrame:
    """The table with other test rows; they lie between the learned rows."""
    test = table[table["split"] == "test"].copy()
    rng = np.random.default_rng(len(variant))
    if variant == "few and long":
        test = test.iloc[::3].copy()
    if variant != "same":
        n_words = 3 if variant == "other" else 30
        test["text"] = [" ".join(rng.choice(WORDS, n_words)) for _ in range(len(test))]
    at = rng.uniform(-1, len(table), len(test))
    learned = table[table["split"] != "test"]
    order = np.concatenate([at, np.arange(len(learned))])
    return pd.concat([test, learned]).iloc[np.argsort(order, kind="stable")]


def run_on(config: RunConfig, folder: Path, monkeypatch, *, home: str = "home") -> Run:
    """The finished run in `folder`, whose features are in a folder of their own."""
    monkeypatch.setenv("STC_HOME", str(folder / home))
    with RunWriter(folder / "run", config) as writer:
        return registry.train(config, writer)


def split_config(tmp_path: Path, recipe: str, variant: str, **train: Any) -> RunConfig:
    """The settings of a recipe on a table that names its splits, with `variant`."""
    config = config_of(tmp_path, recipe)
    table = pd.read_csv(config.data.path).dropna().head(100)
    # Five rows: no divisor of the pattern of the labels, which all splits need.
    splits = ["train", "train", "train", "validation", "test"]
    table["split"] = np.resize(splits, len(table))
    folder = tmp_path / variant
    folder.mkdir(exist_ok=True)
    varied(table, variant).to_csv(folder / "table.csv", index=False)
    data = config.data.changed(path=str(folder / "table.csv"), split="split")
    return config.changed(data=data, train=config.train.changed(**train))


def learned_of(run: Run) -> dict[str, Any]:
    """All that a run has learned, bit for bit: bytes of files, tables, numbers."""
    metrics: Any = run.metrics
    found: dict[str, Any] = {
        name: metrics.get(name) for name in ("chosen", "validation", "attention")
    }
    hierarchy = metrics.get("hierarchy", {})
    found["temperatures"] = hierarchy.get("temperatures")
    for name in LEARNED:
        if run.has(f"{name}.parquet"):
            found[name] = pd.read_parquet(run.folder / f"{name}.parquet")
    if run.has(RunFile.VARIABILITY):
        found["variability"] = read_json(run.folder / RunFile.VARIABILITY)
    for path in sorted(run.folder.rglob("*.safetensors")):
        for name, tensor in load_file(path).items():
            found[f"{path.name}: {name}"] = tensor.tobytes()
    if run.has(RunFile.FRONTIER):
        frame = run.frontier
        found["frontier"] = frame.loc[:, ~frame.columns.str.contains(OF_TEST)]
    frame = run.predictions
    is_learned = (frame["split"] != "test").to_numpy()
    found["predictions"] = frame[is_learned].drop(columns="row")
    if run.has(RunFile.ACTIVATIONS):
        found["activations"] = run.activations[is_learned].tobytes()
    return found


def check_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert one.keys() == two.keys()
    for name, value in one.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(
                value.reset_index(drop=True),
                two[name].reset_index(drop=True),
                check_exact=True,
                obj=name,
            )
        else:
            assert value == two[name], name


def check_variants(tmp_path: Path, monkeypatch, recipe: str, **train: Any) -> None:
    """Train with other test rows: all that is learned is the same."""
    config = split_config(tmp_path, recipe, "same", **train)
    first = learned_of(run_on(config, tmp_path / "same", monkeypatch))
    assert any("safetensors" in name for name in first)
    for variant in VARIANTS:
        config = split_config(tmp_path, recipe, variant, **train)
        run = run_on(config, tmp_path / variant, monkeypatch)
        assert "test" in set(run.predictions["split"])
        check_same(first, learned_of(run))


@pytest.mark.parametrize("recipe", RECIPES)
def test_test_texts_change_nothing_that_is_learned(
    recipe: str, tmp_path: Path, monkeypatch
):
    check_variants(tmp_path, monkeypatch, recipe)


def test_nor_does_a_backbone_that_is_tuned_to_the_texts_first(
    tmp_path: Path, monkeypatch
):
    wish = AttentionConfig(schedule="two-stage", epochs=1, lm_epochs=1)
    backbone = str(saved_lm(tmp_path / "gpt2"))
    check_variants(
        tmp_path, monkeypatch, "attention", attention=wish, backbone=backbone
    )


@pytest.fixture
def large(monkeypatch) -> None:
    """More than 50 learned rows are many: 20 training rows are enough."""
    sizes = {"LARGE": 50, "FIRST": 20, "MOST_VALIDATION": 10, "MOST_TEST": 8, "EACH": 2}
    for name, value in sizes.items():
        monkeypatch.setattr(f"stc_core.selection.sample.{name}", value)
    monkeypatch.setattr("stc_core.activations.row_file._MOST_ROWS", 16)


@pytest.mark.parametrize("recipe", ["stc", "spin", "classes"])
def test_nor_on_a_large_corpus(recipe: str, tmp_path: Path, monkeypatch, large):
    check_variants(tmp_path, monkeypatch, recipe)


def test_nor_does_the_number_of_test_rows_make_a_corpus_large(
    tmp_path: Path, monkeypatch, large
):
    """With 80 learned rows, 20 test rows are beyond the limit, and 7 are not."""
    monkeypatch.setattr("stc_core.selection.sample.LARGE", 90)
    check_variants(tmp_path, monkeypatch, "stc")


def test_nor_in_a_smaller_classifier(tmp_path: Path, monkeypatch):
    found = []
    for variant in ("same", "few and long"):
        folder = tmp_path / variant
        parent = run_on(split_config(tmp_path, "stc", variant), folder, monkeypatch)
        monkeypatch.setattr("stc_core.recipes.shrink.extract_groups", None)
        config = shrink_config(parent, max_layer=2, max_neurons=5)
        with RunWriter(folder / "small", config) as writer:
            found.append(learned_of(registry.train(config, writer)))
    check_same(*found)


def test_another_test_file_finds_the_features_of_the_learned_rows(
    tmp_path: Path, monkeypatch
):
    for variant in ("same", "few and long"):
        config = split_config(tmp_path, "stc", variant)
        run_on(config, tmp_path / variant, monkeypatch, home="../home")
    stores = sorted(store.n for store in list_stores(features_folder()))
    assert stores == [7, 20, 80]
