"""Soft masks are 1 inside, 0 outside, 1/2 at their radius, and hold the volume of the body they stand for."""

import numpy as np
import pytest

from models.quality.masks import box_mask, cylindrical_mask, spherical_mask, support_mask


def test_a_ball_holds_its_volume_and_has_both_values() -> None:
    mask = spherical_mask((40, 40, 40), 12.0, 4.0)
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.03)
    assert mask.max() == 1.0
    assert mask.min() == 0.0
    assert mask.dtype == np.float32


def test_it_is_one_half_at_the_radius() -> None:
    assert spherical_mask((41, 41), 10.0, 6.0)[20, 30] == pytest.approx(0.5)


def test_a_cylinder_stands_along_the_rotation_axis() -> None:
    mask = cylindrical_mask((30, 40, 30), 8.0, 20.0, 4.0)
    assert mask.sum() == pytest.approx(np.pi * 64 * 20, rel=0.03)
    assert (mask[15, 12:28, 15] == 1.0).all()
    assert mask[15, 5, 15] == 0.0
    assert mask[2, 20, 15] == mask[15, 20, 2] == 0.0


def test_a_box_holds_its_sides() -> None:
    mask = box_mask((20, 30), (10.0, 16.0), 4.0)
    assert mask.sum() == pytest.approx(160.0, rel=1e-5)


def test_a_support_is_kept_whole_and_fades_around() -> None:
    support = np.zeros((20, 20), bool)
    support[8:12, 8:12] = True
    mask = support_mask(support, 4.0)
    assert (mask[support] == 1.0).all()
    assert mask[10, 13] == pytest.approx(0.5)
    assert mask[10, 15] == pytest.approx(0.0, abs=1e-6)


def test_without_an_edge_it_is_a_hard_mask() -> None:
    assert set(np.unique(spherical_mask((20, 20), 6.0, 0.0))) == {0.0, 1.0}
    support = np.eye(5, dtype=bool)
    assert np.array_equal(support_mask(support, 0.0), support)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        spherical_mask((8, 8), 0.0, 1.0)
    with pytest.raises(ValueError, match="one side for each"):
        box_mask((8, 8), (3.0,), 1.0)
    with pytest.raises(ValueError, match="support is empty"):
        support_mask(np.zeros((4, 4), bool), 1.0)
