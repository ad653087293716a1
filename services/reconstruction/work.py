"""One job from end to end: read from Tiled, call the recipe, write to Tiled."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from models.superres.enhancers import make_enhancer
from models.tomo.algorithms import ALGORITHMS
from services.catalog.client import Catalog
from services.catalog.probes import fitting_probe
from services.catalog.products import find_series, read_lineage, read_sigma, read_stack
from services.catalog.provenance import software_versions
from services.catalog.records import NotFoundError, SeriesRecord
from services.catalog.volumes import ResolutionCurve, volume_path, write_volumes
from services.offline.memory import in_words
from services.reconstruction.halves import HalvesComparison
from services.reconstruction.memory import check_fits, job_bytes
from services.reconstruction.parameters import checked_parameters
from services.reconstruction.recipe import Reconstruction, SeriesMaps, Wanted, reconstruct_elements
from services.reconstruction.reprojection import AngularEnhancement
from services.reconstruction.schemas import HalvesResult, ReconstructionRequest, ReconstructionResult

_log = logging.getLogger(__name__)

_READ = 0.1  # share of the progress bar
_COMPUTED = 0.85
_LINEAGES = 3
"""Angles that are asked for their supported period: it hardly changes from one to the next."""

Report = Callable[[float, str], None]


class _Watch:
    """How long each step took, told by the same words as the progress."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._doing, self._since = "", time.monotonic()
        self.times_s: dict[str, float] = {}

    def __call__(self, fraction: float, doing: str) -> None:
        now = time.monotonic()
        if doing != self._doing:
            self.lap()
            self._doing, self._since = doing, now
        self._report(fraction, doing)

    def lap(self) -> None:
        """The step under way counts as done."""
        if self._doing:
            spent = self.times_s.get(self._doing, 0.0) + time.monotonic() - self._since
            self.times_s[self._doing] = round(spent, 3)
        self._since = time.monotonic()


def reconstruct(
    catalog: Catalog,
    job_id: str,
    request: ReconstructionRequest,
    progress: Report,
    cancelled: Callable[[], bool],
    limit_bytes: float | None = None,
) -> ReconstructionResult:
    """Do what was asked for and commit it to Tiled.

    Args:
        catalog: to read from and write to.
        job_id: names the volume.
        request: what was asked for.
        progress: told a fraction of the whole and what is being done; what it raises stops the job.
        cancelled: True stops.
        limit_bytes: of memory; None: what the machine has available.

    Raises:
        ReconstructionCancelledError: ``cancelled`` said so.
        ValueError: the data do not allow it, or it does not fit into memory.
        CatalogError: Tiled does not allow it.
    """
    series = find_series(catalog, request.series)
    parameters = checked_parameters(request.algorithm, request.parameters)
    needed = job_bytes(request, series, parameters)
    _log.info("job %s: takes about %s of memory", job_id, in_words(needed))
    check_fits(needed, limit_bytes, request.fsc)
    watch = _Watch(progress)
    maps = _read(catalog, series, request, watch, needed)
    wanted = Wanted(
        ALGORITHMS[request.algorithm],
        parameters,
        request.centre,
        request.align_on if request.align == "jitter" else None,
        request.fsc,
        _angular(catalog, series, request, list(maps.stacks)),
    )
    done = reconstruct_elements(
        maps, wanted, lambda fraction, doing: watch(_READ + (_COMPUTED - _READ) * fraction, doing), cancelled
    )
    watch.lap()
    for element, provenance in done.provenance.items():
        if provenance.fallback:
            _log.warning("job %s, %s: computed by %s, as %s", job_id, element, provenance.engine, provenance.fallback)
    supported = _supported_period_nm(catalog, series, done)
    result = _result(series.key, job_id, done, supported, needed)
    write_volumes(
        catalog,
        series.key,
        job_id,
        done.volumes,
        _metadata(series, request, wanted, done, result, watch.times_s),
        lambda fraction: progress(_COMPUTED + (1 - _COMPUTED) * fraction, "writing to Tiled"),
        {element: [_curve(one) for one in halves] for element, halves in done.halves.items()},
    )
    return result


def _read(
    catalog: Catalog, series: SeriesRecord, request: ReconstructionRequest, watch: _Watch, needed: int
) -> SeriesMaps:
    elements = request.elements or list(series.elements)
    fitted, stacks = {}, {}
    for index, element in enumerate(elements):
        watch(_READ * index / len(elements), f"reading {element}; the job takes about {in_words(needed)} of memory")
        fitted[element] = read_stack(catalog, series.key, "fitted", element)
        # Re-projections come from the fitted maps alone.
        is_fitted = request.source == "fitted" or request.angles is not None
        stacks[element] = fitted[element] if is_fitted else read_stack(catalog, series.key, request.source, element)
    scale = series.scale if request.source == "enhanced" else 1
    return SeriesMaps(request.source, stacks, fitted, series.angles_deg, series.done_angles, series.step_nm, scale)


def _angular(
    catalog: Catalog, series: SeriesRecord, request: ReconstructionRequest, elements: list[str]
) -> AngularEnhancement | None:
    """What enhances re-projections: the probe and, unless another is named, the enhancer of the series."""
    if request.angles is None:
        return None
    name = request.angles.enhancer or str(series.metadata.get("enhancer", {}).get("name", "lmmse"))
    _, probe = fitting_probe(catalog, float(series.metadata["energy_kev"]), series.metadata.get("probe", {}).get("key"))
    variances = {element: np.square(read_sigma(catalog, series.key, "fitted", element)) for element in elements}
    return AngularEnhancement(
        request.angles.reproject_to,
        make_enhancer(name),
        probe,
        series.metadata["motion"],
        series.scale,
        series.step_nm,
        variances,
    )


