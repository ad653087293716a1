"""The trap of half sets: two halves of one measurement, enhanced alike, agree where neither knows the truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.superres.enhancer import Enhancer
from models.superres.evaluation.compare import tapered_correlation
from models.superres.evaluation.held_out import PIXEL_NM, SCALE, scan_of, xrf_like

Curve = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Halves:
    """Ring correlations of one enhancer, means over maps.

    Attributes:
        frequency_per_nm: (ring,).
        between: (ring,) of the two enhanced halves: what an experiment can compute.
        with_truth: (ring,) of the enhanced whole with the truth: what is so.
    """

    frequency_per_nm: Curve
    between: Curve
    with_truth: Curve


def compare_halves(
    enhancer: Enhancer, probe: Probe, peak_counts: float, n_maps: int = 4, coarse_px: int = 60
) -> Halves:
    """Enhance two halves of the counts and the whole, map by map.

    Args:
        enhancer: of all three.
        probe: of the scans.
        peak_counts: of the whole; each half has half of them and noise of its own.
        n_maps: XRF-like ones.
        coarse_px: side of the scans.
    """
    between, with_truth = [], []
    for index in range(n_maps):
        halves = [scan_of(xrf_like, index, probe, peak_counts / 2, coarse_px, take)[0] for take in (1, 2)]
        whole, truth = scan_of(xrf_like, index, probe, peak_counts, coarse_px)
        first, second, all_of_it = (enhancer.enhance(maps, probe, "fly", SCALE).values[0] for maps in (*halves, whole))
        between.append(tapered_correlation(first, second))
        with_truth.append(tapered_correlation(all_of_it, truth))
    frequency = np.arange(len(between[0])) / (coarse_px * SCALE * PIXEL_NM)
    return Halves(frequency, np.mean(between, axis=0), np.mean(with_truth, axis=0))
