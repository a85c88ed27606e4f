"""Train: several levels of labels, and a decoder that learns to reply."""

import io

import pytest

from helpers.app import fine, said, small_csv, visit
from helpers.models.saved import saved_lm
from helpers.train_page import (
    PAGE,
    can_start,
    data,
    field,
    home,
    plain,
    press,
    started,
)
from stc_core.config import DataConfig
from stc_core.data.uploads import keep_upload, write_choice

assert data and home and started  # fixtures


def test_levels_are_offered_where_labels_have_some(started):
    rows = "".join(f"text {i},{'ab'[i % 2]},{'ab'[i % 2]}{i % 4}\n" for i in range(60))
    levels = io.BytesIO(f"text,topic,subtopic\n{rows}".encode())
    flat_key = keep_upload("flat.csv", io.BytesIO(small_csv())).key
    flat = field(fine(visit(PAGE, data=flat_key)), "Method")
    assert flat.options == [
        "Sparse probes",
        "SPIN as published",
        "Attention over words and layers",
        "Tune the last blocks",
        "Tune on pairs of texts · recommended",  # the table has few texts
        "Look inside a classifier that you have",
    ]
    key = keep_upload("levels.csv", levels).key
    write_choice(key, DataConfig(path="", text="text", labels=("topic", "subtopic")))
    app = fine(visit(PAGE, data=key, state={"recipe": "hierarchy"}))
    assert "All levels of labels together · recommended" in (
        field(app, "Method").options
    )
    assert "Scores of all layers choose" in said(app)
    press(app, "Start training")
    assert started[0].train.recipe == "hierarchy"
    assert started[0].data.labels == ("topic", "subtopic")


REPLIES = "".join(
    f"text {i},{'ab'[i % 2]},why {i},{'' if i == 3 else f'answer {i}'}\n"
    for i in range(60)
)


@pytest.fixture
def replies() -> str:
    """A table of one label, with two more columns that could be written."""
    content = f"text,label,why,answer\n{REPLIES}".encode()
    return keep_upload("replies.csv", io.BytesIO(content)).key


@pytest.fixture
def decoder(tmp_path) -> str:
    """The name of a model that can write."""
    return saved_lm(tmp_path / "cached_models" / "tiny", "llama").name


def test_a_decoder_learns_to_reply(replies, decoder, started):
    state = {"recipe": "hierarchy", "backbone": decoder}
    app = fine(visit(PAGE, data=replies, state=state))
    assert field(app, "Reply").options == ["none", "why", "answer"]
    assert field(app, "Thought").disabled
    assert "is only one level of labels" in said(app) and not can_start(app)
    field(app, "Reply").select("answer")
    app = fine(app.run())
    assert field(app, "Thought").options == ["none", "why"]
    assert "No reply in 'answer' on row 4" in plain(said(app))
    field(app, "Thought").select("why")
    app = fine(app.run())
    field(app, "Longest reply").set_value(12)
    field(app, "Weight of why").set_value(0.5)
    press(fine(app.run()), "Start training")
    data, train = started[0].data, started[0].train
    assert (data.labels, data.thought, data.reply) == (("label",), "why", "answer")
    assert train.hierarchy.model_dump(exclude_defaults=True) == {
        "weights": (1.0, 0.5, 1.0),
        "reply_length": 12,
    }


def test_a_thought_goes_with_its_reply(replies, decoder, started):
    state = {"recipe": "hierarchy", "backbone": decoder, f"reply_{replies}": "answer"}
    app = fine(visit(PAGE, data=replies, state=state))
    field(app, "Thought").select("why")
    app = fine(app.run())
    field(app, "Reply").select("why")
    press(fine(app.run()), "Start training")
    assert (started[0].data.thought, started[0].data.reply) == (None, "why")


def test_other_methods_are_told_of_no_reply(replies, decoder, started):
    state = {"recipe": "hierarchy", "backbone": decoder, f"reply_{replies}": "answer"}
    app = fine(visit(PAGE, data=replies, state=state))
    field(app, "Method").set_value("stc")
    press(fine(app.run()), "Start training")
    assert started[0].train.recipe == "stc" and started[0].data.reply is None


def test_an_encoder_cannot_be_told_to_reply(replies, tmp_path, started):
    app = fine(visit(PAGE, data=replies, state={"recipe": "hierarchy"}))
    words = said(app)
    assert "cannot write text" in words and "choose a decoder" in words
    assert "is only one level of labels" in words and not can_start(app)
    assert not [one for one in app.selectbox if one.label.startswith("Reply")]


def test_a_hub_model_may_turn_out_to_write(replies, started):
    state = {"recipe": "hierarchy", "backbone": "nobody/tiny-model"}
    app = fine(visit(PAGE, data=replies, state=state))
    assert field(app, "Reply").options == ["none", "why", "answer"]
    assert "known once it is on this machine" in said(app)


def test_a_reply_that_leaves_too_few_rows_is_refused(decoder, started):
    rows = "".join(f"text {i},{'ab'[i % 2]},{'x' * (i == 3)}\n" for i in range(60))
    key = keep_upload("bare.csv", io.BytesIO(f"text,label,answer\n{rows}".encode())).key
    state = {"recipe": "hierarchy", "backbone": decoder, f"reply_{key}": "answer"}
    app = fine(visit(PAGE, data=key, state=state))
    assert "one" in app.info[0].value and not can_start(app)
