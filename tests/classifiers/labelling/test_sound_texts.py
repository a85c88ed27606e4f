"""A text that breaks the tokenizer costs its own row, and no other fault is hidden."""

import numpy as np
import pytest

from stc_core.classifiers.labelling.sound_texts import broken_texts, read_sound


class PanicException(BaseException):
    """What a tokenizer written in Rust raises for its own bug."""


class Reader:
    """Breaks on texts with `!`, as a tokenizer would."""

    max_length = 8

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def tokenize(self, texts):
        if any("!" in text for text in texts):
            raise self.error
        return texts


TEXTS = ["a", "b!", "c", "half \ud800"]
ERRORS = [Exception("bad text"), PanicException("bad text"), TypeError("bad text")]


@pytest.mark.parametrize("error", ERRORS)
def test_the_other_texts_are_read(error):
    reader = Reader(error)

    def read(texts):
        "".join(texts).encode()
        return np.array([len(text) for text in reader.tokenize(texts)])

    values, broken = read_sound(read, TEXTS, reader)
    assert values.tolist() == [1, 1]
    assert broken == {1: "bad text", 3: "half a character, '\\ud800', at position 5"}


def test_sound_texts_are_read_once():
    calls = []
    assert read_sound(lambda texts: calls.append(texts) or 7, ["a"], None) == (7, {})
    assert calls == [["a"]]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), OSError("disk")])
def test_what_no_text_is_to_blame_for_is_raised(error):
    with pytest.raises(type(error)):
        broken_texts(Reader(error), TEXTS)


def test_a_fault_of_the_reading_itself_is_raised():
    def read(texts):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read_sound(read, ["a"], Reader(Exception()))
