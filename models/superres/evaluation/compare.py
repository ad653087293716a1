"""Every enhancer on every kind of map, probe and count level, against the truth."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.quality.correlation import fourier_correlation
from models.quality.metrics import psnr, ssim
from models.superres.enhancer import EnhancedMaps, Enhancer
from models.superres.evaluation.false_features import false_features_per_um2
from models.superres.evaluation.held_out import PIXEL_NM, SCALE, Image, scan_of
from models.superres.evaluation.memory import peak_memory
from models.superres.trust import Trust, blur_sigma_px, blurred, judge

_BORDER_PX = 16  # fine pixels that do not count: they depend on what lies beyond the map
_FRC_THRESHOLD = 0.5
_NINETY = 1.645
_STEEP_PER_PX = 0.1  # of full scale
_BOOTSTRAPS = 2000


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        enhancers: by name.
        probes: by name.
        peak_counts: of a point that reads 1; infinite for no noise.
        image_classes: drawing functions by name.
        n_maps: of each class.
        coarse_px: side of the scans.
    """

    enhancers: Mapping[str, Enhancer]
    probes: Mapping[str, Probe]
    peak_counts: Sequence[float]
    image_classes: Mapping[str, Callable[[int, int], Image]]
    n_maps: int = 6
    coarse_px: int = 60

    def __len__(self) -> int:
        """How many results there will be."""
        kinds = len(self.probes) * len(self.peak_counts) * len(self.image_classes)
        return kinds * self.n_maps * len(self.enhancers)


@dataclass(frozen=True)
class Result:
    """One enhancer on one map.

    Attributes:
        psnr_db: against a full scale of 1, negatives clipped.
        ssim: likewise.
        frc_period_nm: full period where the ring correlation with the truth first falls below 0.5.
        flux_bias: sum of the map over that of the truth, less 1.
        false_features_per_um2: grains that are not there, see `models.superres.evaluation.false_features`.
        coverage: share of pixels whose 90 % interval holds the truth.
        edge_coverage: likewise where the truth is steep; NaN where it is nowhere.
        supported_coverage: likewise of the map at its supported resolution against the truth blurred alike.
        supported_period_nm: that resolution.
        denied: share of the points where the measurement denies the map.
        chi_squared: median of the consistency map.
        seconds: of one map, on this machine.
        memory_mb: the most it took beyond what was held already; NaN where the system cannot tell.
    """

    enhancer: str
    probe: str
    peak_counts: float
    image_class: str
    index: int
    psnr_db: float
    ssim: float
    frc_period_nm: float
    flux_bias: float
    false_features_per_um2: float
    coverage: float
    edge_coverage: float
    supported_coverage: float
    supported_period_nm: float
    denied: float
    chi_squared: float
    seconds: float
    memory_mb: float


def compare(plan: Plan) -> Iterator[Result]:
    """Yield every result of the plan as it comes; all enhancers see the same noise."""
    kinds = product(plan.image_classes.items(), plan.probes.items(), plan.peak_counts, range(plan.n_maps))
    for (class_name, draw), (probe_name, probe), counts, index in kinds:
        coarse, truth = scan_of(draw, index, probe, counts, plan.coarse_px)
        for name, enhancer in plan.enhancers.items():
            started = time.perf_counter()
            with peak_memory() as peak:
                enhanced = enhancer.enhance(coarse, probe, "fly", SCALE)
            cost = time.perf_counter() - started, peak.extra_mb
            trust = judge(enhanced, coarse, probe, "fly", enhancer.calibration)
            yield Result(name, probe_name, counts, class_name, index, *_judged(enhanced, trust, truth), *cost)


def paired_gain(
    results: Sequence[Result], enhancer: str, baseline: str, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Mean gain of one enhancer over another in dB, map by map, and its 95 % bootstrap interval over maps.

    Raises:
        ValueError: the two have no map in common.
    """
    by_map = {
        name: {(r.probe, r.peak_counts, r.image_class, r.index): r.psnr_db for r in results if r.enhancer == name}
        for name in (enhancer, baseline)
    }
    common = by_map[enhancer].keys() & by_map[baseline].keys()
    if not common:
        raise ValueError(f"{enhancer} and {baseline} have no map in common: evaluate both in one run")
    gains = np.array([by_map[enhancer][key] - by_map[baseline][key] for key in sorted(common)])
    means = rng.choice(gains, (_BOOTSTRAPS, len(gains))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(gains.mean()), float(low), float(high)


def correlation_period_nm(estimate: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Full period at which the ring correlation of an estimate with the truth first falls below 0.5."""
    curve = tapered_correlation(estimate, truth)
    below = np.flatnonzero(curve[1:] < _FRC_THRESHOLD)
    if not len(below):
        return 2 * PIXEL_NM
    first = int(below[0]) + 1
    before, after = curve[first - 1], curve[first]
    shell = first - 1 + (before - _FRC_THRESHOLD) / (before - after) if first > 1 else 1.0
    return float(PIXEL_NM * min(truth.shape) / shell)


def tapered_correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """(ring,) Fourier correlation of two images, (y, x), their common square tapered to nothing at its border."""
    side = min(one.shape)
    taper = np.minimum(1, 2 * np.hanning(side))
    window = np.outer(taper, taper)
    squares = [image[:side, :side] - image[:side, :side].mean() for image in (one, other)]
    first, second = ((square * window).astype(np.float32) for square in squares)
    return fourier_correlation(first, second).values


_Figures = tuple[float, float, float, float, float, float, float, float, float, float, float]


def _judged(enhanced: EnhancedMaps, trust: Trust, truth: Image) -> _Figures:
    """Those of `Result`, in its order."""
    inner = np.s_[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX]
    values, sigma, true = enhanced.values[0][inner], enhanced.sigma[0][inner], truth[inner]
    clipped = np.maximum(values, 0)
    held = np.abs(values - true) <= _NINETY * sigma
    steep = np.hypot(*np.gradient(true)) > _STEEP_PER_PX
    blurred_truth = blurred(truth, blur_sigma_px(trust.period_nm[0], PIXEL_NM))
    supported = np.abs(trust.supported[0] - blurred_truth) <= _NINETY * trust.supported_sigma[0]
    return (
        psnr(clipped, true, data_range=1.0),
        ssim(clipped, true, data_range=1.0),
        correlation_period_nm(clipped, true),
        float(values.sum() / true.sum() - 1),
        false_features_per_um2(values, true, PIXEL_NM),
        float(np.mean(held)),
        float(np.mean(held[steep])) if steep.any() else float("nan"),
        float(np.mean(supported[inner])),
        trust.period_nm[0],
        float(np.mean(np.abs(trust.denial[0][np.isfinite(trust.denial[0])]) > trust.denied_above[0])),
        float(np.nanmedian(enhanced.consistency)),
    )
