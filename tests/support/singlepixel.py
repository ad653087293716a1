"""Mixed cathodes under speckle, one XRF detector and a TXM image: a compact simulator whose parameters are knobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from models.singlepixel.measurement import PatternMeasurement

ELEMENTS = ("Mn", "Co", "Ni")
PHASES: dict[str, dict[str, float]] = {
    "LCO": {"Co": 1.0},
    "NMC": {"Mn": 0.2, "Co": 0.1, "Ni": 0.7},
    "LNO": {"Ni": 1.0},
}
MU = (0.82, 0.93, 1.0)
"""Absorption of each element's unit in the TXM, which a reconstruction does not know."""
_GRAINS = 60

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Specimen:
    """What is in the beam.

    Attributes:
        maps: (element, y, x), largest total 1.
        phases: (phase, y, x) amounts, in the order of ``PHASES``.
        decoy: (y, x) absorption by something without any of the elements.
    """

    maps: Array
    phases: Array
    decoy: Array


@dataclass(frozen=True)
class Conditions:
    """How it is measured: the knobs that a reconstruction is not told.

    Attributes:
        n_patterns: N.
        mean_counts: per measurement and element, mean over elements.
        txm_noise: standard deviation, of the largest absorption of the elements.
        mu_error: relative error of each weight of the TXM, with alternating signs.
        pattern_jitter_px: by how much the recorded patterns stand off those that lit the specimen.
        txm_shift_px: (y, x) of the TXM image.
        grits_px, contrasts: of the two diffusers; sigma of the speckle, standard deviation of its logarithm.
    """

    n_patterns: int = 320
    mean_counts: float = 1e6
    txm_noise: float = 0.015
    mu_error: float = 0.0
    pattern_jitter_px: float = 0.0
    txm_shift_px: tuple[float, float] = (0.0, 0.0)
    grits_px: tuple[float, ...] = (1.0, 3.0)
    contrasts: tuple[float, ...] = (0.5, 0.3)


@dataclass(frozen=True, eq=False)
class Simulated:
    """A measurement and the truth in its unit: the recorded patterns times the maps are the expected counts."""

    measurement: PatternMeasurement
    truth: Mapping[str, Array]
    specimen: Specimen = field(repr=False)
    counts_per_unit: float


def cathode(side: int = 80, seed: int = 0, *, decoy: bool = False, stoichiometry_error: float = 0.0) -> Specimen:
    """Particles of LCO, NMC and LNO with grains and cracks, packed until 45 % of the field are covered.

    Args:
        side: pixels.
        seed: of everything.
        decoy: three discs that absorb half of what the thickest particle does and hold none of the elements.
        stoichiometry_error: relative standard deviation of each particle's element amounts about its phase's.
    """
    rng = np.random.default_rng(1000 + seed)
    amounts = np.array([[phase.get(element, 0.0) for element in ELEMENTS] for phase in PHASES.values()])
    maps, phases, occupied = np.zeros((3, side, side)), np.zeros((3, side, side)), np.zeros((side, side), bool)
    for _ in range(4000):
        if occupied.mean() >= 0.45:
            break
        phase = int(rng.integers(3))
        thickness = _particle(rng, side, small=phase == 0)
        inside = thickness > 0
        if inside.sum() < 8 or (inside & occupied).sum() > (0.25 if phase == 0 else 0.05) * inside.sum():
            continue
        off = 1 + stoichiometry_error * rng.standard_normal(3)
        phases[phase] += thickness
        maps += (amounts[phase] * off)[:, None, None] * thickness
        occupied |= inside
    blurred, mixed = (np.stack([gaussian_filter(image, 0.5) for image in stack]) for stack in (maps, phases))
    most = mixed.sum(0).max()
    return Specimen(blurred / most, mixed / most, _discs(rng, side) if decoy else np.zeros((side, side)))


