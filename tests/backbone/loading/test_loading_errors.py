"""Whatever is wrong with a model's folder is said in a sentence, by every door."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from helpers.command import Stc
from helpers.models.broken import FAULTS, broken, put, save_bert
from helpers.models.saved import tuned_folder
from helpers.models.tiny import N_WORDS, TEXTS, tiny_model, tiny_tokenizer
from stc_core.backbone.backbone import Backbone
from stc_core.backbone.loading import hub, loading_errors
from stc_core.backbone.structure import introspect
from stc_core.errors import StcError

_SIZE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
_TEXT: dict[str, Any] = {
    **_SIZE,
    "vocab_size": N_WORDS,
    "max_position_embeddings": 32,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "pad_token_id": 1,
}
_IMAGE: dict[str, Any] = {**_SIZE, "image_size": 8, "patch_size": 4}
_SOUND: dict[str, Any] = {
    "conv_dim": [8, 8],
    "conv_stride": [2, 2],
    "conv_kernel": [3, 3],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
_STACKS: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
}


def clip() -> Any:
    return hf.CLIPModel(
        hf.CLIPConfig(text_config=_TEXT, vision_config=_IMAGE, projection_dim=8)
    )


def whisper() -> Any:
    return hf.WhisperModel(
        hf.WhisperConfig(
            **_STACKS,
            vocab_size=N_WORDS,
            num_mel_bins=8,
            max_source_positions=8,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
        )
    )


def layoutlmv3() -> Any:
    return hf.LayoutLMv3Model(
        hf.LayoutLMv3Config(**_TEXT, coordinate_size=4, shape_size=2, patch_size=8)
    )


def canine() -> Any:
    return hf.CanineModel(
        hf.CanineConfig(**_SIZE, max_position_embeddings=64, num_hash_buckets=64)
    )


def t5_encoder() -> Any:
    return hf.T5EncoderModel(
        hf.T5Config(
            vocab_size=N_WORDS, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2
        )
    )


def two_berts() -> Any:
    bert = hf.BertConfig(**_TEXT)
    both = hf.EncoderDecoderConfig.from_encoder_decoder_configs(bert, bert)
    return hf.EncoderDecoderModel(both)


STRANGE: dict[str, tuple[Callable[[], Any], str]] = {
    "CLIP": (clip, "CLIPModel, which fails on a few tokens"),
    "ViT": (lambda: hf.ViTModel(hf.ViTConfig(**_IMAGE)), "ViTModel.*pixel_values"),
    "Whisper": (whisper, "WhisperModel, which reads input_features"),
    "wav2vec 2": (
        lambda: hf.Wav2Vec2Model(hf.Wav2Vec2Config(**_SIZE, **_SOUND)),
        "Wav2Vec2Model, which reads input_values",
    ),
    "LayoutLMv3": (layoutlmv3, "LayoutLMv3Model, which fails"),
    "BROS": (lambda: hf.BrosModel(hf.BrosConfig(**_TEXT)), "BrosModel.*bbox"),
    "CANINE": (canine, "CanineModel, which fails"),
    "X-MOD": (
        lambda: hf.XmodModel(hf.XmodConfig(**_TEXT, languages=["en_XX", "de_DE"])),
        "XmodModel, which fails.*language",
    ),
    "T5 encoder": (t5_encoder, "only weights of the encoder"),
    "two BERTs": (two_berts, "as a whole.*'encoder-decoder'"),
}
"""Models that are not read, and what is said of each."""


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_of_a_folder_is_named(name: str, tmp_path: Path):
    folder = broken(name, tmp_path)
    with pytest.raises(StcError, match=FAULTS[name][1]) as told:
        Backbone.load(str(folder), device="cpu")
    assert str(folder) in told.value.where and told.value.remedy


@pytest.mark.parametrize("name", STRANGE)
def test_a_model_that_reads_no_text_is_refused(name: str, tmp_path: Path):
    make, said = STRANGE[name]
    make().save_pretrained(tmp_path)
    tiny_tokenizer("right").save_pretrained(tmp_path)
    with pytest.raises(StcError, match=said):
        Backbone.load(str(tmp_path), device="cpu")


def test_a_whole_folder_loads_in_every_form(tmp_path: Path):
    """What is unusual, and no fault."""
    folder = save_bert(tmp_path / "model")
    ids = Backbone.load(str(folder), device="cpu").tokenize(TEXTS[:3]).ids
    config = folder / "config.json"
    config.write_bytes(config.read_bytes().replace(b"\n", b"\r\n"))
    save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors")
    put("generation_config.json", "[")(folder)  # of another task, and not read
    put("README.md", b"\xff")(folder)
    found = Backbone.load(str(folder), device="cpu").tokenize(TEXTS[:3]).ids
    assert [row.tolist() for row in found] == [row.tolist() for row in ids]


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch):
    folder = save_bert(tmp_path / "model")
    opened = Path.open

    def closed(path: Path, *more: Any, **most: Any) -> Any:
        if path.name == "config.json":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *more, **most)

    monkeypatch.setattr(Path, "open", closed)
    with pytest.raises(StcError, match=r"config\.json'.*Permission denied"):
        Backbone.load(str(folder), device="cpu")


def test_too_little_memory_is_no_bug(tmp_path: Path, monkeypatch):
    folder = save_bert(tmp_path / "model")

    def full(*given: Any, **more: Any) -> None:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(hf.BertModel, "_init_weights", full)
    monkeypatch.setattr(hf.BertModel, "__init__", full)
    with (
        pytest.raises(torch.OutOfMemoryError),
        loading_errors.explain_forward_errors("x", None),
    ):
        full()  # raised by our own code: no library told it
    monkeypatch.undo()
    monkeypatch.setattr(loading_errors, "is_ours", lambda error: False)
    with (
        pytest.raises(StcError, match="enough memory"),
        loading_errors.explain_model_errors("x", folder),
    ):
        full()


@pytest.mark.parametrize("kind", [KeyError, AttributeError, TypeError])
def test_a_bug_of_ours_stays_one(kind: type[Exception], monkeypatch):
    """Also in a hook, which the library calls."""

    def faulty(*given: Any) -> None:
        raise kind("ours")

    model, tokenizer = tiny_model("bert"), tiny_tokenizer("right")
    handle = model.encoder.register_forward_hook(faulty)
    try:
        with pytest.raises(StcError, match="fails on a few tokens"):  # not of our files
            Backbone.from_model(model, tokenizer)
        monkeypatch.setattr(loading_errors, "_OURS", str(Path(__file__).parent))
        with pytest.raises(kind, match="ours"):
            Backbone.from_model(model, tokenizer)
    finally:
        handle.remove()
    monkeypatch.undo()
    monkeypatch.setattr(introspect, "find_sites", faulty)
    with pytest.raises(kind, match="ours"):
        Backbone.from_model(model, tokenizer)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("[]", "object.*got a list"),
        ('{"format": 1}', "only a part"),
        ('{"format": 9}', "expected format 1"),
        ("{", "valid JSON"),
    ],
)
def test_a_tuned_backbone_that_is_damaged_is_said(tmp_path: Path, held: str, said: str):
    folder = tuned_folder(tmp_path)
    put(hub.CHANGES, held)(folder)
    with pytest.raises(StcError, match=said):
        Backbone.load(str(folder), device="cpu")


def test_weights_of_a_tuned_backbone_that_are_gone_or_others_are_said(tmp_path: Path):
    folder = tuned_folder(tmp_path)
    path = folder / hub.CHANGED_WEIGHTS
    tensors = load_file(path)
    save_file({key: value[:1].clone() for key, value in tensors.items()}, path)
    with pytest.raises(StcError, match="weights as in its base"):
        Backbone.load(str(folder), device="cpu")
    path.unlink()
    with pytest.raises(StcError, match=r"changes\.safetensors'.*got none"):
        Backbone.load(str(folder), device="cpu")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~nobody-here/x"])
def test_a_name_that_no_folder_can_have_is_refused(name: str):
    with pytest.raises(StcError, match="no such folder"):
        hub.resolve(name)


@pytest.mark.parametrize("name", ["config.json is a list", "tokenizer is newer"])
def test_the_command_line_says_it_in_a_sentence(
    name: str, tmp_path: Path, stc: Stc, table: Path, own_home: Path
):
    """And leaves no run behind."""
    folder = broken(name, tmp_path)
    options = ["--label", "kind", "--backbone", folder, "--device", "cpu"]
    for command in ("train", "variability"):
        said = stc(command, table, *options)
        assert said.code == 2 and "Error: file '" in said.err
        assert "Traceback" not in said.err and "bug" not in said.err
    assert not list(own_home.glob("runs/*/config.json"))
