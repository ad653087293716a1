"""One projection, pure: spectra to element maps, element maps to fine maps, and numbers that say how good they are."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.run_schema import ProjectionStart, XrfDetector
from models.superres.enhancer import EnhancedMaps, Enhancer
from models.superres.trust import Trust, judge
from models.xrf.fit import MapFit
from models.xrf.maps import ElementMaps
from services.catalog.records import MalformedRunError, RawProjection


@dataclass(frozen=True)
class ProjectionQuality:
    """What is worth knowing of a projection at a glance; medians and means over measured points, by element."""

    measured_points: int
    masked_points: int
    """Points of the raster without a usable measurement: not reached, or with a failed monitor or detector."""
    mean_ug_cm2: dict[str, float]
    fitted_sigma_ug_cm2: dict[str, float]
    enhanced_sigma_ug_cm2: dict[str, float]
    consistency: dict[str, float]
    """About 1 or below where the fine maps explain the measurement."""
    supported_period_nm: dict[str, float]
    """Of the finest structure that the measurement determines more than the prior does."""
    denied_share: dict[str, float]
    """Of the points where the measurement denies the fine map."""
    flags: dict[str, tuple[str, ...]]
    """Warnings in words, of elements that have any."""


def check_can_be_fitted(start: ProjectionStart) -> None:
    """Make sure of what `fit_projection` needs, before anything is made for a projection.

    Raises:
        MalformedRunError: the elements asked for cannot be fitted with this detector at this energy.
    """
    element_fit(start.elements, start.detector, start.energy_kev)


def fit_projection(raw: RawProjection) -> ElementMaps:
    """Fit the spectra of one projection; rows that a scan cut short did not reach are NaN and masked.

    Raises:
        MalformedRunError: the elements asked for cannot be fitted with this detector at this energy.
    """
    start = raw.start
    return element_fit(start.elements, start.detector, start.energy_kev).fit(
        raw.spectra,
        live_time_s=raw.live_time_s,
        real_time_s=raw.real_time_s,
        i0=raw.i0,
        i0_nominal=start.i0_nominal,
        dwell_s=start.scan.dwell_s,
        shape=start.scan.shape,
        pixel_size_nm=start.scan.step_nm,
    )


def enhance_projection(
    maps: ElementMaps, raw: RawProjection, probe: Probe, enhancer: Enhancer, scale: int
) -> EnhancedMaps:
    """Enhance the element maps of one projection for the probe that measured them."""
    return enhancer.enhance(maps, probe, raw.start.scan.motion, scale)


def judge_projection(
    maps: ElementMaps, enhanced: EnhancedMaps, raw: RawProjection, probe: Probe, enhancer: Enhancer
) -> Trust:
    """How far to trust the enhanced maps of one projection."""
    return judge(enhanced, maps, probe, raw.start.scan.motion, enhancer.calibration)


def projection_quality(
    maps: ElementMaps, enhanced: EnhancedMaps | None = None, trust: Trust | None = None
) -> ProjectionQuality:
    """The numbers of a projection; without enhanced maps (a fine scan) those of the fit alone."""
    measured = int(np.count_nonzero(maps.mask))
    return ProjectionQuality(
        measured_points=measured,
        masked_points=maps.mask.size - measured,
        mean_ug_cm2=_by_element(maps.elements, maps.values, np.mean),
        fitted_sigma_ug_cm2=_by_element(maps.elements, np.sqrt(maps.variance), np.median),
        enhanced_sigma_ug_cm2={} if enhanced is None else _by_element(enhanced.elements, enhanced.sigma, np.median),
        consistency={} if enhanced is None else _by_element(enhanced.elements, enhanced.consistency, np.median),
        supported_period_nm={} if trust is None else dict(zip(maps.elements, trust.period_nm, strict=True)),
        denied_share={} if trust is None else _denied_share(maps.elements, trust),
        flags={} if trust is None else {e: f for e, f in zip(maps.elements, trust.flags, strict=True) if f},
    )


@lru_cache(maxsize=8)
def element_fit(elements: tuple[str, ...], detector: XrfDetector, energy_kev: float) -> MapFit:
    """The fit of these elements, built once: the line templates take longer than the fit of a map.

    Raises:
        MalformedRunError: they cannot be fitted with this detector at this energy.
    """
    try:
        return MapFit(elements, detector, energy_kev)
    except ValueError as error:
        raise MalformedRunError(f"elements {', '.join(elements)} cannot be fitted: {error}") from error


def _denied_share(elements: tuple[str, ...], trust: Trust) -> dict[str, float]:
    """Of the points that can be judged."""
    denied = {}
    for element, plane, limit in zip(elements, trust.denial, trust.denied_above, strict=True):
        judged = np.abs(plane[np.isfinite(plane)])
        if judged.size:
            denied[element] = float(np.mean(judged > limit))
    return denied


def _by_element(
    elements: tuple[str, ...], maps: NDArray[np.float32], summary: Callable[[NDArray[np.float32]], np.floating[Any]]
) -> dict[str, float]:
    """A summary of each element's finite values; an element without any is left out."""
    finite = {element: plane[np.isfinite(plane)] for element, plane in zip(elements, maps, strict=True)}
    return {element: float(summary(values)) for element, values in finite.items() if values.size}
