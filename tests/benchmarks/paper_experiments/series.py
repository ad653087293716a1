"""A simulated tomographic series: counts of one element at every angle, and the fine projections behind them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.phantoms.specimens import Specimen
from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe
from models.scan import Motion
from models.superres.enhance import counted_maps
from models.superres.enhancer import Enhancer

Stack = NDArray[np.float32]
Angles = NDArray[np.float64]


@dataclass(frozen=True)
class Scan:
    """How every projection is measured.

    Attributes:
        shape: (rows, points).
        step_nm: between points along both axes.
        scale: fine pixels per step.
        motion: ``fly`` or ``step``.
        brightest_counts: of the brightest point of the whole series.
    """

    shape: tuple[int, int]
    step_nm: float
    scale: int
    motion: Motion
    brightest_counts: float

    @property
    def fine_nm(self) -> float:
        """Side of a fine pixel."""
        return self.step_nm / self.scale


@dataclass(frozen=True, eq=False)
class Series:
    """What was counted, and what a perfect instrument would have seen.

    Attributes:
        scan: how.
        angles_deg: (angle,).
        expected: (angle, y, x) mean counts.
        ug_cm2_per_count: areal density that gives one count.
        truth: (angle, fine y, fine x) areal density in ug/cm^2.
    """

    scan: Scan
    angles_deg: Angles
    expected: Stack
    ug_cm2_per_count: float
    truth: Stack

    def counts(self, rng: np.random.Generator, dwell: float = 1.0) -> Stack:
        """One noisy series, (angle, y, x), with a dwell relative to the scan's."""
        return rng.poisson(np.maximum(self.expected, 0) * dwell).astype(np.float32)


def series(specimen: Specimen, element: str, probe: Probe, scan: Scan, angles_deg: Angles) -> Series:
    """Project the specimen on the probe's pixels, which are the fine ones or a whole part of them, and scan it."""
    binning = round(scan.fine_nm / probe.pixel_size_nm)
    operator = FlyScanOperator(probe, scan.shape, scan.scale * binning, scan.motion)
    margin, index = operator.margin_px, specimen.elements.index(element)
    read, truth = [], []
    for angle in angles_deg:
        fine = specimen.areal_density_ug_cm2(float(angle), operator.fine_shape, probe.pixel_size_nm)[index]
        read.append(operator.forward(torch.from_numpy(fine)).numpy())
        rows, points = (n * scan.scale for n in scan.shape)
        blocks = fine[margin:-margin, margin:-margin].reshape(rows, binning, points, binning)
        truth.append(blocks.mean(axis=(1, 3)))
    expected = np.asarray(np.stack(read), np.float32)
    per_count = float(expected.max()) / scan.brightest_counts
    return Series(
        scan, angles_deg, (expected / per_count).astype(np.float32), per_count, np.stack(truth).astype(np.float32)
    )


def density(specimen: Specimen, element: str, scan: Scan, scale: int) -> Stack:
    """(z, y, x) in g/cm^3 of one element over the scan's field of view, ``scale`` voxels to a step."""
    rows, points = (n * scale for n in scan.shape)
    densities = specimen.density_g_cm3((points, rows, points), scan.step_nm / scale)
    one: Stack = densities[specimen.elements.index(element)]
    return one


def enhanced(counts: Stack, probe: Probe, enhancer: Enhancer, scan: Scan) -> Stack:
    """(angle, fine y, fine x) in counts per coarse point: each projection by itself, its noise that of counting."""
    fine = []
    for projection in counts:
        maps = counted_maps({"element": projection}, scan.step_nm)
        fine.append(enhancer.enhance(maps, probe, scan.motion, scan.scale).values[0])
    return np.stack(fine)