def _supported_period_nm(catalog: Catalog, series: SeriesRecord, done: Reconstruction) -> dict[str, float]:
    """The median over a few angles, of the elements that their lineage tells of."""
    used = done.choice.used
    told: dict[str, list[float]] = {}
    for index in sorted({used[len(used) * part // _LINEAGES] for part in range(_LINEAGES)}):
        try:
            lineage = read_lineage(catalog, series.key, index)
        except NotFoundError:
            continue
        for element, period in lineage.get("quality", {}).get("supported_period_nm", {}).items():
            told.setdefault(element, []).append(float(period))
    return {element: float(np.median(periods)) for element, periods in told.items() if element in done.volumes}


def _metadata(
    series: SeriesRecord,
    request: ReconstructionRequest,
    wanted: Wanted,
    done: Reconstruction,
    result: ReconstructionResult,
    times_s: Mapping[str, float],
) -> dict[str, Any]:
    made_by = ("probe", "enhancer") if request.source == "enhanced" else ()
    return {
        **{name: dict(series.metadata[name]) for name in made_by if name in series.metadata},
        "series_uid": series.series_uid,
        "sample_name": series.sample_name,
        "source": request.source,
        "algorithm": request.algorithm,
        "parameters": dict(wanted.parameters),
        **_geometry(done),
        **_angular_account(wanted, done),
        "align": request.align,
        "align_on": request.align_on,
        "angles_deg": [series.angles_deg[index] for index in done.choice.used],
        "used_angles": list(done.choice.used),
        "excluded_angles": list(done.choice.excluded),
        "filled_points": done.choice.filled_points,
        "voxel_size_nm": done.voxel_size_nm,
        "angular_sampling_limit_nm": done.angular_sampling_limit_nm,
        "quality": result.quality,
        "resolution": result.model_dump(mode="json")["resolution"],
        "supported_period_nm": result.supported_period_nm,
        "provenance": {element: asdict(provenance) for element, provenance in done.provenance.items()},
        "memory_bytes": result.memory_bytes,
        "times_s": dict(times_s),
        "computed_s": round(sum(times_s.values()), 3),
        "software": software_versions(),
    }


def _geometry(done: Reconstruction) -> dict[str, Any]:
    axis, alignment = done.placement.axis, done.placement.alignment
    return {
        "centre_px": axis.centre_px,
        "centre_sigma_px": axis.sigma_px,
        "centre_method": axis.method,
        "centre_reason": axis.reason,
        "specimen_truncated": axis.truncated,
        "alignment": None
        if alignment is None
        else {
            "y_px": alignment.y_px.tolist(),
            "u_px": alignment.u_px.tolist(),
            "pixels": "of the fitted maps",
            "residuals": list(alignment.residuals),
            "stopped": alignment.stopped,
        },
    }


def _angular_account(wanted: Wanted, done: Reconstruction) -> dict[str, Any]:
    if wanted.angular is None or done.reprojected is None:
        return {}
    enhancer = wanted.angular.enhancer
    return {
        "enhancer": {"name": enhancer.name, "digest": enhancer.digest},
        "reprojected_to_deg": done.reprojected.angles_deg.tolist(),
        "reprojection_error_factor": dict(done.reprojected.error_factor),
    }


def _curve(halves: HalvesComparison) -> ResolutionCurve:
    described = {
        **halves.words,
        "is_independent": halves.is_independent,
        "note": halves.note,
        "pixel_size_nm": halves.pixel_size_nm,
        "n_voxels": halves.curve.n_voxels.tolist(),
        "effective_share": halves.found.n_eff_factor,
    }
    return ResolutionCurve(halves.source, halves.frequency_per_nm, halves.curve.values, halves.thresholds, described)


def _result(
    series_key: str, job_id: str, done: Reconstruction, supported: dict[str, float], needed: int
) -> ReconstructionResult:
    shape = next(iter(done.volumes.values())).shape
    axis, alignment = done.placement.axis, done.placement.alignment
    shifts = None if alignment is None else float(np.hypot(alignment.y_px, alignment.u_px).max())
    return ReconstructionResult(
        path=volume_path(series_key, job_id),
        elements=list(done.volumes),
        shape=(shape[0], shape[1], shape[2]),
        voxel_size_nm=done.voxel_size_nm,
        centre_px=axis.centre_px,
        centre_sigma_px=axis.sigma_px,
        centre_method=axis.method,
        centre_reason=axis.reason,
        largest_shift_px=shifts,
        resolution={element: [_halves_result(one) for one in halves] for element, halves in done.halves.items()},
        supported_period_nm=supported,
        memory_bytes=needed,
        n_angles_used=len(done.choice.used),
        excluded_angles=list(done.choice.excluded),
        filled_points=done.choice.filled_points,
        angular_sampling_limit_nm=done.angular_sampling_limit_nm,
        quality={element: asdict(quality) for element, quality in done.quality.items()},
    )


def _halves_result(halves: HalvesComparison) -> HalvesResult:
    return HalvesResult(
        source=halves.source,
        is_independent=halves.is_independent,
        note=halves.note,
        pixel_size_nm=halves.pixel_size_nm,
        **halves.words,
    )
