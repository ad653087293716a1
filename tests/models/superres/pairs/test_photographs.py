"""Patches of photographs are parts of them; a mixture keeps its shares."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from models.superres.pairs.photographs import MixedMaps, Photographs


@dataclass(frozen=True)
class Pictures:
    """In memory."""

    pictures: tuple[NDArray[np.float32], ...]
    description: str = "pictures"

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        return self.pictures[index]


def _flat(value: float, shape: tuple[int, int] = (40, 30)) -> NDArray[np.float32]:
    return np.full(shape, value, np.float32)


def test_a_patch_is_a_part_of_its_image() -> None:
    image = np.random.default_rng(0).random((40, 50), dtype=np.float32)
    patch = Photographs(Pictures((image,))).patch(np.random.default_rng(1), 12)
    windows = np.lib.stride_tricks.sliding_window_view(image, (12, 12))
    assert (windows == patch).all((2, 3)).sum() == 1


def test_an_image_smaller_than_the_patch_is_mirrored() -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4) / 12
    patch = Photographs(Pictures((image,))).patch(np.random.default_rng(0), 10)
    assert patch.shape == (10, 10)
    np.testing.assert_array_equal(patch[3:6, 3:7], image)
    np.testing.assert_array_equal(patch[2, 3:7], image[0])


def test_patches_come_from_all_images_and_follow_the_generator() -> None:
    photographs = Photographs(Pictures(tuple(_flat(value) for value in (0.1, 0.5, 0.9))))
    drawn = [photographs.patch(np.random.default_rng(seed), 8)[0, 0] for seed in range(30)]
    assert len(set(drawn)) == 3
    assert drawn == [photographs.patch(np.random.default_rng(seed), 8)[0, 0] for seed in range(30)]


def test_a_mixture_of_maps_keeps_its_shares() -> None:
    kinds = [Photographs(Pictures((_flat(value),))) for value in (0.0, 1.0)]
    mixed = MixedMaps(((0.6, kinds[0]), (0.4, kinds[1])))
    rng = np.random.default_rng(2)
    assert np.mean([mixed.patch(rng, 8).mean() for _ in range(300)]) == pytest.approx(0.4, abs=0.08)
    assert mixed.description == "60 % of the patches from pictures; 40 % of the patches from pictures"