def _particle(rng: np.random.Generator, side: int, *, small: bool) -> Array:
    """(y, x) thickness of one particle, zero outside."""
    y, x = np.mgrid[:side, :side].astype(float)
    radius = rng.uniform(2.5, 8) if small else rng.uniform(5, 14)
    centre = rng.uniform(0, side, 2)
    angle, distance = np.arctan2(y - centre[0], x - centre[1]), np.hypot(y - centre[0], x - centre[1])
    waves = rng.normal(0, 0.1 if small else 0.04, 5)
    starts = rng.uniform(0, 2 * np.pi, 5)
    outline = radius * (1 + sum(a * np.cos(k * angle + s) for k, a, s in zip(range(2, 7), waves, starts, strict=True)))
    dome = np.sqrt(np.clip(1 - (distance / outline) ** 2, 0, 1))
    thickness = (0.35 + 0.65 * dome * min(1.0, radius / 10)) * (distance < outline)
    seeds = rng.uniform(0, side, (_GRAINS, 2))
    grain = np.argmin((y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2, axis=-1)
    thickness = thickness * rng.uniform(0.9, 1.08, _GRAINS)[grain]
    for _ in range(2 if radius > 8 else 0):
        along = rng.uniform(0, np.pi)
        off = (y - centre[0]) * np.cos(along) + (x - centre[1]) * np.sin(along) + rng.normal(0, 2)
        thickness = thickness * np.where(np.abs(off) < 0.7, 0.45, 1)
    return np.asarray(thickness)


def _discs(rng: np.random.Generator, side: int) -> Array:
    y, x = np.mgrid[:side, :side].astype(float)
    absorption = np.zeros((side, side))
    for _ in range(3):
        centre, radius = rng.uniform(0.15 * side, 0.85 * side, 2), rng.uniform(5, 9)
        absorption = np.maximum(absorption, 0.5 * (np.hypot(y - centre[0], x - centre[1]) < radius))
    return np.asarray(gaussian_filter(absorption, 0.5))


def speckle(
    n_patterns: int,
    side: int,
    seed: int = 0,
    grits_px: tuple[float, ...] = (1.0, 3.0),
    contrasts: tuple[float, ...] = (0.5, 0.3),
) -> NDArray[np.float32]:
    """(N, y, x) log-normal speckle of independent diffusers under the beam's envelope, mean 1."""
    rng = np.random.default_rng(5000 + seed)
    frequency = np.fft.fftfreq(side)
    square = frequency[:, None] ** 2 + frequency**2
    logarithm = np.zeros((n_patterns, side, side))
    for sigma, contrast in zip(grits_px, contrasts, strict=True):
        passed = np.exp(-2 * (np.pi * sigma) ** 2 * square)
        field = np.fft.ifft2(np.fft.fft2(rng.standard_normal(logarithm.shape)) * passed).real
        logarithm += contrast * field / field.std()
    y, x = np.mgrid[:side, :side] - side / 2
    patterns = np.exp(logarithm - 0.3 * (y**2 + x**2) / (side / 2) ** 2)
    return (patterns / patterns.mean()).astype(np.float32)


def measure(
    specimen: Specimen, conditions: Conditions = Conditions(), seed: int = 0, elements: tuple[str, ...] = ELEMENTS
) -> Simulated:
    """Counts of every element and a TXM image of a specimen under speckle, with a seed for everything random."""
    rng = np.random.default_rng(9000 + seed)
    side = specimen.maps.shape[-1]
    recorded = speckle(conditions.n_patterns, side, seed, conditions.grits_px, conditions.contrasts)
    lit = recorded
    if conditions.pattern_jitter_px:
        offsets = rng.normal(0, conditions.pattern_jitter_px, (len(recorded), 2))
        lit = np.stack([shift(p, o, order=3, mode="nearest") for p, o in zip(recorded, offsets, strict=True)])
    signal = np.einsum("nyx,eyx->ne", lit, specimen.maps[: len(elements)])
    per_unit = conditions.mean_counts / signal.mean()
    counts = rng.poisson(np.maximum(per_unit * signal, 0)).astype(np.float64)
    signs = np.where(np.arange(len(MU)) % 2, -1, 1)
    mu = np.array(MU) * (1 + conditions.mu_error * signs)
    absorption = np.tensordot(mu[: len(specimen.maps)], specimen.maps, 1) + specimen.decoy
    absorption = shift(absorption, conditions.txm_shift_px, order=1, mode="nearest")
    txm = absorption + conditions.txm_noise * rng.standard_normal(absorption.shape)
    measurement = PatternMeasurement(
        patterns=recorded,
        counts={element: counts[:, i] for i, element in enumerate(elements)},
        variances=None,
        txm=txm.astype(np.float32),
    )
    truth = {element: per_unit * specimen.maps[i] for i, element in enumerate(elements)}
    return Simulated(measurement, truth, specimen, float(per_unit))


def mean_psnr(maps: Mapping[str, NDArray[np.floating]], truth: Mapping[str, Array]) -> float:
    """dB, peak the largest true value of each element, mean over elements."""
    return float(
        np.mean([10 * np.log10(t.max() ** 2 / np.mean((maps[element] - t) ** 2)) for element, t in truth.items()])
    )
