"""Both halves see all directions, and every projection is in just one of them."""

import numpy as np
import pytest

from models.quality.halves import SHARED_PRIOR_NOTE, odd_even_split


@pytest.mark.parametrize(("n", "sizes"), [(91, (46, 45)), (2, (1, 1)), (90, (45, 45))])
def test_every_other_angle_goes_to_the_other_half(n: int, sizes: tuple[int, int]) -> None:
    split = odd_even_split(np.arange(n) * 180.0 / n)
    assert (len(split.even), len(split.odd)) == sizes
    assert split.even.tolist() == list(range(0, n, 2))
    assert sorted([*split.even, *split.odd]) == list(range(n))


def test_the_order_of_measurement_does_not_matter() -> None:
    angles_deg = np.arange(20) * 9.0
    order = np.random.default_rng(0).permutation(20)
    split = odd_even_split(angles_deg[order])
    assert angles_deg[order][split.even].tolist() == angles_deg[::2].tolist()


def test_an_angle_measured_twice_is_in_both_halves_and_the_others_still_alternate() -> None:
    angles_deg = np.array([0.0, 10.0, 10.0, 20.0, 30.0, 40.0])
    split = odd_even_split(angles_deg)
    assert angles_deg[split.even].tolist() == [0.0, 10.0, 20.0, 40.0]
    assert angles_deg[split.odd].tolist() == [10.0, 30.0]


def test_one_angle_measured_often_is_divided_evenly() -> None:
    split = odd_even_split(np.full(7, 30.0))
    assert (len(split.even), len(split.odd)) == (4, 3)


@pytest.mark.parametrize("angles_deg", [[], [1.0], [0.0, np.nan], [[0.0, 1.0]]])
def test_what_cannot_be_halved_is_refused(angles_deg: list) -> None:
    with pytest.raises(ValueError, match="at least two finite angles"):
        odd_even_split(angles_deg)


def test_the_note_says_that_the_figure_is_overstated() -> None:
    assert "overstates the resolution" in SHARED_PRIOR_NOTE
