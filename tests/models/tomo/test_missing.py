"""Pixels that were not measured come from their neighbours; measured ones stay."""

import numpy as np
import pytest

from models.tomo.missing import fill_missing


def test_a_gap_in_an_even_map_is_filled_evenly() -> None:
    image = np.full((2, 8, 9), 3.0, dtype=np.float32)
    image[0, 2:5, 3:6] = np.nan
    filled = fill_missing(image)
    assert filled.n_filled == 9
    assert filled.values == pytest.approx(3.0)


def test_a_projection_without_any_measured_pixel_is_refused_by_its_number() -> None:
    stack = np.ones((3, 4, 4), dtype=np.float32)
    stack[1] = np.nan
    with pytest.raises(ValueError, match="projection 1 has no measured pixel"):
        fill_missing(stack)
