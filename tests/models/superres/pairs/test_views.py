"""No view stands on both sides of the split."""

import numpy as np
import pytest

from models.superres.pairs.views import held_out_views


@pytest.mark.parametrize(("n", "held_out"), [(3, (1,)), (5, (2,)), (10, (2, 7)), (12, (2, 7))])
def test_every_fifth_view_is_held_out_and_at_least_one(n: int, held_out: tuple[int, ...]) -> None:
    assert held_out_views(np.arange(n) * 180.0 / n) == held_out


def test_a_view_and_its_mirror_image_stay_on_one_side() -> None:
    angles_deg = np.arange(0.0, 360.0, 18.0)
    held_out = {angles_deg[place] % 180 for place in held_out_views(angles_deg)}
    learnt = {angle % 180 for place, angle in enumerate(angles_deg) if place not in held_out_views(angles_deg)}
    assert held_out
    assert not held_out & learnt


def test_both_ends_of_half_a_turn_are_one_view() -> None:
    angles_deg = [0.0, 45.0, 90.0, 135.0, 179.99, 360.0]
    held_out = held_out_views(angles_deg)
    assert {0, 4, 5} <= set(held_out) or not {0, 4, 5} & set(held_out)


def test_the_order_of_measurement_does_not_matter() -> None:
    angles_deg = np.arange(11) * 16.0
    shuffled = np.random.default_rng(0).permutation(angles_deg)
    first = {float(angles_deg[place]) for place in held_out_views(angles_deg)}
    assert {float(shuffled[place]) for place in held_out_views(shuffled)} == first


def test_too_few_views_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2 different views .* at least 3 are needed"):
        held_out_views([0.0, 90.0, 180.0, 270.0])
