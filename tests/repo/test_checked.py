"""Types and shapes are checked in tests; functions inside functions are not."""

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float, TypeCheckError, jaxtyped

from helpers.checked import by_shape, typed
from stc_core.backbone.batches import batch_stop, shards, token_batches
from stc_core.data.split import split_rows


def test_a_wrong_type_is_refused():
    with pytest.raises(TypeCheckError, match="token_budget"):
        batch_stop([1, 2], 0, "nine", max_texts=9)  # pyright: ignore


def test_a_wrong_type_is_refused_where_there_is_no_array():
    with pytest.raises(BeartypeCallHintViolation, match="nine"):
        shards("nine")  # pyright: ignore


def test_a_wrong_shape_is_refused():
    with pytest.raises(TypeCheckError, match="lengths"):
        token_batches(np.ones((2, 2), int), 9, max_texts=9)


def test_axes_of_one_name_have_one_size():
    with pytest.raises(TypeCheckError):
        split_rows(
            np.arange(3), np.arange(4), validation_share=0.2, test_share=0.2, seed=0
        )


def test_an_inner_function_is_made_as_cheaply_as_it_is():
    """What is checked has a wrapper; what a call makes anew has none."""
    assert hasattr(batch_stop, "__wrapped__")
    made = [
        one.co_name
        for one in batch_stop.__wrapped__.__code__.co_consts
        if hasattr(one, "co_name")
    ]
    assert made == ["padded"]
    assert "jaxtyping" not in batch_stop.__wrapped__.__code__.co_names


Vector = Float[np.ndarray, " n"]


class Doubles:
    """Doubles what it is given, and counts how often; it may be told what to answer."""

    def __init__(self) -> None:
        self.calls = 0
        self.answer: np.ndarray | None = None

        @by_shape
        @jaxtyped(typechecker=typed)
        def double(
            values: Float[np.ndarray, " n"], *, how: "str | list" = ""
        ) -> Float[np.ndarray, " n"]:
            self.calls += 1
            return 2 * values if self.answer is None else self.answer

        self.double = double


def test_after_a_right_call_a_wrong_one_is_refused():
    twice = Doubles()
    for _ in range(3):
        twice.double(np.ones(3))
    for wrong in (np.ones((3, 1)), np.ones(3, int), [1.0, 1.0, 1.0]):
        with pytest.raises(TypeCheckError, match="values"):
            twice.double(wrong)  # pyright: ignore
    with pytest.raises(TypeCheckError, match="how"):
        twice.double(np.ones(3), how=3)  # pyright: ignore
    assert twice.calls == 3


@pytest.mark.parametrize("how", ["", [], [1] * 100])
def test_after_a_right_result_a_wrong_one_is_refused(how):
    """Each call is one call of the function, whatever is checked of it."""
    twice = Doubles()
    twice.double(np.ones(3), how=how)
    twice.answer = np.ones(4)
    for _ in range(2):
        with pytest.raises(TypeCheckError, match="return value"):
            twice.double(np.ones(3), how=how)
    twice.answer = None
    twice.double(np.ones(3), how=how)
    twice.double(np.ones(4), how=how)
    assert twice.calls == 5


def test_a_name_of_an_axis_is_not_that_of_the_caller():
    """Though the call between them is not checked again."""

    @typed
    def inner(values: Vector) -> None: ...

    @by_shape
    @jaxtyped(typechecker=typed)
    def between(values: Float[np.ndarray, " size"]) -> None:
        inner(values)

    @jaxtyped(typechecker=typed)
    def outer(values: Vector) -> None:
        between(np.ones(4))

    between(np.ones(4))
    outer(np.ones(3))
