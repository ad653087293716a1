"""The scan inside a network: forward model and exact least mean-square update, batched, in Fourier space."""

import torch
from torch import Tensor


def transfer(kernel: Tensor, scale: int, shape: tuple[int, int]) -> Tensor:
    """Spectrum of the scan before sampling: fine spectra times this, folded, are coarse spectra.

    Args:
        kernel: (B, k, k), of `models.physics.flyscan.scan_kernel`, one for each map.
        scale: fine pixels per coarse pixel.
        shape: (Y, X) of the fine map, multiples of ``scale``, taken as periodic; may be smaller than the kernel.

    Returns:
        (B, 1, Y, X) complex.
    """
    side = kernel.shape[-1]
    margin = (side - scale) // 2
    rows, columns = ((torch.arange(side, device=kernel.device) - margin) % n for n in shape)
    wrapped = kernel.new_zeros((kernel.shape[0], *shape))
    places = rows[:, None] * shape[1] + columns[None, :]
    wrapped.view(len(kernel), -1).index_add_(1, places.flatten(), kernel.reshape(len(kernel), -1))
    spectrum: Tensor = torch.fft.fft2(wrapped).conj()
    return spectrum[:, None]


def folded(spectrum: Tensor, scale: int) -> Tensor:
    """(B, 1, s*y, s*x) fine spectrum to the (B, 1, y, x) spectrum of every s-th sample: the mean of its aliases."""
    batch, channels, height, width = spectrum.shape
    return spectrum.view(batch, channels, scale, height // scale, scale, width // scale).mean((2, 4))


def unfolded(spectrum: Tensor, scale: int) -> Tensor:
    """(B, 1, y, x) coarse spectrum repeated over the fine frequencies."""
    return spectrum.repeat(1, 1, scale, scale)


def read_by_scan(fine: Tensor, spectrum: Tensor, scale: int) -> Tensor:
    """Coarse readings (B, 1, y, x) of periodic fine maps (B, 1, s*y, s*x) through a `transfer`."""
    readings: Tensor = torch.fft.ifft2(folded(torch.fft.fft2(fine) * spectrum, scale)).real
    return readings


def correction(residual: Tensor, power: Tensor, spectrum: Tensor, noise: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """What readings that a fine map does not explain say about it: P A^T (A P A^T + noise)^-1 residual.

    Exact for even noise: A P A^T is diagonal over coarse frequencies once the aliases are folded.

    Args:
        residual: (B, 1, y, x) readings minus those of the present map.
        power: (B, 1, s*y, s*x) spectrum of the error of the present map, real and positive.
        spectrum: `transfer`.
        noise: (B, 1, 1, 1) variance of the readings.
        scale: fine pixels per coarse pixel.

    Returns:
        The correction (B, 1, s*y, s*x), and the residual that it leaves (B, 1, y, x).

    Source: Kay, Fundamentals of Statistical Signal Processing I (1993), ch. 12; with decimation, Zhao et al.,
    IEEE Trans. Image Process. 25 (2016) 3683.
    """
    signal = folded(power * (spectrum.real**2 + spectrum.imag**2), scale)
    explained = torch.fft.fft2(residual) / (signal + noise)
    change: Tensor = torch.fft.ifft2(power * spectrum.conj() * unfolded(explained, scale)).real
    left: Tensor = torch.fft.ifft2(explained * noise).real
    return change, left
