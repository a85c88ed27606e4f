"""Repairs: each leaves exactly the rows that its rule names, however it is given."""

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stc_core.config import DataConfig, Repair, RunConfig, parse_repair
from stc_core.data.corpus import Corpus, inspect_corpus, read_corpus
from stc_core.data.findings import CAUSES_FIRST, Finding
from stc_core.data.repairs import label_parts, say_mend, say_repair
from stc_core.errors import StcError
from stc_core.recipe_table import LEFT_OUT, REPAIRS

HEAD = "text,label,split\n"


def table(folder: Path, extra: str = "", *, n: int = 60, head: str = HEAD) -> str:
    """A file of `n` plain rows in classes c0 to c2, then the lines of `extra`."""
    lines = [f"text number {i},c{i % 3},train" for i in range(n)]
    lines += [f"held out {i},c{i % 3},test" for i in range(6)]
    path = folder / "data.csv"
    path.write_text(head + "\n".join(lines) + "\n" + extra, "utf-8")
    return str(path)


def with_repairs(path: str, *repairs: str | Repair, **data: object) -> Corpus:
    return inspect_corpus(
        DataConfig.model_validate({"path": path, "repairs": repairs, **data})
    )


def kinds(corpus: Corpus) -> dict[str, Finding]:
    return {one.kind: one for one in corpus.report.findings}


def lost(path: str, *repairs: str) -> list[int]:
    """The numbers of the rows that are used without the repairs, and not with them."""
    before, after = with_repairs(path), with_repairs(path, *repairs)
    return sorted(set(before.frame["row"]) - set(after.frame["row"]))


CASES = {
    "label_variants": "late parcel,C0,train\nlate again,C0,train\n",
    "label_null_word": "".join(f"odd {i},N/A,train\n" for i in range(3)),
    "label_several": "".join(f"odd {i},c0|c{i % 2 + 1},train\n" for i in range(3)),
    "conflict": "text number 0,c1,train\n",
    "duplicate": "text number 0,c0,train\n",
    "leak": "held out 0,c0,train\n",
    "class_too_small": "odd,once,train\n",
    "class_small": "".join(f"odd {i},few,train\n" for i in range(3)),
    "empty_text": " ,c0,train\n",
    "missing_label": "no label,,train\n",
}
"""For each kind of finding with a repair, lines that cause it."""


@pytest.mark.parametrize("kind", CASES)
def test_each_way_to_mend_a_finding_settles_it(tmp_path, kind):
    path = table(tmp_path, CASES[kind])
    found = kinds(with_repairs(path))[kind]
    assert found.mends, kind
    for mend in found.mends:
        mended = with_repairs(path, *mend)
        assert kind not in kinds(mended) and not mended.report.errors
        applied = tuple(one.repair for one in mended.report.repairs)
        assert applied == mend
        assert all(one.count for one in mended.report.repairs)
        assert mended.report.n_rows == with_repairs(path).report.n_rows


@pytest.mark.parametrize(
    ("repair", "extra", "rows"),
    [
        ("leave-out:conflicts", "text number 0,c1,train\n", [1, 67]),
        ("leave-out:repeats", "text number 0,c0,train\n text number 0,c0,train\n", 2),
        ("leave-out:leaks", "held out 0,c0,train\nheld out 1,c0,train\n", [67, 68]),
        ("leave-out-class:c1", "", [*range(2, 60, 3), 62, 65]),
        ("leave-out-below:3", "a,few,train\nb,few,train\nc,few,test\n", [67, 68, 69]),
        ("leave-out-below:2", "a,few,train\nb,few,train\nc,few,test\n", []),
        ("leave-out:no-text", " ,c0,train\n", []),
        ("leave-out:no-label", "no label,,train\n", []),
    ],
)
def test_exactly_the_named_rows_are_left_out(tmp_path, repair, extra, rows):
    rows = [67, 68] if rows == 2 else rows
    assert lost(table(tmp_path, extra), repair) == rows


def test_of_repeats_the_one_in_test_stays(tmp_path):
    path = table(tmp_path, "same,c0,train\nsame,c0,test\nsame,c0,train\n")
    assert lost(path, "leave-out:repeats") == [67, 69]
    assert kinds(with_repairs(path))["duplicate"].rows == (67, 69)


def test_repeats_of_a_text_with_two_labels_are_left_to_conflicts(tmp_path):
    path = table(tmp_path, "same,c0,train\nsame,c1,train\nsame,c1,train\n")
    assert lost(path, "leave-out:repeats") == []
    both = ("leave-out:repeats", "leave-out:conflicts")
    assert lost(path, *both) == lost(path, *both[::-1]) == [67, 68, 69]


def test_a_text_may_have_another_label_in_the_test_file(tmp_path):
    path, test = table(tmp_path, head="text,label,part\n"), tmp_path / "test.csv"
    test.write_text("text,label\ntext number 0,c1\nfresh,c2\n", "utf-8")
    mended = with_repairs(path, "leave-out:conflicts", test_path=str(test), split="")
    assert len(mended.frame) == 68
    leaks = with_repairs(path, "leave-out:leaks", test_path=str(test), split="")
    assert len(leaks.frame) == 67 and 1 not in set(
        leaks.frame["row"][leaks.frame["file"] == "data"]
    )


def test_labels_are_merged_before_classes_are_counted(tmp_path):
    path = table(tmp_path, "odd,C0,train\neven,C0,train\n")
    both = with_repairs(path, "leave-out-below:10", "merge:C0=c0")
    assert len(both.frame) == 68 and both.classes == ("c0", "c1", "c2")
    assert [one.count for one in both.report.repairs] == [2, 0]
    assert both.frame["row"].tolist() == [*range(1, 69)]


