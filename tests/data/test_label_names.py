"""Class names: what differs in spelling only, and what holds several labels."""

import unicodedata

import pytest

from stc_core.config import DataConfig
from stc_core.data.corpus import inspect_corpus
from stc_core.data.label_names import difference, several_labels, spelling_variants

DECOMPOSED = unicodedata.normalize("NFD", "dépôt")


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("spam", "spam\u200b", "by a zero-width space that cannot be seen"),
        ("spam", "sp\u00adam", "by a soft hyphen that cannot be seen"),
        ("spam", "\ufeffspam", "by a byte-order mark that cannot be seen"),
        ("spam", "\u200espam\u200b", "by a character that cannot be seen"),
        ("no reply", "no\u00a0reply", "by the kind or the number of spaces"),
        ("no reply", "no  reply", "by the kind or the number of spaces"),
        ("dépôt", DECOMPOSED, "in how an accented letter is stored"),
        ("spam", "ｓｐａｍ", "by wide or joined forms of letters"),
        ("fish", "ﬁsh", "by wide or joined forms of letters"),
        ("spam", "Spam", "in case"),
        ("1", "1.0", "in how the number is written"),
        ("1", "01", "in how the number is written"),
        ("-1.5", "-1.50", "in how the number is written"),
        ("spam", "'spam'", "in quotes or marks at the ends"),
        ("spam", "spam.", "in quotes or marks at the ends"),
        ("credit card", "credit_card", "by a hyphen, an underscore or a space"),
        ("credit-card", "credit–card", "by a hyphen, an underscore or a space"),
        ("spam", "Spam\u200b", "by a zero-width space that cannot be seen and in case"),
    ],
)
def test_twins_are_found_and_told_apart_in_words(one, other, words):
    assert spelling_variants([one, "else", other]) == [[one, other]]
    assert difference(one, other).startswith(f"differ only {words}")


@pytest.mark.parametrize(
    "names",
    [
        ["1", "-1", "+2", "10", "1.5", "15"],
        ["C", "C++", "C#"],
        ["A", "A+", "A-", "B"],
        ["-", "?", "'"],
        ["resume", "résumé"],
        ["1e5", "1 e5"[:1], "nan"],
        ["été", "ete"],
    ],
)
def test_other_names_are_none(names):
    assert spelling_variants(names) == []


@pytest.mark.parametrize(
    ("names", "several"),
    [
        (['["pos","spam"]', "pos"], ['["pos","spam"]']),
        (["['pos', 'spam']", "neg"], ["['pos', 'spam']"]),
        (["['pos']", "['neg']"], []),
        (["['pos']", "['pos', 'neg']"], ["['pos', 'neg']"]),
        (["(pos, spam)", "{pos, spam}"], ["(pos, spam)", "{pos, spam}"]),
        (["pos;spam", "pos", "spam"], ["pos;spam"]),
        (["pos | spam", "pos", "spam"], ["pos | spam"]),
        (["a,b", "b,c", "a,c"], ["a,b", "b,c", "a,c"]),
        (["Paris, France", "Lyon, France", "Rome, Italy"], []),
        (["R&B", "C++", "n/a", "yes/no", "a;", ";"], []),
        (["[other]", "(none)", "pos"], []),
        (["1/2", "1/3", "2/3"], ["1/2", "1/3", "2/3"]),
    ],
)
def test_several_labels_in_a_cell(names, several):
    assert several_labels(names) == several


def test_the_report_names_the_rows(tmp_path):
    labels = ["pos", "neg", "pos\u200b", "pos;neg"] * 10
    lines = [f"text {n},{label}" for n, label in enumerate(labels)]
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(lines), "utf-8")
    report = inspect_corpus(DataConfig(path=str(tmp_path / "t.csv"))).report
    found = {one.kind: one for one in report.findings}
    assert found.keys() == {"label_variants", "label_several"}
    assert found["label_variants"].rows == tuple(range(3, 41, 4))
    assert r"'pos' and 'pos\u200b' differ only by a zero-width" in (
        found["label_variants"].message
    )
    assert found["label_several"].rows == tuple(range(4, 41, 4))
