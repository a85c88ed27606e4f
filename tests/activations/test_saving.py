"""Files of activations hold the values of the backbone, however they are written."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file

from helpers.models.pooled import assert_equal
from helpers.models.tiny import TEXTS, tiny_backbone
from stc_core.activations import saving
from stc_core.activations.saving import (
    ActivationFile,
    pooled_arrays,
    rows_path,
    save_pooled,
    save_tokens,
)
from stc_core.errors import StcError
from stc_core.types import PooledSite, Site

SITES = (Site(1, "resid"), Site(2, "mlp"))
WANTED = [PooledSite(site, pooling) for site in SITES for pooling in ("mean", "max")]
FEW = list(TEXTS[:24])

pytestmark = pytest.mark.usefixtures("own_home")


def expected(wanted=WANTED, texts=FEW) -> dict[PooledSite, np.ndarray]:
    """Every text forwarded by itself."""
    backbone = tiny_backbone()
    ids = backbone.tokenize(texts).ids
    rows = [backbone.pooled([row], wanted) for row in ids]
    return {one: torch.cat([row[one] for row in rows]).numpy() for one in wanted}


def test_pooled_values_are_those_of_the_backbone(tmp_path: Path, monkeypatch):
    """Written five rows at a time."""
    monkeypatch.setattr(saving, "block_rows", lambda width: 5)
    facts = save_pooled(tiny_backbone(), FEW, WANTED, tmp_path / "a.safetensors")
    found = ActivationFile(tmp_path / "a.safetensors")
    assert (facts.n_texts, facts.n_rows, found.n) == (24, 24, 24)
    assert facts.n_bytes == found.path.stat().st_size
    assert set(found.names) == set(map(str, WANTED))
    assert found.about["identity"] == tiny_backbone().identity
    for one, values in expected().items():
        assert_equal(found.read(str(one)), values)
        assert_equal(found.read(str(one), slice(7, 9)), values[7:9])


def test_arrays_in_memory_are_the_same(tmp_path: Path):
    arrays = pooled_arrays(tiny_backbone(), FEW, WANTED)
    save_pooled(tiny_backbone(), FEW, WANTED, tmp_path / "a.safetensors")
    found = ActivationFile(tmp_path / "a.safetensors")
    for one in WANTED:
        np.testing.assert_array_equal(arrays[one], found.read(str(one)))


def test_no_block_is_larger_than_asked(tmp_path: Path, monkeypatch):
    """So memory stays bounded, however many texts there are."""
    sizes: list[int] = []
    write = saving.tensor_writer

    class Watched:
        def __init__(self, writer) -> None:
            self.writer = writer

        def write(self, name: str, row: int, block: np.ndarray) -> None:
            sizes.append(len(block))
            self.writer.write(name, row, block)

    @contextmanager
    def watched(*arguments, **more):
        with write(*arguments, **more) as writer:
            yield Watched(writer)

    monkeypatch.setattr(saving, "tensor_writer", watched)
    monkeypatch.setattr(saving, "block_rows", lambda width: 5)
    save_pooled(tiny_backbone(), FEW, WANTED, tmp_path / "a.safetensors")
    assert max(sizes) == 5
    assert sum(sizes) == len(FEW) * len(WANTED)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "albert"])
def test_every_token_has_its_values_and_its_characters(family: str, tmp_path: Path):
    backbone = tiny_backbone(family)
    sites = [backbone.sites[0], backbone.sites[-1]]
    facts = save_tokens(backbone, FEW, sites, tmp_path / "t.safetensors")
    found = ActivationFile(tmp_path / "t.safetensors")
    ids = backbone.tokenize(FEW).ids
    assert facts.n_rows == sum(map(len, ids))
    assert found.of_tokens and found.n == len(FEW)
    for text, row in enumerate(ids):
        rows = found.rows_of(text)
        assert found.read("token_ids", rows).tolist() == row.tolist()
        spans = backbone.spans(FEW[text])
        assert found.read("starts", rows).tolist() == [span.start for span in spans]
        assert found.read("ends", rows).tolist() == [span.end for span in spans]
        (alone,) = backbone.token_activations([row], sites)
        for site in sites:
            assert_equal(found.tokens(text, site), alone[site])


def test_batches_of_tokens_are_bounded(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(saving, "_PART_BYTES", 4 * 16 * 20)  # 20 tokens of 16 values
    longest = 0
    read = type(tiny_backbone()).token_activations

    def watched(self, ids, sites):
        nonlocal longest
        longest = max(longest, len(ids) * max(map(len, ids)))
        return read(self, ids, sites)

    monkeypatch.setattr(type(tiny_backbone()), "token_activations", watched)
    save_tokens(tiny_backbone(), FEW, SITES[:1], tmp_path / "t.safetensors")
    assert 0 < longest <= 20


def test_half_precision_is_half_as_large_and_close(tmp_path: Path):
    whole = save_pooled(tiny_backbone(), FEW, WANTED, tmp_path / "a.safetensors")
    half = save_pooled(
        tiny_backbone(), FEW, WANTED, tmp_path / "b.safetensors", dtype="float16"
    )
    assert half.n_bytes < 0.7 * whole.n_bytes
    found = ActivationFile(tmp_path / "b.safetensors")
    for one, values in expected().items():
        assert found.read(str(one)).dtype == np.float16
        np.testing.assert_allclose(found.read(str(one)), values, atol=4e-3)


def test_a_value_that_does_not_fit_is_refused():
    with pytest.raises(StcError, match=r"fit float16.*Write float32"):
        saving._narrowed(np.array([1e6], np.float32), "float16", "resid.1")


def test_rows_are_kept_beside_and_go_with_the_file(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    rows = pd.DataFrame({"id": [f"m{n}" for n in range(24)], "topic": "x"})
    save_pooled(tiny_backbone(), FEW, WANTED[:1], path, rows=rows)
    pd.testing.assert_frame_equal(ActivationFile(path).rows, rows)
    save_pooled(tiny_backbone(), FEW[:3], WANTED[:1], path)
    assert not rows_path(path).exists()


@pytest.mark.parametrize(
    "rows",
    [
        pd.DataFrame({"label": [1, "b"] * 12}),
        pd.DataFrame([["a", "b"]] * 24, columns=["label", "label"]),
        pd.DataFrame({"label": ["\ud800"] * 24}, dtype=object),
        pd.DataFrame({"label": [2**70] * 24}),
        pd.DataFrame({"label": [1j] * 24}),
    ],
    ids=["mixed", "twice", "surrogate", "huge", "complex"],
)
@pytest.mark.parametrize("save", [save_pooled, save_tokens])
def test_rows_that_cannot_be_written_leave_both_files(save, rows, tmp_path: Path):
    path, first = tmp_path / "a.safetensors", pd.DataFrame({"label": ["old"] * 24})
    wanted = WANTED[:1] if save is save_pooled else SITES[:1]
    save(tiny_backbone(), FEW, wanted, path, rows=first)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*a.*")}
    with pytest.raises(StcError, match=r"one kind of values.*astype"):
        save(tiny_backbone(), FEW[::-1], wanted, path, rows=rows)
    after = {file.name: file.read_bytes() for file in tmp_path.glob("*a.*")}
    assert set(after) == {"a.safetensors", "a.rows.parquet"} and after == before


@pytest.mark.parametrize("rows", [None, pd.DataFrame({"label": ["new"] * 24})])
def test_activations_that_cannot_be_written_leave_the_rows(
    rows, tmp_path: Path, monkeypatch
):
    path, first = tmp_path / "a.safetensors", pd.DataFrame({"label": ["old"] * 24})
    save_pooled(tiny_backbone(), FEW, WANTED[:1], path, rows=first)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*a.*")}

    def narrowed(*_):
        raise StcError("activations", got="inf")

    monkeypatch.setattr(saving, "_narrowed", narrowed)
    with pytest.raises(StcError, match="inf"):
        save_pooled(tiny_backbone(), FEW, WANTED[:1], path, rows=rows)
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*a.*")} == before


def test_a_folder_where_the_rows_go_is_said_before_anything_is_written(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    rows_path(path).mkdir()
    with pytest.raises(StcError, match="got a folder"):
        save_pooled(tiny_backbone(), FEW, WANTED[:1], path)
    assert [file.name for file in tmp_path.glob("*a.*")] == ["a.rows.parquet"]


def test_what_cannot_be_written_is_refused(tmp_path: Path):
    backbone, path = tiny_backbone(), tmp_path / "a.safetensors"
    with pytest.raises(StcError, match=r"ends in \.safetensors"):
        save_pooled(backbone, FEW, WANTED, tmp_path / "a.npz")
    with pytest.raises(StcError, match="a folder that exists"):
        save_pooled(backbone, FEW, WANTED, tmp_path / "no" / "a.safetensors")
    with pytest.raises(StcError, match="at least one text"):
        save_tokens(backbone, [], SITES, path)
    with pytest.raises(StcError, match="layers 0 to 3"):
        save_tokens(backbone, FEW, [Site(9, "resid")], path)
    with pytest.raises(StcError, match="float16 or float32"):
        save_pooled(backbone, FEW, WANTED, path, dtype="int8")
    with pytest.raises(StcError, match="24, one for each text"):
        save_pooled(backbone, FEW, WANTED, path, rows=pd.DataFrame({"id": [1]}))
    assert list(tmp_path.glob("*.safetensors")) == []


def test_another_file_is_no_file_of_activations(tmp_path: Path):
    save_file({"a": np.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(StcError, match="another safetensors file"):
        ActivationFile(tmp_path / "a.safetensors")
    about = {"format": "stc-activations", "version": "2"}
    save_file({"a": np.zeros(3)}, tmp_path / "c.safetensors", metadata=about)
    with pytest.raises(StcError, match="version 2; this one reads 1"):
        ActivationFile(tmp_path / "c.safetensors")
    (tmp_path / "b.safetensors").write_text("no")
    with pytest.raises(StcError, match="stc activations"):
        ActivationFile(tmp_path / "b.safetensors")


def test_a_tensor_or_text_that_is_not_there_is_named(tmp_path: Path):
    save_pooled(tiny_backbone(), FEW, WANTED[:1], tmp_path / "a.safetensors")
    found = ActivationFile(tmp_path / "a.safetensors")
    with pytest.raises(StcError, match=r"'resid.9'.*resid.1.mean"):
        found.read("resid.9")
    with pytest.raises(StcError, match="pooled activations"):
        found.tokens(0, "resid.1")
