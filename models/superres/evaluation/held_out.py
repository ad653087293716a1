"""Probes and fine maps kept away from training, and what a scan reads of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage

from models.phantoms.specimens import make_specimen
from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe
from models.superres.pairs.images import dead_leaves, particles
from models.superres.pairs.probes import PAPERS_OPTICS, Optics, intensity
from models.xrf.maps import ElementMaps

PIXEL_NM, STEP_NM, SCALE = 7.5, 30.0, 4
NOISELESS = float("inf")
_FIRST_SEED = 2**31  # training seeds lie below
_RANDOM_PHASES_ABOVE = 0.10  # cycles per pixel: a period of 75 nm
_STRIPE_PERIOD_PX = 4  # 30 nm, the cut-off of a 30 nm zone plate's intensity
_NOISELESS_COUNTS = 1e6

Image = NDArray[np.float32]

_OPTICS = {
    "A": PAPERS_OPTICS,
    "B": Optics((0.125, 0.125), False, 0.35, (0.12, 0.12, 0.14, 0.04, 0.0, 0.0), 0.6),
    "C": Optics((0.095, 0.17), True, 0.0, (0.08, 0.0, 0.0, 0.0, 0.0, 0.0), 0.5),
}


def held_out_probe(name: str) -> Probe:
    """A: annular pupil, 40 nm; B: the same, astigmatic, defocused and with coma; C: square pupil, 23 x 38 nm.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in _OPTICS:
        raise ValueError(f"there is no held-out probe {name!r}: choose from {', '.join(_OPTICS)}")
    modes = np.sqrt(intensity(_OPTICS[name]))[None].astype(np.complex64)
    return Probe.centred(modes, PIXEL_NM, 10.0, f"held-out probe {name}")


def xrf_like(index: int, side: int) -> Image:
    """Particles with cracks and pores, every third map dead leaves: training's generators, other seeds."""
    rng = np.random.default_rng([_FIRST_SEED, index])
    image = dead_leaves(rng, side) if index % 3 == 2 else particles(rng, side)
    return _full_scale(image)


def other_generator(index: int, side: int) -> Image:
    """Projections of the three-dimensional phantoms, whose generator no training uses."""
    specimen = make_specimen(("zn-mn-cathode", "nmc-particle")[index % 2], 5000 + index // 2)
    density = specimen.areal_density_ug_cm2(37.0 * index % 180, (side, side), PIXEL_NM)
    return _full_scale(density[index // 2 % len(density)])


def phase_randomised(index: int, side: int) -> Image:
    """`xrf_like` with random phases at periods below 75 nm: what a prior invents there is wrong."""
    spectrum = np.fft.rfft2(xrf_like(index, side))
    rng = np.random.default_rng([_FIRST_SEED, index, 1])
    noise = np.fft.rfft2(rng.normal(size=(side, side)))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    turned = np.where(frequency > _RANDOM_PHASES_ABOVE, np.abs(spectrum) * np.exp(1j * np.angle(noise)), spectrum)
    return _full_scale(np.clip(np.fft.irfft2(turned, (side, side)), 0, None).astype(np.float32))


def stripes(index: int, side: int) -> Image:
    """`xrf_like` with stripes of 30 nm period all over, which no scan of these probes can see."""
    phase = np.arange(side) * 2 * np.pi / _STRIPE_PERIOD_PX + np.pi / 4
    wave = 0.15 * np.cos(phase)[None, :] if index % 2 else 0.15 * np.cos(phase)[:, None]
    return np.clip(0.7 * xrf_like(index, side) + 0.15 + wave, 0, 1).astype(np.float32)


def natural(folder: Path) -> Callable[[int, int], Image]:
    """Photographs of a folder, grey, cut from their middle; those too small are left out.

    Raises:
        FileNotFoundError: no picture there.
    """
    files = sorted(path for path in folder.glob("**/*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not files:
        raise FileNotFoundError(f"no .jpg or .png in {folder}: pass a folder of photographs")

    def image(index: int, side: int) -> Image:
        with PillowImage.open(files[index % len(files)]) as picture:
            grey = np.asarray(picture.convert("L"), np.float32) / 255
        short = [max(0, side - n) for n in grey.shape]
        grey = np.pad(grey, [(n // 2, n - n // 2) for n in short], mode="symmetric")
        top, left = ((n - side) // 2 for n in grey.shape)
        return np.asarray(grey[top : top + side, left : left + side], np.float32)

    return image


IMAGE_CLASSES: dict[str, Callable[[int, int], Image]] = {
    "xrf-like": xrf_like,
    "other-generator": other_generator,
    "phase-randomised": phase_randomised,
    "stripes": stripes,
}


def scan_of(
    draw: Callable[[int, int], Image], index: int, probe: Probe, peak_counts: float, coarse_px: int, take: int = 0
) -> tuple[ElementMaps, Image]:
    """What a fly-scan with 30 nm steps reads of a fine map that reaches beyond it, and the part of it that it covers.

    Args:
        draw: of the fine map, by index and side.
        index: of the map; also seeds its noise.
        probe: with pixels of 7.5 nm.
        peak_counts: of a point that reads 1; infinite for no noise.
        coarse_px: points along both axes.
        take: another number, other noise.
    """
    operator = FlyScanOperator(probe, (coarse_px, coarse_px), SCALE, "fly")
    fine = draw(index, operator.fine_shape[0])
    expected = np.maximum(operator.forward(torch.from_numpy(fine)).numpy(), 0)
    counts = min(peak_counts, _NOISELESS_COUNTS)
    rng = np.random.default_rng([_FIRST_SEED, index, 2, int(counts), take])
    read = expected if peak_counts == NOISELESS else rng.poisson(expected * counts) / counts
    maps = ElementMaps(
        elements=("X",),
        values=read[None].astype(np.float32),
        variance=(np.maximum(read, 1 / counts) / counts)[None].astype(np.float32),
        mask=np.ones_like(read, bool),
        pixel_size_nm=STEP_NM,
        counts_per_unit=np.array([counts], np.float32),
    )
    margin = operator.margin_px
    return maps, fine[margin:-margin, margin:-margin]


def _full_scale(image: Image) -> Image:
    return np.asarray(image / max(float(image.max()), 1e-6), np.float32)
