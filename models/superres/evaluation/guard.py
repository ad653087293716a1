"""Would the measurement deny a grain that is not there? Grains planted into enhanced maps, and what is flagged."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from models.superres.coarse import coarse_maps, peak_counts
from models.superres.consistency import denial
from models.superres.enhancer import CHANCE, factor_at
from models.superres.evaluation.compare import Plan
from models.superres.evaluation.held_out import PIXEL_NM, SCALE, scan_of

TRUTH = "truth"
_SEED = 2**31 + 77
_BORDER_PX = 40  # fine pixels that no grain is planted in
_NEAR_PX = 1  # coarse points around a grain in which a denial counts


@dataclass(frozen=True)
class Grain:
    """A disc that an enhancement might invent.

    Attributes:
        diameter_nm: of the disc.
        height: over the 99.5 % quantile of the map that it is added to.
    """

    diameter_nm: float = 38.0
    height: float = 0.3


@dataclass(frozen=True)
class Guarded:
    """What became of the grains in one map.

    Attributes:
        enhancer: that made the map, or `TRUTH`.
        found: those beside which the measurement denies the map.
        planted: all of them, one at a time.
        false_share: of the points that are denied with nothing planted.
    """

    enhancer: str
    probe: str
    peak_counts: float
    image_class: str
    index: int
    found: int
    planted: int
    false_share: float


def plant_grains(plan: Plan, grain: Grain, n_grains: int = 20) -> Iterator[Guarded]:
    """Plant grains into every enhanced map of a plan, one at a time, and count those that the measurement denies.

    The true map is there too, as `TRUTH`: what noise lets anyone see of a grain that is added to a map without error.
    """
    kinds = product(plan.image_classes.items(), plan.probes.items(), plan.peak_counts, range(plan.n_maps))
    for (class_name, draw), (probe_name, probe), counts, index in kinds:
        coarse, truth = scan_of(draw, index, probe, counts, plan.coarse_px)
        level = peak_counts(next(coarse_maps(coarse)))
        candidates = {TRUTH: (truth[None].astype(np.float32), CHANCE)}
        for name, enhancer in plan.enhancers.items():
            limit = factor_at(enhancer.calibration.denied_above, level, CHANCE)
            candidates[name] = enhancer.enhance(coarse, probe, "fly", SCALE).values, limit
        for name, (values, limit) in candidates.items():
            clean = np.abs(denial(values, coarse, probe, "fly", SCALE)[0])
            rng = np.random.default_rng([_SEED, index])
            found = 0
            for _ in range(n_grains):
                disc, near = _placed(rng, grain, values[0])
                found += bool(np.nanmax(np.abs(denial(values + disc, coarse, probe, "fly", SCALE)[0][near])) > limit)
            false_share = float(np.mean(clean[np.isfinite(clean)] > limit))
            yield Guarded(name, probe_name, counts, class_name, index, found, n_grains, false_share)


def _placed(
    rng: np.random.Generator, grain: Grain, values: NDArray[np.float32]
) -> tuple[NDArray[np.float32], tuple[slice, slice]]:
    """A grain anywhere, (y, x), and the coarse points around it."""
    y, x = (rng.uniform(_BORDER_PX, side - _BORDER_PX) for side in values.shape)
    rows, columns = np.indices(values.shape)
    radius_px = grain.diameter_nm / 2 / PIXEL_NM
    cover = np.clip(radius_px + 0.5 - np.hypot(rows + 0.5 - y, columns + 0.5 - x), 0, 1)
    height = grain.height * np.quantile(values, 0.995)
    row, column = int(y / SCALE), int(x / SCALE)
    near = (slice(row - _NEAR_PX, row + _NEAR_PX + 1), slice(column - _NEAR_PX, column + _NEAR_PX + 1))
    return np.asarray(height * cover, np.float32), near
