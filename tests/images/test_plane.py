"""A smaller image shows all of the larger one, where it is, and at its true proportions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cryowatch.images.plane import reduce, reduced_size


class Array:
    """A plane in memory that holds its reader to what it promises."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.height, self.width = array.shape
        self._first = self._last = 0

    def rows(self, first: int, last: int) -> NDArray[Any]:
        assert self._first <= first < last <= self.height
        assert self._last <= last
        self._first, self._last = first, last
        return self._array[first:last]


def exactly(plane: NDArray[Any], size: int) -> NDArray[Any]:
    """Return the means of areas, by repeating every pixel until the areas end between pixels."""
    rows, columns = reduced_size(plane.shape[0], plane.shape[1], size)
    fine = plane.repeat(rows, 0).reshape(rows, plane.shape[0], plane.shape[1]).mean(axis=1)
    found: NDArray[Any] = fine.repeat(columns, 1).reshape(rows, columns, plane.shape[1]).mean(axis=2)
    return found


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_every_pixel_counts_by_the_area_it_covers(height: int, width: int, size: int) -> None:
    plane = np.random.default_rng(height * 100 + width).normal(50, 10, (height, width))
    found = reduce(Array(plane), size)
    assert found.shape == reduced_size(height, width, size)
    assert found == pytest.approx(exactly(plane, size), rel=1e-4)
    assert found.mean() == pytest.approx(plane.mean(), rel=1e-4)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([128, 256, 512, 1024, 2048]))
def test_proportions_are_true_to_half_a_pixel(height: int, width: int, size: int) -> None:
    rows, columns = reduced_size(height, width, size)
    assert max(rows, columns) == min(size, max(height, width))
    scale = max(rows, columns) / max(height, width)
    assert abs(rows - height * scale) <= 0.5 or rows == 1
    assert abs(columns - width * scale) <= 0.5 or columns == 1


@pytest.mark.parametrize(("height", "width"), [(4092, 5760), (1023, 1447), (700, 513)])
def test_what_is_at_the_last_row_and_column_is_still_there(height: int, width: int) -> None:
    plane = np.zeros((height, width), np.float32)
    plane[-1, -1] = 1e6
    found = reduce(Array(plane), 512)
    assert found[-1, -1] > 0
    assert np.count_nonzero(found) == 1
    plane = np.zeros((height, width), np.float32)
    y, x = height * 3 // 4, width * 2 // 3
    plane[y, x] = 1
    row, column = np.unravel_index(reduce(Array(plane), 512).argmax(), found.shape)
    assert int(row) == int((y + 0.5) * found.shape[0] / height)
    assert int(column) == int((x + 0.5) * found.shape[1] / width)


def test_neighbours_of_what_is_no_number_stay_numbers() -> None:
    plane = np.ones((1000, 1000), np.float32)
    plane[500, 500], plane[200, 300] = np.nan, np.inf
    assert np.count_nonzero(~np.isfinite(reduce(Array(plane), 300))) <= 2
