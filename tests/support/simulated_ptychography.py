"""A ptychography scan simulated on pixels half as large as those it is recovered on: no inverse crime."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.ptychography.frames import Frames

NA = 0.3  # of a window's n / 2 pixels in reciprocal space
STOP = 0.3  # of the aperture
PIXEL_NM = 10.0
SUB_POSITIONS = 16


@dataclass(frozen=True, eq=False)
class Simulated:
    """Frames, and the truth on their pixels: (n, n) intensity of the still probe, unit sum, in its window's middle."""

    frames: Frames
    intensity: NDArray[np.float64]


def focus(n: int, window: int, defocus_rad: float) -> NDArray[np.complex128]:
    """Of an annular aperture, on n pixels over the extent of ``window`` pixels; unit power."""
    y, x = np.mgrid[:n, :n] - n // 2
    radius = np.hypot(y, x) / (window / 2)
    aperture = ((radius < NA) & (radius >= STOP * NA)) * np.exp(1j * defocus_rad * (radius / NA) ** 2)
    field = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(aperture)))
    return field / np.sqrt(np.sum(np.abs(field) ** 2))


def unequal_lines(side: int, step_px: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(point, 2): lines at an unequal pitch, each with a start of its own."""
    grid = (np.arange(side) - (side - 1) / 2) * step_px
    y = np.repeat(grid + rng.uniform(-0.3, 0.3, side) * step_px, side)
    x = np.tile(grid, side) + np.repeat(rng.uniform(-0.5, 0.5, side) * step_px, side)
    return np.stack([y, x], 1)


def leaves(shape: tuple[int, int], phase_rad: float, rng: np.random.Generator) -> NDArray[np.complex64]:
    """Discs over discs, of any phase up to ``phase_rad`` and absorbing up to 30 %."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    phase, absorbed = np.zeros(shape), np.zeros(shape)
    for _ in range(400):
        middle = rng.uniform(0, shape)
        inside = np.hypot(y - middle[0], x - middle[1]) < 3 + 40 * rng.random() ** 3
        phase[inside], absorbed[inside] = phase_rad * rng.random(), 0.3 * rng.random() * min(phase_rad, 1)
    return ((1 - absorbed) * np.exp(1j * phase)).astype(np.complex64)


def simulate(
    *,
    side: int = 20,
    n: int = 64,
    step_px: float = 4.0,
    fly_px: float = 4.0,
    photons: float = 1e5,
    source_px: tuple[float, float] = (0.0, 0.0),
    phase_rad: float = 1.0,
    defocus_rad: float = 4.0,
    seed: int = 1,
) -> Simulated:
    """Fly along x; positions are known, the source is a Gaussian."""
    rng = np.random.default_rng(seed)
    positions = unequal_lines(side, step_px, rng)
    extent = n + int(side * step_px) + 40
    obj = leaves((2 * extent, 2 * extent), phase_rad, rng)
    fine = 2 * n
    spectrum = np.fft.fft2(focus(fine, n, defocus_rad))
    f = np.fft.fftfreq(fine)
    flown = _along_x(fly_px, source_px[1])
    crop = slice(fine // 2 - n // 2, fine // 2 + n // 2)
    counts = np.zeros((len(positions), n, n))
    for shift_y, weight in _across(source_px[0]):
        for point, (y, x) in enumerate(positions):
            at_y, at_x = (2 * (value + extent / 2) - fine // 2 for value in (y + shift_y, x + flown))
            row, column = int(np.floor(at_y)), int(np.floor(at_x.mean()))
            moved = spectrum * np.exp(
                -2j * np.pi * (f[:, None] * (at_y - row) + f[None, None, :] * (at_x - column)[:, None, None])
            )
            field = np.fft.fft2(np.fft.ifft2(moved) * obj[row : row + fine, column : column + fine], norm="ortho")
            pattern = np.fft.fftshift(np.mean(np.abs(field) ** 2, axis=0))[crop, crop]
            counts[point] += weight * pattern
    frames = Frames(rng.poisson(photons * counts).astype(np.float32), positions, (0.0, fly_px), PIXEL_NM, 10.0)
    return Simulated(frames, _blurred(np.abs(focus(n, n, defocus_rad)) ** 2, source_px))


def _along_x(fly_px: float, sigma_px: float) -> NDArray[np.float64]:
    """Places of equal weight: quantiles of the box of the motion convolved with the source."""
    if not fly_px and not sigma_px:
        return np.zeros(1)
    box = (np.arange(400) + 0.5) / 400 * fly_px - fly_px / 2
    gauss = sigma_px * np.random.default_rng(0).standard_normal(401)
    everywhere = np.sort((box[:, None] + gauss - gauss.mean()).ravel())
    return np.array([part.mean() for part in np.array_split(everywhere, SUB_POSITIONS)])


def _across(sigma_px: float) -> list[tuple[float, float]]:
    if not sigma_px:
        return [(0.0, 1.0)]
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    return [
        (sigma_px * float(node), float(weight / weights.sum())) for node, weight in zip(nodes, weights, strict=True)
    ]


def _blurred(intensity: NDArray[np.float64], source_px: tuple[float, float]) -> NDArray[np.float64]:
    fy, fx = np.fft.fftfreq(intensity.shape[0])[:, None], np.fft.fftfreq(intensity.shape[1])
    passed = np.exp(-2 * np.pi**2 * ((fy * source_px[0]) ** 2 + (fx * source_px[1]) ** 2))
    blurred = np.fft.ifft2(np.fft.fft2(intensity) * passed).real
    return np.asarray(blurred / blurred.sum())


def registered(intensity: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    """Correlation and relative L2 error after the best shift."""
    f = np.fft.fftfreq(len(truth))
    spectrum = np.fft.fft2(intensity / intensity.sum())
    cross = np.fft.ifft2(np.fft.fft2(truth) * spectrum.conj()).real
    best = np.array(np.unravel_index(cross.argmax(), cross.shape), float)
    best[best > len(truth) / 2] -= len(truth)

    def moved(shift: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.fft.ifft2(spectrum * np.exp(-2j * np.pi * (f[:, None] * shift[0] + f * shift[1]))).real

    found = minimize(lambda shift: np.sum((moved(shift) - truth) ** 2), best, method="Nelder-Mead").x
    return (
        float(np.corrcoef(moved(found).ravel(), truth.ravel())[0, 1]),
        float(np.linalg.norm(moved(found) - truth) / np.linalg.norm(truth)),
    )
