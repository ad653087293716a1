"""The transmission picture beside the counts: where it lies, whether it tells of the elements, with what weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift as shifted
from scipy.optimize import minimize, nnls

Image = NDArray[np.float32]

_REACH_PX = 8
"""Of the search for the picture's place."""
_MOST_ROWS = 512
_ALIGNED_PX = 0.1
"""A shift below it is left alone: resampling would cost more."""
_N_REWEIGHTED = 10
_INLIER = 0.01
"""Of the picture's range: residuals below it count as noise."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A transmission picture on the grid of the patterns, its background near zero and its range one.

    Attributes:
        image: (y, x).
        shift_px: by which it was moved, y and x.
        explained: share of the picture's own signals under the patterns that the counts explain.
        by_chance: the share that a picture of nothing would have.
    """

    image: Image
    shift_px: tuple[float, float]
    explained: float
    by_chance: float

    @property
    def tells(self) -> bool:
        """Whether it has to do with the elements at all."""
        return self.explained > 2 * self.by_chance + 0.1


def places(picture: Image, patterns: NDArray[np.float32], signals: NDArray[np.float64]) -> tuple[Placed, ...]:
    """The picture where it was taken and, where that is elsewhere, where the counts want it.

    Were it the weighted sum of the maps, its signal under each pattern would be the same weighted sum of the counts. So
    the right place is where the counts explain most of these signals. What else absorbs may pull it off by half a
    pixel: which of both is better is to be told by measurements held out.

    Args:
        picture: (y, x).
        patterns: (N, y, x).
        signals: (E, N) counts in any units.
    """
    low, high = np.percentile(picture, (2.0, 99.8))
    image = ((picture - low) / max(high - low, 1e-9)).astype(np.float32)
    n = min(len(patterns), _MOST_ROWS)
    rows = patterns[:n].reshape(n, -1)
    basis, _ = np.linalg.qr((signals[:, :n] - signals[:, :n].mean(1, keepdims=True)).T)
    coarse = _explained(image, patterns[:n], basis)
    by_chance = len(signals) / max(n - 1, 1)

    def missed(shift: NDArray[np.float64]) -> float:
        under = rows @ _moved(image, shift).ravel()
        under = under - under.mean()
        return 1 - float(((basis.T @ under) ** 2).sum() / max(float((under**2).sum()), 1e-30))

    still = Placed(image, (0.0, 0.0), 1 - missed(np.zeros(2)), by_chance)
    begin = np.array(np.unravel_index(int(coarse.argmax()), coarse.shape), np.float64) - coarse.shape[0] // 2
    simplex = begin + np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]])
    found = minimize(
        missed, begin, method="Nelder-Mead", options={"xatol": 0.02, "fatol": 1e-7, "initial_simplex": simplex}
    )
    if np.abs(found.x).max() < _ALIGNED_PX:
        return (still,)
    return still, Placed(
        _moved(image, found.x), (float(found.x[0]), float(found.x[1])), 1 - float(found.fun), by_chance
    )


def _moved(image: Image, shift: NDArray[np.float64]) -> Image:
    return np.asarray(shifted(image, shift, order=3, mode="nearest"), np.float32)


def _explained(image: Image, patterns: NDArray[np.float32], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the variance of the signals of the picture, moved by up to `reach` that counts explain."""
    reach = min(_REACH_PX, *(side // 4 for side in image.shape))
    pad = [(reach, reach), (reach, reach)]
    still = np.conj(np.fft.rfft2(np.pad(image, pad)))
    size = (image.shape[0] + 2 * reach, image.shape[1] + 2 * reach)
    moved = np.empty((len(patterns), 2 * reach + 1, 2 * reach + 1))
    at = np.arange(-reach, reach + 1)
    for row, pattern in enumerate(patterns):
        under = np.fft.irfft2(np.fft.rfft2(np.pad(pattern, pad)) * still, s=size)
        moved[row] = under[np.ix_(at, at)]
    moved -= moved.mean(0)
    total = (moved**2).sum(0)
    along = (np.tensordot(basis, moved, (0, 0)) ** 2).sum(0)
    return np.asarray(along / np.maximum(total, 1e-30))


def element_weights(image: Image, maps: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Weight (E,) of each element's map (E, y, x) in the picture, none negative, and the picture's background.

    What else absorbs, and where maps are wrong, counts little: residuals are weighted to least absolute ones.
    """
    columns = np.concatenate([maps.reshape(len(maps), -1), np.ones((1, image.size), np.float32)]).T.astype(np.float64)
    target, weight = image.ravel().astype(np.float64), np.ones(image.size)
    found = np.zeros(len(maps) + 1)
    for _ in range(_N_REWEIGHTED):
        root = np.sqrt(weight)
        found, _ = nnls(columns * root[:, None], target * root)
        weight = 1 / np.maximum(np.abs(columns @ found - target), _INLIER)
    return found[:-1], float(found[-1])
