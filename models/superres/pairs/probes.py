"""Random probes to train on, and what a network may be told of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.physics.flyscan import scan_kernel
from models.scan import Motion

WINDOW_PX = 64
_EDGE_WIDTH = 0.004  # of a pupil's rim, in cycles per pixel: keeps the focus inside its window
_SQUARE_SHARE, _MIXED_SHARE, _STEP_SHARE = 0.25, 0.25, 0.15
_MISJUDGED_SHARE, _MOST_ELSEWHERE = 0.4, 0.05
_BINNINGS, _BINNING_SHARES = (1, 2, 3, 4), (0.5, 0.2, 0.17, 0.13)
_ABERRATIONS = (0.1, 0.08, 0.08, 0.04, 0.04, 0.02)  # standard deviations in waves, see `Optics.waves`
_BADLY_ALIGNED_SHARE, _BADLY_ALIGNED = 0.3, 2.0  # of the probes, whose aberrations are up to so many times larger


@dataclass(frozen=True)
class KernelPair:
    """The kernel that a scan was made with and the one that the network is told; both (k, k), unit sum."""

    true: NDArray[np.float32]
    told: NDArray[np.float32]


@dataclass(frozen=True)
class Optics:
    """A focus: pupil, aberrations and source, lengths in pixels of `WINDOW_PX`, frequencies in cycles per pixel.

    Attributes:
        edge: (y, x) of the pupil's rim: the numerical aperture; equal and ``square`` False for a round pupil.
        square: crossed lenses, as multilayer Laue lenses are.
        stop: share of the aperture that the central stop covers.
        waves: root-mean-square waves of defocus, two astigmatisms, two comas and spherical aberration.
        source_sigma: of the demagnified source, incoherent.
    """

    edge: tuple[float, float]
    square: bool
    stop: float
    waves: tuple[float, float, float, float, float, float]
    source_sigma: float


PAPERS_OPTICS = Optics((0.125, 0.125), False, 0.35, (0.05, 0.0, 0.0, 0.0, 0.0, 0.0), 1.72)
"""A zone plate's focus, 40 nm wide where a pixel is 7.5 nm: the one probe that the papers' networks are trained on."""


def random_optics(rng: np.random.Generator) -> Optics:
    """Any focus that a nanoprobe may have; about 25 to 100 nm wide where a pixel is 7.5 nm."""
    worse = rng.uniform(1, _BADLY_ALIGNED) if rng.random() < _BADLY_ALIGNED_SHARE else 1.0
    waves = tuple(float(w) for w in worse * np.array(_ABERRATIONS) * rng.normal(size=6))
    if rng.random() < _SQUARE_SHARE:
        edge = (float(rng.uniform(0.07, 0.19)), float(rng.uniform(0.07, 0.19)))
        return Optics(edge, True, 0.0, waves, float(rng.uniform(0, 1.6)))  # type: ignore[arg-type]
    rim = float(rng.uniform(0.075, 0.19))
    stop = float(rng.uniform(0, 0.5)) if rng.random() < 0.8 else 0.0
    return Optics((rim, rim), False, stop, waves, float(rng.uniform(0, 1.6)))  # type: ignore[arg-type]


def intensity(optics: Optics, n: int = WINDOW_PX) -> NDArray[np.float64]:
    """(n, n) of the focus, unit sum, its centroid on pixel n // 2.

    Source: Fraunhofer diffraction of the pupil; Zernike polynomials after Noll, J. Opt. Soc. Am. 66 (1976) 207; the
    incoherent source as a Gaussian in Fourier space.
    """
    f = np.asarray(np.fft.fftfreq(2 * n), np.float64)
    fy, fx = f[:, None], f[None, :]
    field = np.fft.ifft2(_pupil(optics, fy, fx) * np.exp(2j * np.pi * _wavefront(optics, fy, fx)))
    blurred = np.fft.fft2(np.abs(field) ** 2) * np.exp(-2 * (np.pi * optics.source_sigma) ** 2 * (fy**2 + fx**2))
    spread = np.fft.fftshift(np.fft.ifft2(_centred(blurred)).real)[n // 2 : n // 2 + n, n // 2 : n // 2 + n]
    radius = np.hypot(np.arange(n)[:, None] - n / 2, np.arange(n)[None, :] - n / 2)
    window = np.clip((n / 2 - 2 - radius) / 6, 0, 1)
    kept = np.fft.fft2(np.fft.ifftshift(np.maximum(spread, 0) * window))
    focus = np.maximum(np.fft.fftshift(np.fft.ifft2(_centred(kept)).real), 0)
    return np.asarray(focus / focus.sum())


def _centred(spectrum: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The spectrum of the same shape with its circular centroid on the origin."""
    f = np.fft.fftfreq(len(spectrum)) * len(spectrum)
    lag_y, lag_x = np.angle(spectrum[1, 0]), np.angle(spectrum[0, 1])
    return np.asarray(spectrum * np.exp(-1j * (f[:, None] * lag_y + f[None, :] * lag_x)))


