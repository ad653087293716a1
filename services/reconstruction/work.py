"""One job from end to end: read from Tiled, call the recipe, write to Tiled."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from models.tomo.algorithms import ALGORITHMS
from services.catalog.client import Catalog
from services.catalog.products import find_series, read_stack
from services.catalog.provenance import software_versions
from services.catalog.records import SeriesRecord
from services.catalog.volumes import volume_path, write_volumes
from services.reconstruction.parameters import checked_parameters
from services.reconstruction.recipe import Reconstruction, reconstruct_elements
from services.reconstruction.schemas import ReconstructionRequest, ReconstructionResult

_log = logging.getLogger(__name__)

_READ = 0.1  # share of the progress bar
_COMPUTED = 0.85


def reconstruct(
    catalog: Catalog,
    job_id: str,
    request: ReconstructionRequest,
    progress: Callable[[float, str], None],
    cancelled: Callable[[], bool],
) -> ReconstructionResult:
    """Do what was asked for and commit it to Tiled.

    Args:
        catalog: to read from and write to.
        job_id: names the volume.
        request: what was asked for.
        progress: told a fraction of the whole and what is being done; what it raises stops the job.
        cancelled: True stops.

    Raises:
        ReconstructionCancelledError: ``cancelled`` said so.
        ValueError: the data do not allow it.
        CatalogError: Tiled does not allow it.
    """
    began = time.monotonic()
    series = find_series(catalog, request.series)
    elements = request.elements or list(series.elements)
    stacks = {}
    for index, element in enumerate(elements):
        progress(_READ * index / len(elements), f"reading {element}")
        stacks[element] = read_stack(catalog, series.key, request.source, element)
    done = reconstruct_elements(
        stacks,
        series.angles_deg,
        series.done_angles,
        series.pixel_size_nm(request.source),
        ALGORITHMS[request.algorithm],
        checked_parameters(request.algorithm, request.parameters),
        None if request.centre == "auto" else request.centre,
        progress=lambda fraction, doing: progress(_READ + (_COMPUTED - _READ) * fraction, doing),
        cancelled=cancelled,
    )
    computed_s = time.monotonic() - began
    for element, provenance in done.provenance.items():
        if provenance.fallback:
            _log.warning("job %s, %s: computed by %s, as %s", job_id, element, provenance.engine, provenance.fallback)
    write_volumes(
        catalog,
        series.key,
        job_id,
        done.volumes,
        _metadata(series, request, done, computed_s),
        lambda fraction: progress(_COMPUTED + (1 - _COMPUTED) * fraction, "writing to Tiled"),
    )
    return _result(series.key, job_id, done)


def _metadata(
    series: SeriesRecord, request: ReconstructionRequest, done: Reconstruction, computed_s: float
) -> dict[str, Any]:
    made_by = ("probe", "enhancer") if request.source == "enhanced" else ()
    return {
        **{name: dict(series.metadata[name]) for name in made_by if name in series.metadata},
        "series_uid": series.series_uid,
        "sample_name": series.sample_name,
        "source": request.source,
        "algorithm": request.algorithm,
        "parameters": checked_parameters(request.algorithm, request.parameters),
        "centre_px": done.axis.centre_px,
        "centre_sigma_px": done.axis.sigma_px,
        "centre_method": done.axis.method,
        "angles_deg": [series.angles_deg[index] for index in done.choice.used],
        "used_angles": list(done.choice.used),
        "excluded_angles": list(done.choice.excluded),
        "filled_points": done.choice.filled_points,
        "voxel_size_nm": done.voxel_size_nm,
        "angular_sampling_limit_nm": done.angular_sampling_limit_nm,
        "quality": {element: asdict(quality) for element, quality in done.quality.items()},
        "provenance": {element: asdict(provenance) for element, provenance in done.provenance.items()},
        "computed_s": round(computed_s, 3),
        "software": software_versions(),
    }


def _result(series_key: str, job_id: str, done: Reconstruction) -> ReconstructionResult:
    shape = next(iter(done.volumes.values())).shape
    return ReconstructionResult(
        path=volume_path(series_key, job_id),
        elements=list(done.volumes),
        shape=(shape[0], shape[1], shape[2]),
        voxel_size_nm=done.voxel_size_nm,
        centre_px=done.axis.centre_px,
        centre_sigma_px=done.axis.sigma_px,
        n_angles_used=len(done.choice.used),
        excluded_angles=list(done.choice.excluded),
        filled_points=done.choice.filled_points,
        angular_sampling_limit_nm=done.angular_sampling_limit_nm,
        quality={element: asdict(quality) for element, quality in done.quality.items()},
    )
