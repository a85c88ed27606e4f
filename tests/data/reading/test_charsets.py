"""Code pages: sentences of 31 languages are read right in each of theirs."""

from pathlib import Path

import pytest

from stc_core.config import DataConfig
from stc_core.data.corpus import inspect_corpus
from stc_core.data.reading.charsets import likeliest_codecs, odd_share, text_codec
from stc_core.data.reading.sniff import sniff_encoding
from stc_core.data.table import read_table
from stc_core.errors import StcError

LINES = Path(__file__).with_name("sentences.tsv").read_text("utf-8").splitlines()
SENTENCES = dict(line.split("\t") for line in LINES)
CODECS = {
    "cp1250 iso8859-2 cp852 mac-latin2": "cs hu pl sk",
    "cp1250 iso8859-2 cp852": "ro hr sl",
    "cp1254 iso8859-9 mac-turkish cp857": "tr",
    "cp1257 iso8859-13 cp775": "lv lt",
    "cp1252": "de fr es pt it sv da fi is et",
    "cp850 mac-roman": "de fr es pt it sv fi",
    "cp437": "de",
    "cp1251 iso8859-5": "ru uk bg",
    "koi8-r cp866": "ru",
    "koi8-u": "uk",
    "cp1253 iso8859-7": "el",
    "cp1255": "he",
    "cp1256": "ar",
    "cp874": "th",
    "shift_jis euc_jp iso2022_jp": "ja",
    "gb18030": "zh",
    "big5": "tw",
    "euc_kr": "ko",
}
CASES = [
    (language, codec)
    for codecs, languages in CODECS.items()
    for codec in codecs.split()
    for language in languages.split()
]


def table_of(text: str) -> str:
    rows = [
        part.strip() for part in text.replace("。", ". ").split(". ") if part.strip()
    ]
    return "text,label\n" + "".join(f'"{row}",{n}\n' for n, row in enumerate(rows))


@pytest.mark.parametrize(("language", "codec"), CASES)
def test_two_sentences_are_read_right(language, codec):
    content = table_of(SENTENCES[language])
    found = sniff_encoding(content.encode(codec))
    assert content.encode(codec).decode(found.codec) == content


ENGLISH = [
    "I don’t like it – the “premium” case broke.",
    "It costs £100 a month.",
    "A café au lait for €20, naïve as I am.",
    "Zoë’s résumé was lost…",
    "Met Müller at the Hôtel in Zürich.",
    "It’s fine.",
    "30° outside, 90 µm film, ½ of the price, © Acme™",
    "Price: 5 €",
    "• broken • dirty",
]


@pytest.mark.parametrize("text", ENGLISH)
@pytest.mark.parametrize("plain", [0, 1, 300])
def test_english_with_a_few_signs_is_windows_1252(text, plain):
    content = table_of(text) + "The parcel was late and nobody answered.,3\n" * plain
    found = sniff_encoding(content.encode("cp1252"))
    assert content.encode("cp1252").decode(found.codec) == content


def test_what_is_unclear_has_three_readings_with_a_line_that_tells_them_apart():
    found = likeliest_codecs("Kúpil som to".encode("cp1250"))
    assert len(found.candidates) == 3 and not found.sure
    assert len({one.line for one in found.candidates}) == 3
    clear = likeliest_codecs(SENTENCES["ru"].encode("cp1251"))
    assert clear.sure and clear.encoding == "cp1251"


def test_the_report_tells_of_the_guess(tmp_path):
    path = tmp_path / "t.csv"
    rows = "".join(f"Kúpil som to {n},{'ab'[n % 2]}\n" for n in range(40))
    path.write_bytes(f"text,label\n{rows}".encode("cp1250"))
    (found,) = inspect_corpus(DataConfig(path=str(path))).report.findings
    assert found.kind == "encoding" and found.severity == "warning"
    assert found.message.count("“") == 3 and "--encoding" in found.message
    data = DataConfig(path=str(path), encoding="cp1250")
    corpus = inspect_corpus(data)
    assert corpus.report.findings == () and corpus.texts[0] == "Kúpil som to 0"