def random_kernel(rng: np.random.Generator, scale: int) -> KernelPair:
    """The kernel of a random scan; what the network is told errs as a real reconstruction of the probe does.

    A quarter of the probes are mixed states of two foci. In step mode there is no motion. Steps are 1 to 4 times
    ``scale`` probe pixels.
    """
    optics = random_optics(rng)
    focus = intensity(optics)
    if rng.random() < _MIXED_SHARE:
        focus = focus + rng.uniform(0.05, 0.5) * intensity(random_optics(rng))
    motion: Motion = "step" if rng.random() < _STEP_SHARE else "fly"
    binning = int(rng.choice(_BINNINGS, p=_BINNING_SHARES))
    told = _misjudged(rng, focus) if rng.random() < _MISJUDGED_SHARE else focus
    return KernelPair(*(scan_kernel(known, scale, motion, binning) for known in (focus, told)))


def kernel_of(optics: Optics, scale: int) -> KernelPair:
    """The kernel of a fly-scan with a known probe."""
    kernel = scan_kernel(intensity(optics), scale, "fly")
    return KernelPair(kernel, kernel)


def padded_kernel(kernel: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """A kernel with zeros around, so that kernels of several scans make one batch."""
    margin = (side - len(kernel)) // 2
    if margin < 0 or len(kernel) + 2 * margin != side:
        raise ValueError(f"a kernel of side {len(kernel)} cannot be centred in {side}")
    return np.pad(kernel, margin)


def largest_side(scale: int) -> int:
    """Side of the largest kernel of `random_kernel`, which is that without binning."""
    return WINDOW_PX + scale


def _misjudged(rng: np.random.Generator, focus: NDArray[np.float64]) -> NDArray[np.float64]:
    """Up to 5 % of the intensity elsewhere, and mostly less than 0.3 pixels off."""
    elsewhere = rng.uniform(0, _MOST_ELSEWHERE)
    f = np.fft.fftfreq(len(focus))
    ramp = np.exp(-2j * np.pi * (rng.normal() * 0.15 * f[:, None] + rng.normal() * 0.15 * f[None, :]))
    shifted = np.maximum(np.fft.ifft2(np.fft.fft2(focus) * ramp).real, 0)
    other = intensity(random_optics(rng))
    return np.asarray(((1 - elsewhere) * shifted / shifted.sum() + elsewhere * other) * focus.sum())


def _pupil(optics: Optics, fy: NDArray[np.float64], fx: NDArray[np.float64]) -> NDArray[np.float64]:
    def inside(distance: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(np.clip(distance / _EDGE_WIDTH, -60, 60))))

    edge_y, edge_x = optics.edge
    if optics.square:
        return np.asarray(inside(np.abs(fy) - edge_y) * inside(np.abs(fx) - edge_x))
    radius = np.hypot(fy, fx)
    stopped = 1 - inside(radius - optics.stop * edge_x) if optics.stop > 0 else np.ones_like(radius)
    return np.asarray(inside(radius - edge_x) * stopped)


def _wavefront(optics: Optics, fy: NDArray[np.float64], fx: NDArray[np.float64]) -> NDArray[np.float64]:
    """In waves."""
    y, x = fy / optics.edge[0], fx / optics.edge[1]
    r = np.minimum(np.hypot(y, x) / (1.2 if optics.square else 1.0), 1.3)
    angle = np.arctan2(y, x)
    defocus, straight, oblique, coma_x, coma_y, spherical = optics.waves
    astigmatism = np.sqrt(6) * r**2 * (straight * np.cos(2 * angle) + oblique * np.sin(2 * angle))
    coma = np.sqrt(8) * (3 * r**3 - 2 * r) * (coma_x * np.cos(angle) + coma_y * np.sin(angle))
    round_terms = defocus * np.sqrt(3) * (2 * r**2 - 1) + spherical * np.sqrt(5) * (6 * r**4 - 6 * r**2 + 1)
    return np.asarray(round_terms + astigmatism + coma)
