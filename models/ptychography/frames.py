"""What a ptychography scan has measured, in the object's pixels."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Indices = NDArray[np.intp]

_FILL_PX = 2.0
_LEAST_WEIGHT = 1e-3
_FAINT_PER_CENT = 5.0
_MOST_HAZE = 0.5  # of the mean: light that no probe shapes tells nothing of it

WIDEST_PX = 10_000
"""Of a scan: its object alone takes a gigabyte. Positions that span more are in another unit, or one is a glitch."""

LEAST_POINTS = 20
"""Below, nothing is left to hold out and overlap."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Far-field frames of a scan over one object.

    The object's pixel is wavelength * distance / (n * detector pixel), which makes the far field a discrete Fourier
    transform of a window of n pixels.

    Attributes:
        counts: (point, n, n) photons, n even; the direct beam is on pixel n // 2.
        positions_px: (point, 2) y and x of the middle of each exposure.
        fly_px: way of the stage during an exposure, y and x; one of them at most. (0, 0) for a step scan.
        pixel_size_nm: of the object.
        energy_kev: of the photons.
        mask: (n, n) True where the detector counts; everywhere by default.
        background: (n, n) mean photons of a frame that no specimen scatters; none by default.
    """

    counts: NDArray[np.float32]
    positions_px: NDArray[np.float64]
    fly_px: tuple[float, float]
    pixel_size_nm: float
    energy_kev: float
    mask: NDArray[np.bool_] | None = None
    background: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        self._check_shapes()
        self._check_counts()
        if self.positions_px.shape != (len(self.counts), 2):
            raise ValueError(
                f"positions have shape {self.positions_px.shape} for {len(self.counts)} frames: pass (y, x) for each"
            )
        if not np.isfinite(self.positions_px).all():
            raise ValueError("positions hold values that are no numbers: leave those points out")
        span = float(np.ptp(self.positions_px, axis=0).max())
        if span > WIDEST_PX:
            raise ValueError(f"positions span {span:.3g} pixels: check their unit, and leave out those far off")
        if np.count_nonzero(self.fly_px) > 1 or not np.isfinite(self.fly_px).all():
            raise ValueError(f"fly_px is {self.fly_px}: the stage flies along y or along x, pass 0 for the other")
        for name, value in (("pixel_size_nm", self.pixel_size_nm), ("energy_kev", self.energy_kev)):
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}: pass a positive number")

    def _check_shapes(self) -> None:
        shape = self.counts.shape
        if len(shape) != 3 or shape[1] != shape[2] or shape[1] % 2 or not self.counts.size:
            raise ValueError(f"frames have shape {shape}: (point, n, n) with an even n is needed")
        if len(self.counts) < LEAST_POINTS:
            raise ValueError(f"there are {len(self.counts)} frames: at least {LEAST_POINTS} that overlap are needed")
        for name, plane in (("mask", self.mask), ("background", self.background)):
            if plane is not None and plane.shape != self.counts.shape[1:]:
                raise ValueError(f"{name} has shape {plane.shape}, a frame {self.counts.shape[1:]}")
        if self.mask is not None and not self.mask.any():
            raise ValueError("the mask leaves no pixel: True is where the detector counts")

    def _check_counts(self) -> None:
        seen = self.counts[:, self.seen()]
        if not np.isfinite(seen).all() or seen.min() < 0:
            raise ValueError("frames hold negative counts or values that are no numbers: mask those pixels")
        if not seen.any():
            raise ValueError("every frame is empty: was the shutter open, and is the mask the right way round?")

    @property
    def side_px(self) -> int:
        """Pixels along a frame, and along the probe's window."""
        return int(self.counts.shape[-1])

    def photons(self) -> float:
        """Mean of a frame, over what the detector sees."""
        return float(self.counts[:, self.seen()].sum(dtype=np.float64) / len(self.counts))

    def seen(self) -> NDArray[np.bool_]:
        """(n, n) the mask."""
        return np.ones(self.counts.shape[1:], np.bool_) if self.mask is None else self.mask

    def mean_frame(self, haze: float = 0.0) -> NDArray[np.float64]:
        """(n, n) mean over points without background and haze; where the detector does not count, what is around."""
        seen = self.seen()
        mean = np.where(seen, np.maximum(self._mean_above_background() - haze, 0), 0)
        return np.where(seen, mean, self._smooth(mean))

    def haze(self) -> float:
        """Photons per pixel and frame in the faintest of what the detector sees: a guess of what every pixel gets."""
        smooth = self._smooth(np.where(self.seen(), self._mean_above_background(), 0))[self.seen()]
        return float(np.clip(np.percentile(smooth, _FAINT_PER_CENT), 0, _MOST_HAZE * max(smooth.mean(), 0)))

    def _mean_above_background(self) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self.counts.mean(0, dtype=np.float64)
        return mean if self.background is None else mean - self.background

    def _smooth(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of what is 0 where the detector does not count, without that."""
        weight = gaussian_filter(self.seen().astype(np.float64), _FILL_PX)
        smooth: NDArray[np.float64] = gaussian_filter(mean, _FILL_PX) / np.maximum(weight, _LEAST_WEIGHT)
        return smooth

    def of(self, points: Indices) -> "Frames":
        """Some of the points."""
        return replace(self, counts=self.counts[points], positions_px=self.positions_px[points])


def from_centroid_px(frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, n) distance of each pixel from the centroid of a frame (n, n)."""
    q = np.arange(len(frame)) - len(frame) // 2
    y, x = (float((q * frame.sum(axis)).sum() / frame.sum()) for axis in (1, 0))
    return np.asarray(np.hypot(q[:, None] - y, q - x))


def radius_holding_px(frame: NDArray[np.float64], distance_px: NDArray[np.float64], share: float) -> float:
    """Distance within which so much of a frame (n, n) lies."""
    order = np.argsort(distance_px, axis=None)
    within = np.cumsum(frame.ravel()[order]) <= share * frame.sum()
    return float(distance_px.ravel()[order][int(within.sum()) - 1])