def test_stray_bytes_are_read_by_the_code_page_of_their_lines(tmp_path):
    good = "Děkuji mnohokrát, přišlo to,a\n".encode()
    bad = "Zboží přišlo rozbité, škoda žlutých šatů,b\n".encode("cp1250")
    (tmp_path / "t.csv").write_bytes(b"x,y,z\n" + good * 3 + bad)
    frame = read_table(tmp_path / "t.csv")
    assert frame["x"].tolist() == ["Děkuji mnohokrát"] * 3 + ["Zboží přišlo rozbité"]
    assert frame.attrs["source"]["named"] == {"repaired": [4]}
    assert frame.attrs["source"]["stray"] == "cp1250"


def test_capitals_that_are_valid_utf8_by_chance_do_not_decide():
    content = "text,label\nSTÓŁ,a\n" + "Kupiłem łóżko i jest świetne,b\n" * 9
    raw = content.encode("cp1250")
    assert raw.decode(sniff_encoding(raw).codec) == content


def test_letters_far_behind_the_first_bytes_count(tmp_path):
    rows = (
        "a plain row,a\n" * 60_000
        + "Zboží přišlo rozbité a škoda žlutých šatů,b\n" * 900
    )
    path = tmp_path / "t.csv"
    path.write_bytes(f"text,label\n{rows}".encode("cp1250"))
    assert read_table(path)["text"].iloc[-1].startswith("Zboží přišlo")


def test_utf16_without_a_mark_and_without_ascii(tmp_path):
    path = tmp_path / "t.csv"
    content = "文本,标签\n" + "包裹到得很晚，盒子也坏了,坏\n" * 5
    path.write_bytes(content.encode("utf-16-le"))
    assert list(read_table(path).columns) == ["文本", "标签"]


@pytest.mark.parametrize(
    ("reading", "share"),
    [
        ("don’t “go” – naïve 5 € 30° £10", 0.0),
        ("donÕt", 1.0),
        ("90 ╡m", 1.0),
        ("Kupi³em", 1.0),
        ("caf\x82", 1.0),
        ("а б", 1.0),
        ("Привет", 0.0),
        ("x\u05d0y", 1.0),
    ],
)
def test_signs_where_they_never_stand(reading, share):
    assert odd_share(reading) == share


@pytest.mark.parametrize(
    ("name", "codec"),
    [("CP1250", "cp1250"), ("Latin-1", "iso8859-1"), ("windows-1251", "cp1251")],
)
def test_codecs_have_many_names(name, codec):
    assert text_codec(name) == codec


@pytest.mark.parametrize(
    ("name", "near"),
    [("windows-1240", "cp1250|cp1254"), ("utf9", "utf8"), ("latin11", "latin1")],
)
def test_an_unknown_codec_has_near_names(name, near):
    with pytest.raises(StcError, match=f"Did you mean.*({near})"):
        text_codec(name)


@pytest.mark.parametrize("name", ["base64", "rot13", "", "x" * 99, "a\0b"])
def test_what_is_no_text_codec(name):
    with pytest.raises(StcError, match="expected the name of a text encoding"):
        text_codec(name)


@pytest.mark.parametrize(
    "text",
    [
        "Dear\xa0Sir, my parcel is late",
        "I don´t know where it is",
        "it cost 30\xa0€ – “far too much” …",
        "he said: it’s late",
    ],
)
@pytest.mark.parametrize("rows", [1, 5, 60])
def test_signs_of_windows_tell_no_language(text: str, rows: int):
    raw = "\n".join([text] * rows).encode("cp1252")
    reading = likeliest_codecs(raw, b"where is my parcel\n" * 50)
    assert raw.decode(reading.encoding) == "\n".join([text] * rows)
    assert reading.sure