def test_one_of_several_labels_or_levels(tmp_path):
    rows = [(f"text {i}", f"top{i % 2} > sub{i % 4}") for i in range(60)]
    frame = pd.DataFrame(rows, columns=["text", "label"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    first = with_repairs(str(tmp_path / "t.csv"), "first:>")
    assert first.classes == ("top0", "top1")
    levels = with_repairs(str(tmp_path / "t.csv"), "levels:>")
    assert levels.columns.labels == ("label 1", "label 2")
    assert levels.classes == ("sub0", "sub1", "sub2", "sub3")
    assert levels.parents == {
        "label_1": {"sub0": "top0", "sub1": "top1", "sub2": "top0", "sub3": "top1"}
    }


def test_a_row_with_fewer_labels_has_no_finer_one(tmp_path):
    labels = ["a|b"] * 30 + ["c|d|e"] * 20 + ["a"] * 3
    frame = pd.DataFrame({"text": [f"t {i}" for i in range(53)], "label": labels})
    frame.to_csv(tmp_path / "t.csv", index=False)
    levels = with_repairs(str(tmp_path / "t.csv"), "levels:|")
    assert levels.classes == ("b", "d|e")
    assert kinds(levels)["missing_label"].rows == (51, 52, 53)


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("a | b", ["a", "b"]),
        ("a||b", ["a", "b"]),
        ('["a", "b|c"]', ["a", "b|c"]),
        ("['a']", ["a"]),
        ("(other)", ["(other)"]),
        ("|", ["|"]),
        ("plain", ["plain"]),
        ("[x|y]", ["x", "y"]),
    ],
)
def test_parts_of_a_cell(cell, parts):
    assert label_parts(cell, "|") == parts


@pytest.mark.parametrize(
    ("repair", "told"),
    [
        ("merge:C9=c0", "no row of 'label' has the label 'C9'"),
        ("merge:co=c1", "Did you mean 'c2'?"),
        ("leave-out-class:spam", "no row of 'label' has the label 'spam'"),
        ("first:|", "no cell of 'label' has '|' between two labels"),
        ("levels:|", "no cell of 'label' has '|' between two labels"),
    ],
)
def test_a_repair_that_does_not_fit_is_an_error_that_can_be_undone(
    tmp_path, repair, told
):
    path = table(tmp_path)
    (error,) = with_repairs(path, repair).report.errors
    assert told in error.message and error.message.endswith(
        "Undo or correct this repair."
    )
    with pytest.raises(StcError, match="does not fit"):
        read_corpus(DataConfig.model_validate({"path": path, "repairs": [repair]}))


def test_a_rule_that_finds_nothing_says_so(tmp_path):
    (nothing,) = with_repairs(table(tmp_path), "leave-out:repeats").report.repairs
    assert nothing.count == 0


@pytest.mark.parametrize(
    "repair",
    [
        Repair(do="merge", what="a=b", into="c"),
        Repair(do="merge", what="re\u200bfund", into="refund = all"),
        Repair(do="leave-out-class", what="{}"),
        Repair(do="leave-out", what="leaks"),
        Repair(do="first", what=","),
    ],
)
def test_what_is_printed_can_be_typed(repair):
    (word,) = shlex.split(shlex.quote(str(repair)))
    assert parse_repair(word) == repair


@pytest.mark.parametrize(
    "typed",
    ["", "x", "merge:a", "merge:a=a", "leave-out:all", "leave-out-below:1", "{"],
)
def test_another_text_is_refused_with_the_forms(typed):
    with pytest.raises(StcError, match=r"repairs: expected .*:"):
        DataConfig.model_validate({"path": "t.csv", "repairs": [typed]})


def test_repairs_are_kept_in_the_config_of_a_run():
    typed = ["leave-out:repeats", "merge:A=a", "leave-out:conflicts", "merge:A=a"]
    data = DataConfig.model_validate({"path": "t.csv", "repairs": typed})
    assert [str(one) for one in data.repairs] == [
        "merge:A=a",
        "leave-out:conflicts",
        "leave-out:repeats",
    ]
    kept = RunConfig(data=data).model_dump_json()
    assert RunConfig.model_validate_json(kept).data == data
    without = json.loads(kept)
    del without["data"]["repairs"]
    assert RunConfig.model_validate(without).data.repairs == ()


def test_every_repair_has_words():
    for way in REPAIRS:
        for what in LEFT_OUT if way == "leave-out" else ("3",):
            said = say_repair(Repair(do=way, what=what, into="x"))
            assert said[0].isupper() and not said.endswith(".")
    merges = [Repair(do="merge", what=name, into="c") for name in "ab"]
    assert say_mend(merges) == "Merge these spellings (2)"
    assert say_mend(merges[:1]) == "Read 'a' as 'c'"


def test_causes_stand_before_what_follows_from_them(tmp_path):
    path = table(tmp_path, "odd,C0,train\nheld,C1,test\n,c0,train\n")
    found = [one.kind for one in with_repairs(path).report.findings]
    assert found == [
        "empty_text",
        "label_variants",
        "class_too_small",
        "unseen_label",
    ]
    assert sorted(found, key=CAUSES_FIRST.index) == found


def test_the_same_seed_draws_the_same_split_from_the_rows_that_stay(tmp_path):
    frame = pd.DataFrame(
        {"text": [f"t {i}" for i in range(80)], "label": list("ab") * 40}
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    more = pd.concat([frame, frame.iloc[:5]], ignore_index=True)
    more.to_csv(tmp_path / "b.csv", index=False)
    plain = with_repairs(str(tmp_path / "a.csv"))
    mended = with_repairs(str(tmp_path / "b.csv"), "leave-out:repeats")
    pd.testing.assert_frame_equal(plain.frame, mended.frame)
    assert np.array_equal(plain.rows("test"), mended.rows("test"))
