"""A store of procedural fine maps, drawn when first needed and always the same for the same seed."""

import numpy as np
from numpy.typing import NDArray

from models.superres.pairs.images import draw_image

_SIDE_PX = 360


class ProceduralMaps:
    """Patches of ``n_images`` procedural images; an image costs 0.2 s once and 0.26 MB for ever.

    Args:
        seed: of the images; training takes seeds below 2**31 only, held-out sets those above.
        n_images: to draw from.
    """

    def __init__(self, seed: int, n_images: int) -> None:
        self._seed = seed
        self._images: list[NDArray[np.float16] | None] = [None] * n_images

    @property
    def description(self) -> str:
        """Their number and seed, and the licence."""
        return (
            f"{len(self._images)} procedural maps of seed {self._seed}, drawn by models/superres/pairs; "
            "licence BSD-3-Clause as the code"
        )

    def patch(self, rng: np.random.Generator, side: int) -> NDArray[np.float32]:
        """(side, side) from anywhere in any of the images.

        Raises:
            ValueError: the side is larger than an image.
        """
        if side > _SIDE_PX:
            raise ValueError(f"side is {side}: these images have {_SIDE_PX} pixels along one")
        index = int(rng.integers(len(self._images)))
        top, left = rng.integers(0, _SIDE_PX - side + 1, 2)
        return self._image(index)[top : top + side, left : left + side].astype(np.float32)

    def _image(self, index: int) -> NDArray[np.float16]:
        image = self._images[index]
        if image is None:
            image = draw_image(np.random.default_rng([self._seed, index]), _SIDE_PX).astype(np.float16)
            self._images[index] = image
        return image
