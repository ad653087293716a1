"""Angle weights add up to half a turn and follow the gaps; missing pixels come from their neighbours."""

import numpy as np
import pytest

from models.tomo.geometry import angle_weights, edge_to_index, index_to_edge
from models.tomo.missing import fill_missing


@pytest.mark.parametrize(
    "angles_deg",
    [
        np.arange(36) * 5.0,
        np.array([0.0, 10, 50, 51, 120]),
        np.array([3.0]),
        np.array([0.0, 180.0, 90.0]),
        np.array([-20.0, 200, 340]),
    ],
)
def test_weights_add_up_to_half_a_turn(angles_deg: np.ndarray) -> None:
    assert angle_weights(angles_deg).sum() == pytest.approx(np.pi)


def test_even_angles_weigh_alike() -> None:
    assert angle_weights(np.arange(36) * 5.0) == pytest.approx(np.pi / 36)


def test_weights_stay_with_their_angles_in_any_order() -> None:
    angles_deg = np.array([0.0, 10, 50, 51, 120, 170])
    order = np.array([3, 0, 5, 1, 4, 2])
    assert angle_weights(angles_deg[order]) == pytest.approx(angle_weights(angles_deg)[order])


def test_opposite_directions_share_one_weight() -> None:
    weights = angle_weights(np.array([0.0, 60, 120, 180, 179.99999999]))
    assert weights == pytest.approx(np.pi / 3 * np.array([1 / 3, 1, 1, 1 / 3, 1 / 3]))


def test_index_and_edge_coordinates_are_half_a_pixel_apart() -> None:
    assert index_to_edge(31.5) == 32.0
    assert edge_to_index(index_to_edge(7.3)) == pytest.approx(7.3)


def test_measured_pixels_are_kept_and_gaps_lie_between_their_neighbours() -> None:
    y, x = np.indices((12, 15))
    image = (2.0 * x + y).astype(np.float32)
    holed = image.copy()
    holed[4:6, 5:8] = np.nan
    holed[9, 3] = np.inf
    filled = fill_missing(holed[None])
    assert filled.n_filled == 7
    assert np.array_equal(filled.values[0][np.isfinite(holed)], image[np.isfinite(holed)])
    assert filled.values[0] == pytest.approx(image, abs=2.0)


def test_rows_never_measured_continue_the_last_one() -> None:
    image = np.full((6, 5), 3.0, dtype=np.float32)
    image[4:] = np.nan
    assert fill_missing(image[None]).values == pytest.approx(3.0)


def test_complete_projections_are_not_copied() -> None:
    stack = np.ones((2, 3, 4), dtype=np.float32)
    filled = fill_missing(stack)
    assert filled.values is stack
    assert filled.n_filled == 0
