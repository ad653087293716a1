"""One job from end to end: read from Tiled, call the recipe, write to Tiled."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

import numpy as np

from models.superres.enhancers import make_enhancer
from models.tomo.algorithms import ALGORITHMS
from models.tomo.interruption import Cancelled
from services.catalog.client import Catalog
from services.catalog.probes import fitting_probe
from services.catalog.products import find_series, read_lineage, read_sigma, read_stack
from services.catalog.provenance import software_versions
from services.catalog.records import NotFoundError, SeriesRecord, VolumeRecord
from services.catalog.volume_writing import VolumePlace, begin_volume, finish_volume
from services.catalog.volumes import ResolutionCurve, volume_path
from services.reconstruction.cluster import open_cluster
from services.reconstruction.compute import IN_PROCESS, Compute, InProcess, Told
from services.reconstruction.halves import HalvesComparison
from services.reconstruction.memory import JobMemory, check_fits, job_memory
from services.reconstruction.parameters import checked_parameters
from services.reconstruction.recipe import Reconstruction, SeriesMaps, Wanted, reconstruct_elements
from services.reconstruction.reprojection import AngularEnhancement
from services.reconstruction.schemas import HalvesResult, ReconstructionRequest, ReconstructionResult
from services.reconstruction.slabs import slab_rows
from services.reconstruction.tiled_shelf import TiledShelf

_log = logging.getLogger(__name__)

_READ = 0.05  # share of the progress bar
_COMPUTED = 0.97
_LINEAGES = 3
"""Angles that are asked for their supported period: it hardly changes from one to the next."""


class _Watch:
    """How long each step took, told by the same words as the progress."""

    def __init__(self, report: Told) -> None:
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


@dataclass(frozen=True)
class Means:
    """What a job may use.

    Attributes:
        compute: ``in-process``, or the address of a Dask scheduler.
        limit_bytes: of memory on this machine; None: what it has available.
    """

    compute: str = IN_PROCESS
    limit_bytes: float | None = None


def reconstruct(
    catalog: Catalog,
    job_id: str,
    request: ReconstructionRequest,
    progress: Told,
    cancelled: Cancelled,
    means: Means,
) -> ReconstructionResult:
    """Do what was asked for and commit it to Tiled; what was done already is told again.

    Args:
        catalog: to read from and write to.
        job_id: names the volume.
        request: what was asked for.
        progress: told a fraction of the whole and what is being done; what it raises stops the job.
        cancelled: True stops.
        means: what it may use.

    Raises:
        ReconstructionCancelledError: ``cancelled`` said so.
        ValueError: the data do not allow it, or it does not fit into memory.
        CatalogError: Tiled does not allow it.
        ClusterError: there is no cluster that could do it.
    """
    series = find_series(catalog, request.series)
    parameters = checked_parameters(request.algorithm, request.parameters)
    memory = job_memory(request, series, parameters)
    _log.info("job %s: %s", job_id, memory.words(means.compute))
    check_fits(memory.here(means.compute), means.limit_bytes, request.fsc)
    place = VolumePlace(series.key, job_id, uuid4().hex)
    watch, shelf = _Watch(progress), TiledShelf(catalog, place)
    with _computing(means.compute, shelf, memory, cancelled) as compute:
        earlier = _begin(shelf, series, request)
        if earlier is not None:
            return _result(place, earlier.metadata)
        maps = _read(catalog, series, request, watch, memory.words(means.compute))
        wanted = _wanted(request, parameters, _angular(catalog, series, request, list(maps.fitted)))
        staged = _between(watch, _READ, _COMPUTED)
        done = reconstruct_elements(maps, wanted, shelf, compute, staged, cancelled)
    watch(_COMPUTED, "writing to Tiled")
    _warn_of_fallbacks(job_id, done)
    metadata = _metadata(series, request, wanted, done, _supported_period_nm(catalog, series, done))
    metadata |= _account(memory, means.compute, watch)
    curves = {element: [_curve(one) for one in halves] for element, halves in done.halves.items()}
    return _result(place, finish_volume(catalog, place, metadata, done.images, curves).metadata)


@contextmanager
def _computing(where: str, shelf: TiledShelf, memory: JobMemory, cancelled: Cancelled) -> Iterator[Compute]:
    if where == IN_PROCESS:
        yield InProcess(shelf, cancelled)
        return
    with open_cluster(where, shelf.catalog, shelf.place, memory.slab_bytes, cancelled) as cluster:
        yield cluster


def _wanted(
    request: ReconstructionRequest, parameters: Mapping[str, Any], angular: AngularEnhancement | None
) -> Wanted:
    align_on = request.align_on if request.align == "jitter" else None
    return Wanted(ALGORITHMS[request.algorithm], parameters, request.centre, align_on, request.fsc, angular)


def _begin(shelf: TiledShelf, series: SeriesRecord, request: ReconstructionRequest) -> VolumeRecord | None:
    scale = series.scale if request.source == "enhanced" else 1
    rows, width = (side * scale for side in series.shape)
    elements = request.elements or list(series.elements)
    return begin_volume(shelf.catalog, shelf.place, elements, (width, rows, width), slab_rows(rows, width))


def _between(told: Told, begun: float, over: float) -> Told:
    def tell(fraction: float, doing: str) -> None:
        told(begun + (over - begun) * fraction, doing)

    return tell


def _warn_of_fallbacks(job_id: str, done: Reconstruction) -> None:
    for element, provenance in done.provenance.items():
        if provenance.fallback:
            _log.warning("job %s, %s: computed by %s, as %s", job_id, element, provenance.engine, provenance.fallback)


def _read(
    catalog: Catalog, series: SeriesRecord, request: ReconstructionRequest, watch: "_Watch", memory: str
) -> SeriesMaps:
    """The fitted maps; others are read where they are needed, and as much as is needed."""
    elements = request.elements or list(series.elements)
    fitted = {}
    for index, element in enumerate(elements):
        watch(_READ * index / len(elements), f"reading {element}; {memory}")
        fitted[element] = read_stack(catalog, series.key, "fitted", element)
    scale = series.scale if request.source == "enhanced" else 1
    return SeriesMaps(request.source, fitted, series.angles_deg, series.done_angles, series.step_nm, scale)


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
    return {element: float(np.median(periods)) for element, periods in told.items() if element in done.images}


def _metadata(
    series: SeriesRecord,
    request: ReconstructionRequest,
    wanted: Wanted,
    done: Reconstruction,
    supported_period_nm: Mapping[str, float],
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
        "shape": list(done.shape),
        "slab_rows": slab_rows(*done.shape[1:]),
        "voxel_size_nm": done.voxel_size_nm,
        "angular_sampling_limit_nm": done.angular_sampling_limit_nm,
        "quality": {element: asdict(quality) for element, quality in done.quality.items()},
        "resolution": {
            element: [_halves_result(one).model_dump(mode="json") for one in halves]
            for element, halves in done.halves.items()
        },
        "supported_period_nm": dict(supported_period_nm),
        "provenance": {element: asdict(provenance) for element, provenance in done.provenance.items()},
    }


def _account(memory: JobMemory, compute: str, watch: "_Watch") -> dict[str, Any]:
    watch.lap()
    return {
        "computed_by": IN_PROCESS if compute == IN_PROCESS else "dask",
        "memory_bytes": memory.here(compute),
        "slab_memory_bytes": memory.slab_bytes,
        "times_s": dict(watch.times_s),
        "computed_s": round(sum(watch.times_s.values()), 3),
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
        "largest_shift_px": None if alignment is None else float(np.hypot(alignment.y_px, alignment.u_px).max()),
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
        "compared_voxels": [list(corners) for corners in halves.box.corners_px],
    }
    return ResolutionCurve(halves.source, halves.frequency_per_nm, halves.curve.values, halves.thresholds, described)


def _result(place: VolumePlace, metadata: Mapping[str, Any]) -> ReconstructionResult:
    """From what a complete volume says of itself, whoever made it and whenever."""
    same = {name: metadata[name] for name in ReconstructionResult.model_fields if name in metadata}
    return ReconstructionResult.model_validate(
        {**same, "path": volume_path(place.series_key, place.job_id), "n_angles_used": len(metadata["used_angles"])}
    )


def _halves_result(halves: HalvesComparison) -> HalvesResult:
    return HalvesResult(
        source=halves.source,
        is_independent=halves.is_independent,
        note=halves.note,
        pixel_size_nm=halves.pixel_size_nm,
        **halves.words,
    )
