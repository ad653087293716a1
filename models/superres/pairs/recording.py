"""The record of a training pair: one element measured with coarse steps, and what is known of its fine map."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST_PX = 8  # coarse pixels along a map: less holds nothing to learn from
_SAME_UNIT = 2.0  # factor by which the means of coarse and fine maps may differ
_UNIT_SUM = 0.01

Map = NDArray[np.float32]


@dataclass(frozen=True)
class FineScan:
    """How a fine scan read the fine map of a `Recording`.

    Attributes:
        variance: (r y, r x) of the noise of its readings.
        mask: (r y, r x), True where measured.
        kernel: (k, k) weights of the fine pixels that one of its readings sees, unit sum, k - scale even: see
            `models.physics.flyscan.scan_kernel`. It is centred on the reading's block of fine pixels and moved by
            whatever the two scans were found to be apart.
        scale: fine pixels per reading; s / scale is r, a whole number.
    """

    variance: Map
    mask: NDArray[np.bool_]
    kernel: Map
    scale: int


@dataclass(frozen=True)
class Recording:
    """One element of one specimen, measured with coarse steps and known on a fine grid.

    Fine pixels (s i + a, s j + b), a and b below s, lie under coarse point (i, j). Coarse and fine map have one unit.

    Attributes:
        coarse: (y, x), anything where not measured.
        variance: (y, x) of the noise of ``coarse``.
        mask: (y, x), True where measured.
        fine: (s y, s x) the true map, finite everywhere; with ``fine_scan`` what that read of it, (r y, r x), anything
            where it did not measure.
        kernel: (k, k), unit sum, k - s even, as `models.physics.flyscan.scan_kernel` makes it of a probe.
        scale: s, fine pixels per coarse pixel.
        fine_scan: that read ``fine``, which then is no truth; None: ``fine`` is the truth.

    Raises:
        ValueError: these do not belong together.
    """

    coarse: Map
    variance: Map
    mask: NDArray[np.bool_]
    fine: Map
    kernel: Map
    scale: int
    fine_scan: FineScan | None = None

    def __post_init__(self) -> None:
        self._check_shapes()
        _check_readings("coarse", self.coarse, self.variance, self.mask)
        known = self.fine
        if self.fine_scan is None:
            if not np.isfinite(self.fine).all():
                raise ValueError("fine has NaN or infinite values: cut a part out in which it is known")
        else:
            _check_readings("fine", self.fine, self.fine_scan.variance, self.fine_scan.mask, "fine_")
            known = self.fine[self.fine_scan.mask]
            _check_kernel("fine_kernel", self.fine_scan.kernel)
        _check_kernel("kernel", self.kernel)
        coarse, fine = float(self.coarse[self.mask].mean()), float(known.mean())
        if fine <= 0 or not 1 / _SAME_UNIT < coarse / fine < _SAME_UNIT:
            raise ValueError(f"the mean is {coarse:.4g} in coarse, {fine:.4g} in fine: give both in one unit")

    @property
    def fine_per_coarse(self) -> int:
        """Pixels of ``fine`` along one coarse pixel: s, or r of a fine scan."""
        return self.scale if self.fine_scan is None else self.scale // self.fine_scan.scale

    def _check_shapes(self) -> None:
        if self.scale < 2:
            raise ValueError(f"scale is {self.scale}: pass the number of fine pixels per coarse pixel, at least 2")
        if self.coarse.ndim != 2 or min(self.coarse.shape) < _LEAST_PX:
            raise ValueError(f"coarse has shape {self.coarse.shape}: (y, x) with at least {_LEAST_PX} each is needed")
        if self.fine_scan is not None and (self.fine_scan.scale < 1 or self.scale % self.fine_scan.scale):
            raise ValueError(f"fine_scale is {self.fine_scan.scale}: a divisor of the scale {self.scale} is needed")
        coarse, per_coarse = self.coarse.shape, self.fine_per_coarse
        fine = (per_coarse * coarse[0], per_coarse * coarse[1])
        _check_shape("variance", self.variance, coarse, self)
        _check_shape("mask", self.mask, coarse, self)
        _check_shape("fine", self.fine, fine, self)
        _check_side("kernel", self.kernel, self.scale)
        if self.fine_scan is not None:
            _check_shape("fine_variance", self.fine_scan.variance, fine, self)
            _check_shape("fine_mask", self.fine_scan.mask, fine, self)
            _check_side("fine_kernel", self.fine_scan.kernel, self.fine_scan.scale)


def _check_shape(name: str, plane: NDArray[np.generic], needed: tuple[int, ...], recording: Recording) -> None:
    if plane.shape != needed:
        raise ValueError(
            f"{name} has shape {plane.shape}: {needed} is needed for coarse {recording.coarse.shape} at scale "
            f"{recording.scale}"
        )


def _check_side(name: str, kernel: Map, scale: int) -> None:
    side = kernel.shape[0]
    if kernel.shape != (side, side) or (side - scale) % 2:
        parity = "odd" if scale % 2 else "even"
        raise ValueError(f"{name} has shape {kernel.shape}: a square with an {parity} side is needed at scale {scale}")


def _check_readings(name: str, values: Map, variance: Map, mask: NDArray[np.bool_], prefix: str = "") -> None:
    if not mask.any():
        raise ValueError(f"{prefix}mask is zero everywhere: it must be non-zero where {name} was measured")
    for what, known in ((name, values[mask]), (f"{prefix}variance", variance[mask])):
        if not np.isfinite(known).all():
            raise ValueError(f"{what} is not finite at points that {prefix}mask takes as measured: put 0 into it there")
    if (variance[mask] < 0).any():
        raise ValueError(f"{prefix}variance is negative at measured points: pass that of the noise of {name}")


def _check_kernel(name: str, kernel: Map) -> None:
    if not np.isfinite(kernel).all():
        raise ValueError(f"{name} has NaN or infinite values: make it of a probe that is known everywhere")
    total = float(kernel.sum())
    if abs(total - 1) > _UNIT_SUM:
        raise ValueError(f"{name} sums to {total:.4g}: divide it by its sum")
