"""What every network takes: a batch of coarse maps with their noise, mask and scan."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Measured:
    """Coarse maps of one size, measured at one scale, each with a scan of its own.

    Attributes:
        readings: (B, 1, y, x), float32, divided by about their maximum; anything finite where not measured.
        variance: (B, 1, y, x) of their noise, in the square of that unit.
        mask: (B, 1, y, x), 1 where measured, else 0.
        kernel: (B, k, k), see `models.physics.flyscan.scan_kernel`.
        scale: fine pixels per coarse pixel.
    """

    readings: Tensor
    variance: Tensor
    mask: Tensor
    kernel: Tensor
    scale: int
