"""Types and shapes are checked in tests; functions inside functions are not."""

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

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
