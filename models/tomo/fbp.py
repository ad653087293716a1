"""Filtered back-projection.

Source: Kak and Slaney, Principles of Computerized Tomographic Imaging (1988), equations 3.30 (the integral over
angles) and 3.61 (the ramp built in the spatial domain, which has no bias of the mean as the sampled |f| has).
"""

from dataclasses import dataclass
from math import ceil, log2, sqrt
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from models.tomo.geometry import Array, angle_weights
from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled
from models.tomo.projector import back_project

Window = Literal["ramp", "shepp-logan", "cosine", "hann"]
"""How the ramp is tapered: not at all, and then ever more towards the highest frequency kept."""


@dataclass(frozen=True)
class RampFilter:
    """The filter of the projections.

    Attributes:
        window: taper of the ramp.
        cutoff: highest frequency kept, as a fraction of Nyquist's.
    """

    window: Window = "ramp"
    cutoff: float = 1.0

    def __post_init__(self) -> None:
        if self.window not in get_args(Window):
            raise ValueError(f"window is {self.window!r}: choose one of {', '.join(get_args(Window))}")
        if not 0 < self.cutoff <= 1:
            raise ValueError(
                f"cutoff is {self.cutoff}: pass a fraction of the Nyquist frequency, above 0 and at most 1"
            )

    def response(self, n: int) -> Array:
        """At the frequencies of a real transform of n (even) samples, (n / 2 + 1,), in 1/pixel."""
        distance = np.minimum(np.arange(n), n - np.arange(n))
        kernel = np.zeros(n)
        odd = distance % 2 == 1
        kernel[odd] = -1.0 / (np.pi * distance[odd]) ** 2
        kernel[0] = 0.25
        ramp = np.fft.rfft(kernel).real
        to_cutoff = np.fft.rfftfreq(n) / (0.5 * self.cutoff)
        taper = {
            "ramp": np.ones_like(to_cutoff),
            "shepp-logan": np.sinc(to_cutoff / 2),
            "cosine": np.cos(np.pi * to_cutoff / 2),
            "hann": (1 + np.cos(np.pi * to_cutoff)) / 2,
        }[self.window]
        response: Array = np.where(to_cutoff <= 1, ramp * taper, 0.0)
        return response


def filtered_back_projection(
    projections: NDArray[np.float32],
    angles_deg: Array,
    centre_px: float,
    ramp: RampFilter,
    device: str = "cpu",
    progress: Progress = keep_quiet,
    cancelled: Cancelled = never_cancelled,
) -> NDArray[np.float32]:
    """Slices from line integrals; never clipped, so noise stays unbiased.

    Args:
        projections: (angle, y, u), finite.
        angles_deg: in any order, spacing and number of turns; see `angle_weights`.
        centre_px: rotation axis on the detector, edge coordinates.
        ramp: filter.
        device: of torch.
        progress, cancelled: between batches.

    Returns:
        (z, y, x) with as many z as x as the detector has pixels, in the unit of the projections per pixel.
    """
    n_detector = projections.shape[-1]
    # The specimen ends inside the detector but its filtered projection does not: the corners of a slice need the tails.
    margin = ceil((sqrt(2) - 1) / 2 * n_detector + abs(centre_px - n_detector / 2)) + 1
    weights = torch.as_tensor(angle_weights(angles_deg), dtype=torch.float32, device=device)
    sinograms = pad(torch.as_tensor(projections, device=device), (margin, margin)).permute(0, 2, 1)
    filtered = _filtered(sinograms, ramp) * weights[:, None, None]
    volume = back_project(filtered, angles_deg, centre_px + margin, (n_detector, n_detector), progress, cancelled)
    return volume.cpu().numpy()


def _filtered(sinograms: Tensor, ramp: RampFilter) -> Tensor:
    """(angle, u, slice) convolved along u, zero-padded so that nothing wraps around."""
    n_detector = sinograms.shape[1]
    n_padded = 2 ** ceil(log2(2 * n_detector))
    response = torch.as_tensor(ramp.response(n_padded), dtype=torch.float32, device=sinograms.device)
    filtered = torch.empty_like(sinograms, memory_format=torch.contiguous_format)
    for result, sinogram in zip(filtered, sinograms, strict=True):
        spectrum = torch.fft.rfft(sinogram, n=n_padded, dim=0)
        result[:] = torch.fft.irfft(spectrum * response[:, None], n=n_padded, dim=0)[:n_detector]
    return filtered
