"""Numbers are written as Python's own formatting writes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scripts.lib.text.decimals import joined_decimals

TIES = np.arange(1, 128, 2, dtype=np.float32) / 128  # their seventh and last decimal is a 5
shapes = st.tuples(st.integers(0, 5), st.integers(1, 4))


def plainly(values: np.ndarray) -> list[str]:
    return [":".join(f"{number:.6f}" for number in row) for row in values.tolist()]


@given(arrays.arrays(np.float32, shapes, elements=st.floats(0, 10, width=32)))
def test_numbers_have_six_decimals(values: np.ndarray) -> None:
    assert joined_decimals(values) == plainly(values)


@pytest.mark.parametrize("columns", [1, 4])
def test_ties_are_rounded_to_the_even_digit(columns: int) -> None:
    values = TIES.reshape(-1, columns)
    assert joined_decimals(values) == plainly(values)
    assert "0.007812" in joined_decimals(values)[0]


@pytest.mark.parametrize("number", [-0.5, 10.0, 1e30, float("inf"), float("nan")])
def test_other_numbers_are_written_too(number: float) -> None:
    values = np.array([[0.25, number], [1.0, 0.0]], np.float32)
    assert joined_decimals(values) == plainly(values)


def test_zero_has_no_sign() -> None:
    assert joined_decimals(np.array([[-0.0, -1e-9]], np.float32)) == ["0.000000:0.000000"]
