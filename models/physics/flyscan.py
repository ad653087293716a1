"""What a scanned nanoprobe reads of a specimen: the forward operator of a step or fly scan and its exact adjoint."""

from functools import lru_cache
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

from models.physics.probe import Probe
from models.scan import Motion


def fly_kernel(
    intensity: NDArray[np.floating], scale: int, motion: Motion, moved_px: float = 0.0
) -> NDArray[np.float32]:
    """Weights of the fine pixels that one coarse point reads, unit sum, motion included.

    With n pixels along the intensity's side and the margin m = n / 2, the kernel has scale + 2m pixels along each:
    element (a, b) weighs fine pixel (scale i - m + a, scale j - m + b) for coarse point (i, j). Its centroid, the
    probe's, lies on its middle, which is the middle of the block of fine pixels under the point. In fly mode the stage
    moves by one step, ``scale`` pixels along x, while a point integrates: a box centred on the point, whichever way the
    row is flown, so a snake scan needs nothing special.

    Args:
        intensity: (y, x) of the probe, centred on pixel n // 2, sampled finely enough to be band-limited.
        scale: fine (probe) pixels per step, at least 1.
        motion: ``fly`` or ``step``.
        moved_px: way that the intensity holds already: motion is counted once. The box that is added has the variance
            that is missing, none where too much is there: a box cannot be taken out, its transform has zeros.

    Raises:
        ValueError: scale, motion or the intensity's shape make no sense.

    Source: motion as the Fourier transform of a box, sinc(scale f), exact for a band-limited probe; the half pixel
    between block and pixel centres as a Fourier shift.
    """
    if scale < 1:
        raise ValueError(f"scale is {scale}: pass the number of fine pixels per step, at least 1")
    if motion not in ("fly", "step"):
        raise ValueError(f"motion is {motion!r}: pass 'fly' or 'step'")
    if intensity.ndim != 2 or intensity.shape[0] != intensity.shape[1] or intensity.shape[0] % 2:
        raise ValueError(f"intensity has shape {intensity.shape}: a square with an even side is needed")
    side = intensity.shape[0] + scale
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    transfer = np.exp(-1j * np.pi * (scale - 1) * (fy + fx))
    if motion == "fly":
        transfer = transfer * np.sinc(np.sqrt(max(scale**2 - moved_px**2, 0.0)) * fx)
    spectrum = np.fft.rfft2(intensity.astype(np.float64), (side, side))
    kernel = np.maximum(np.fft.irfft2(spectrum * transfer, (side, side)), 0)
    return np.asarray(kernel / kernel.sum(), np.float32)


def scan_kernel(
    intensity: NDArray[np.floating], scale: int, motion: Motion, binning: int = 1, moved_px: float = 0.0
) -> NDArray[np.float32]:
    """`fly_kernel` on fine pixels that are squares of ``binning`` probe pixels on a side, each of one areal density."""
    return _binned(fly_kernel(intensity, scale * binning, motion, moved_px), scale, binning)


