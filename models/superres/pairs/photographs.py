"""Fine maps cut from photographs, and mixtures of kinds of fine maps."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.superres.pairs.simulate import FineMaps
from models.superres.pairs.source import described_parts


class Images(Protocol):
    """Pictures by number; reading them is the affair of whoever made this."""

    @property
    def description(self) -> str:
        """What they are, and how their use is restricted; changes with the pictures."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """(y, x) grey values between 0 and 1; never changed by the caller."""


@dataclass(frozen=True)
class Photographs:
    """Patches from anywhere in any of the images."""

    images: Images

    @property
    def description(self) -> str:
        """That of the images."""
        return self.images.description

    def patch(self, rng: np.random.Generator, side: int) -> NDArray[np.float32]:
        """(side, side) between 0 and 1; an image that is smaller is mirrored at its border."""
        image = self.images[int(rng.integers(len(self.images)))]
        missing = [max(0, side - n) for n in image.shape]
        if any(missing):
            image = np.pad(image, [(n // 2, n - n // 2) for n in missing], mode="symmetric")
        top, left = (int(rng.integers(n - side + 1)) for n in image.shape)
        return image[top : top + side, left : left + side]


@dataclass(frozen=True)
class MixedMaps:
    """Each patch from one of several kinds of fine maps.

    Attributes:
        parts: (share of the patches, fine maps); shares are relative.
    """

    parts: tuple[tuple[float, FineMaps], ...]

    @property
    def description(self) -> str:
        """Of all parts with their shares."""
        return described_parts([(share, part.description) for share, part in self.parts], "patches")

    def patch(self, rng: np.random.Generator, side: int) -> NDArray[np.float32]:
        """(side, side) of one of the parts."""
        shares = np.array([share for share, _ in self.parts])
        chosen = int(rng.choice(len(shares), p=shares / shares.sum()))
        return self.parts[chosen][1].patch(rng, side)
