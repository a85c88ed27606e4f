"""JSON: every record is read, or the file is refused with the place and the reason."""

import json
from pathlib import Path

import pytest

from stc_core.data.reading import json_records
from stc_core.data.table import read_table
from stc_core.errors import StcError

ROWS = [{"text": f"t{n}", "label": "ab"[n % 2]} for n in range(4)]
LIST = json.dumps(ROWS)
LINES = "\n".join(map(json.dumps, ROWS))
ONE = json.dumps(ROWS[0])


def read(folder: Path, content: str, name: str = "t.json"):
    (folder / name).write_bytes(content.encode())
    return read_table(folder / name)


@pytest.mark.parametrize("window", [7, 1 << 20])
@pytest.mark.parametrize(
    "content",
    [
        LIST,
        json.dumps(ROWS, indent=2),
        f" \r\n{LIST} \n\t",
        "\ufeff" + LIST,
        LIST.replace("]", ",]"),
        LINES,
        LINES.replace("\n", "\r\n\r\n"),
        LINES.replace("\n", "\r"),
        "\ufeff" + LINES.replace("\n", "\n\ufeff"),
    ],
)
def test_every_record_is_read(tmp_path, monkeypatch, content, window):
    monkeypatch.setattr(json_records, "WINDOW_CHARS", window)
    assert read(tmp_path, content).to_dict("records") == ROWS


@pytest.mark.parametrize("window", [5, 1 << 20])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (f"{LIST}\n{LIST}", r"after the list of 4 records.*end of the file.*\[{"),
        (f"{LIST} {ONE}", "after the list of 4 records"),
        (f"{LIST}]", "after the list of 4 records"),
        (f"[]{LIST}", "after the list of 0 records"),
        (f"{LINES}\n{LIST}", "line 5.*list"),
        (f"{ONE}{ONE}", "line 1, character.*Extra data"),
        (LINES[:-9], "line 4, character"),
        (LIST[:-1], "record 5"),
        (LIST.replace("}, {", "} {", 1), "record 2.*no comma"),
        (LIST.replace("}, {", "},, {", 1), "record 2"),
        ('[{"text": "a", "text": "b"}]', "record 1.*each field once.*'text' twice"),
        (f'{ONE}\n{{"text": "a", "text": "b"}}', "line 2.*'text' twice"),
        (json.dumps({"version": "1", "data": ROWS}), "'data' holds 4 records"),
        (json.dumps({"text": ["a", "b"], "label": ["x", "y"]}), "column by column"),
        (json.dumps({"data": {"text": ["a"], "label": ["x"]}}), "or objects in 'data'"),
        (json.dumps({"data": ROWS[:1]}), "'data' holds 1 record.*put it in a list"),
        (
            json.dumps({"version": "1", "data": ROWS}, indent=1),
            "'data' holds 4 records",
        ),
        (json.dumps({"a": ROWS[0], "b": ROWS[1]}), "a name for each row.*orient"),
        (json.dumps({"text": {"0": "a"}, "label": {"0": "b"}}), "column by column"),
        (json.dumps(ROWS[0], indent=2), "line 1.*one JSON record on each line"),
    ],
)
def test_what_would_be_lost_is_an_error(tmp_path, monkeypatch, content, match, window):
    monkeypatch.setattr(json_records, "WINDOW_CHARS", window)
    with pytest.raises(StcError, match=rf"(?s){match}"):
        read(tmp_path, content)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    ("fields", "match"),
    [
        (
            {"users": ROWS, "tickets": ROWS[:3]},
            "'users' holds 4 records and 'tickets' holds 3 records.*"
            r"json.load\(open\(FILE\)\)\['users'\]",
        ),
        (
            {"train": ROWS, "test": ROWS[:1]},
            "'train' holds 4 records and 'test' holds 1 record.*'test' with "
            "--test, or as the test file on Data.*'split'",
        ),
        ({"train": ROWS, "dev": ROWS, "eval": ROWS}, "'eval' with --test"),
        ({"train": ROWS, "validation": ROWS}, "'train'.*With Python"),
        ({"version": "2", "train": ROWS, "test": ROWS}, "that of 'test' with --test"),
    ],
)
def test_several_tables_in_one_file_are_named(tmp_path, fields, match, indent):
    with pytest.raises(StcError, match=match):
        read(tmp_path, json.dumps(fields, indent=indent))


@pytest.mark.parametrize(
    "record",
    [
        {"text": "a long text about it", "spans": [{"start": 1}, {"start": 2}]},
        {"text": "..", "label": "a", "meta": [{"x": 1}]},
        {"text": "..", "label": "a", "meta": [{"x": "one"}, {"x": "two"}]},
        {"text": "..", "label": "a", "history": ROWS},
        {"Text": "..", "Topic": "a", "links": ROWS[:1]},
        {"message": "hi", "thread": [{"text": "a"}, {"text": "b"}, {"text": "c"}]},
        {"Nachricht": "kurz", "spans": [{"from": 11, "to": 12}, {"from": 13}]},
    ],
)
def test_one_record_may_hold_a_list_of_records(tmp_path, record):
    field = list(record)[-1]
    for content in (json.dumps(record), json.dumps([record])):
        frame = read(tmp_path, content)
        assert len(frame) == 1
        assert json.loads(frame[field].tolist()[0]) == record[field]


def test_numbers_are_kept_as_they_are_written(tmp_path):
    big = "123456789012345678901234567890"
    line = f'{{"n": {big}, "x": 1.50, "in": {{"n": [{big}, 1.5, -0.0, true, null]}}}}'
    frame = read(tmp_path, f"{line}\n{line}", "t.jsonl")
    cells = frame.to_dict("records")[0]
    assert cells["n"] == big and cells["x"] == "1.50"
    assert cells["in"] == f'{{"n": [{big}, 1.5, 0, true, null]}}'