def footprint(kernel: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """Shares of a reading that come from the blocks of fine pixels around: (2m + 1, 2m + 1), its own in the middle.

    Args:
        kernel: see `scan_kernel`.
        scale: that it was made for.
    """
    return _binned(kernel, 1, scale)


def matched_probe(probe: Probe, step_nm: float, scale: int) -> tuple[Probe, int]:
    """The probe at pixels of which a whole number, returned too, makes a fine pixel of step_nm / scale.

    Never coarser than the probe came, so nothing aliases; the same probe where its pixels fit already.
    """
    binning = max(1, ceil(step_nm / (scale * probe.pixel_size_nm) - 1e-6))
    return probe.resampled(step_nm / (scale * binning)), binning


@lru_cache(maxsize=8)
def matched_kernel(probe: Probe, step_nm: float, scale: int, motion: Motion) -> NDArray[np.float32]:
    """`scan_kernel` of a known probe on fine pixels of step_nm / scale; made once for all maps of a series."""
    matched, binning = matched_probe(probe, step_nm, scale)
    return scan_kernel(matched.intensity(), scale, motion, binning, matched.moved_nm / matched.pixel_size_nm)


class FlyScanOperator:
    """Fine map in, coarse readings out: y[i, j] = sum over (a, b) of kernel[a, b] x[scale i + a, scale j + b].

    The probe weighs the specimen at its own place, y(c) = sum over r of I(r - c) x(r), as in ptychography. The fine map
    carries ``margin_px`` more pixels on every side than scale x shape, so that specimen outside the field of view
    contributes and nothing wraps around. Fine pixels are the probe's, or, with ``binning``, squares of that many of
    them on a side, each of one areal density.

    Attributes:
        shape: (rows, points) of the coarse map.
        scale: fine pixels per step.
        kernel: see `scan_kernel`.
        margin_px: fine pixels beyond the field of view, on every side.
        fine_shape: scale * shape + 2 * margin_px.
    """

    def __init__(self, probe: Probe, shape: tuple[int, int], scale: int, motion: Motion, binning: int = 1) -> None:
        if min(shape) < 1:
            raise ValueError(f"shape is {shape}: pass (rows, points), each at least 1")
        if binning < 1:
            raise ValueError(f"binning is {binning}: pass the number of probe pixels along a fine pixel, at least 1")
        self.shape = shape
        self.scale = scale
        self.kernel = scan_kernel(probe.intensity(), scale, motion, binning, probe.moved_nm / probe.pixel_size_nm)
        self.margin_px = (len(self.kernel) - scale) // 2
        self.fine_shape = (scale * shape[0] + 2 * self.margin_px, scale * shape[1] + 2 * self.margin_px)
        self._fft_shape = tuple(next_fast_len(side, real=True) for side in self.fine_shape)
        self._transfers: dict[torch.device, Tensor] = {}

    def forward(self, fine: Tensor) -> Tensor:
        """(..., fine_y, fine_x) to (..., rows, points), float32, on the input's device.

        Raises:
            ValueError: the last two axes are not ``fine_shape``.
        """
        self._check("fine map", fine, self.fine_shape)
        spectrum = torch.fft.rfft2(fine.float(), s=self._fft_shape)
        lags: Tensor = torch.fft.irfft2(spectrum * self._transfer(fine.device).conj(), s=self._fft_shape)
        rows, points = self.shape
        return lags[..., : self.scale * rows : self.scale, : self.scale * points : self.scale].contiguous()

    def adjoint(self, coarse: Tensor) -> Tensor:
        """(..., rows, points) to (..., fine_y, fine_x): <forward(x), y> = <x, adjoint(y)>.

        Raises:
            ValueError: the last two axes are not ``shape``.
        """
        self._check("coarse map", coarse, self.shape)
        rows, points = self.shape
        spread = coarse.new_zeros((*coarse.shape[:-2], self.scale * rows, self.scale * points), dtype=torch.float32)
        spread[..., :: self.scale, :: self.scale] = coarse
        spectrum = torch.fft.rfft2(spread, s=self._fft_shape)
        fine: Tensor = torch.fft.irfft2(spectrum * self._transfer(coarse.device), s=self._fft_shape)
        return fine[..., : self.fine_shape[0], : self.fine_shape[1]].contiguous()

    def _transfer(self, device: torch.device) -> Tensor:
        if device not in self._transfers:
            self._transfers[device] = torch.fft.rfft2(torch.from_numpy(self.kernel).to(device), s=self._fft_shape)
        return self._transfers[device]

    @staticmethod
    def _check(name: str, values: Tensor, shape: tuple[int, int]) -> None:
        if values.ndim < 2 or tuple(values.shape[-2:]) != shape:
            raise ValueError(f"the {name} has shape {tuple(values.shape)}: its last two axes must be {shape}")


def _binned(kernel: NDArray[np.float32], scale: int, binning: int) -> NDArray[np.float32]:
    """Sums over fine pixels; zeros widen the kernel first, so that a fine pixel begins where the point's block does."""
    margin = (len(kernel) - scale * binning) // 2
    padded = np.pad(kernel, -margin % binning)
    side = len(padded) // binning
    return np.asarray(padded.reshape(side, binning, side, binning).sum(axis=(1, 3)), np.float32)
