"""Procedural fine maps are maps, and come from their seed alone."""

import numpy as np
import pytest

from models.superres.pairs.bank import ProceduralMaps
from models.superres.pairs.images import GENERATORS, draw_image


@pytest.mark.parametrize("kind", sorted(GENERATORS))
def test_generators_give_the_same_map_for_the_same_seed_only(kind: str) -> None:
    first, again, other = (GENERATORS[kind](np.random.default_rng(seed), 96) for seed in (5, 5, 6))
    assert first.shape == (96, 96)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_images_lie_between_0_and_1_and_have_contrast() -> None:
    images = [draw_image(np.random.default_rng(seed), 128) for seed in range(8)]
    assert all(image.min() >= 0 and image.max() <= 1 for image in images)
    assert np.mean([image.std() for image in images]) > 0.1


def test_bank_draws_the_same_patches_in_any_order() -> None:
    one, other = ProceduralMaps(3, 2), ProceduralMaps(3, 2)
    other.patch(np.random.default_rng(9), 64)
    np.testing.assert_array_equal(one.patch(np.random.default_rng(1), 64), other.patch(np.random.default_rng(1), 64))


def test_patch_larger_than_the_images_is_refused() -> None:
    with pytest.raises(ValueError, match="500"):
        ProceduralMaps(3, 1).patch(np.random.default_rng(0), 500)
