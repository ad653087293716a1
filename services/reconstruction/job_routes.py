"""Operations on reconstructions: ask for one, follow it, stop it, look at it."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.catalog.records import SeriesRecord
from services.catalog.volumes import Plane, read_curves, read_maximum, read_slice
from services.reconstruction.auth import Authenticated, authenticate
from services.reconstruction.dependencies import (
    JobOfPath,
    TheCatalog,
    TheRunner,
    TheStore,
    TiledForPeople,
    visible_series,
)
from services.reconstruction.events import follow
from services.reconstruction.jobs import Job, JobState
from services.reconstruction.parameters import checked_parameters
from services.reconstruction.pictures import render_curves, render_png
from services.reconstruction.placement import SUM
from services.reconstruction.problems import Problem, documented
from services.reconstruction.schemas import JobLinks, Reconstruction, ReconstructionPage, ReconstructionRequest

router = APIRouter(
    prefix="/reconstructions",
    tags=["reconstructions"],
    dependencies=[Depends(authenticate)],
    responses=documented(401, 403, 422, 503),
)


@router.post("", status_code=202, response_model=Reconstruction, responses=documented(404, 409))
def reconstruct(
    request: ReconstructionRequest,
    response: Response,
    caller: Authenticated,
    catalog: TheCatalog,
    store: TheStore,
    runner: TheRunner,
    tiled: TiledForPeople,
) -> Reconstruction:
    """Queue the reconstruction of a series.

    The answer comes at once with the job and its place in `Location`; follow `links.events`, or ask again until `state`
    is final. The volumes then stand in Tiled at `result.path`, one array (z, y, x) in g/cm^3 for each element.
    """
    series = visible_series(catalog, caller, request.series)
    accepted = _accepted(request, series)
    _check_completeness(request, series)
    job = store.create(series.key, accepted)
    runner.wake()
    described = view(job, tiled)
    response.headers["Location"] = described.links.job
    return described


@router.get("", response_model=ReconstructionPage, responses=documented(404))
def list_reconstructions(
    caller: Authenticated,
    catalog: TheCatalog,
    store: TheStore,
    tiled: TiledForPeople,
    series: Annotated[str | None, Query(description="Only of this series (key or uid)", max_length=255)] = None,
    state: Annotated[JobState | None, Query(description="Only in this state")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="At most so many")] = 20,
    offset: Annotated[int, Query(ge=0, le=10**9, description="Leave out so many of the newest")] = 0,
) -> ReconstructionPage:
    """The reconstructions of the series you may see, newest first."""
    wanted = caller.visible_series() if series is None else frozenset({visible_series(catalog, caller, series).key})
    jobs, total = store.page(wanted, state, limit, offset)
    return ReconstructionPage(items=[view(job, tiled) for job in jobs], total=total, limit=limit, offset=offset)


@router.get("/{job_id}", response_model=Reconstruction, responses=documented(404))
def get_reconstruction(job: JobOfPath, tiled: TiledForPeople) -> Reconstruction:
    """One reconstruction as it is now."""
    return view(job, tiled)


@router.post("/{job_id}/cancel", status_code=202, response_model=Reconstruction, responses=documented(404, 409))
def cancel(job: JobOfPath, store: TheStore, tiled: TiledForPeople) -> Reconstruction:
    """Stop a reconstruction: at once if it waits, within moments if it runs; its unfinished volume is removed."""
    if job.is_final:
        raise Problem(409, f"This reconstruction has already {job.state}: there is nothing to stop", "already-ended")
    return view(store.cancel(job.id), tiled)


@router.get("/{job_id}/events", response_class=EventSourceResponse, responses=documented(404))
async def events(
    job: JobOfPath, store: TheStore, tiled: TiledForPeople, request: Request
) -> AsyncIterator[ServerSentEvent]:
    """The reconstruction at each change, as server-sent events that end with its final state.

    An event's name is the state, its data the same document as that of the reconstruction itself.
    """
    async for event in follow(store, job, request.app.state.stopping, lambda changed: view(changed, tiled)):
        yield event


_PICTURE: dict[int | str, dict[str, Any]] = documented(404) | {
    200: {"content": {"image/png": {}}, "description": "The picture"}
}


@router.get("/{job_id}/slice/{element}/{plane}.png", response_class=Response, responses=_PICTURE)
def slice_picture(job: JobOfPath, catalog: TheCatalog, element: str, plane: Plane) -> Response:
    """The middle slice of an element's volume, as a picture; xz lies across the rotation axis."""
    _check_element(job, element)
    return _png(render_png(read_slice(catalog, job.series_key, job.id, element, plane)))


@router.get("/{job_id}/maximum/{element}/{plane}.png", response_class=Response, responses=_PICTURE)
def maximum_picture(job: JobOfPath, catalog: TheCatalog, element: str, plane: Plane) -> Response:
    """The largest values of an element's volume along the axis that a plane leaves out, as a picture."""
    _check_element(job, element)
    return _png(render_png(read_maximum(catalog, job.series_key, job.id, element, plane)))


@router.get("/{job_id}/resolution/{element}.png", response_class=Response, responses=_PICTURE)
def resolution_picture(job: JobOfPath, catalog: TheCatalog, element: str) -> Response:
    """The Fourier shell correlation of halves of the angles, with its thresholds, as a picture."""
    _check_element(job, element)
    curves = read_curves(catalog, job.series_key, job.id, element)
    if not curves:
        raise Problem(404, "Halves were not compared for this volume: ask for one with fsc: true")
    return _png(render_curves(curves))


def _check_element(job: Job, element: str) -> None:
    elements = (job.result or {}).get("elements", [])
    if element not in elements:
        raise Problem(404, f"There is no volume of that element: there is {', '.join(elements) or 'none yet'}")


def _png(picture: bytes) -> Response:
    return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=86400, immutable"})


def view(job: Job, tiled: str) -> Reconstruction:
    """A job as callers see it.

    Args:
        job: as stored.
        tiled: root of Tiled as people's browsers reach it.
    """
    place = f"/api/v1/reconstructions/{job.id}"
    there = job.result if job.result and not job.result.get("pruned_at") else None
    links = JobLinks(
        job=place,
        events=f"{place}/events",
        cancel=f"{place}/cancel",
        series=f"/api/v1/series/{job.series_key}",
        browse=f"{tiled}/ui/browse/{there['path']}" if there else None,
        nexus=f"{place}/nexus" if there else None,
    )
    shown = {name: value for name, value in vars(job).items() if name in Reconstruction.model_fields}
    return Reconstruction(**shown, series=job.series_key, links=links)


def _accepted(request: ReconstructionRequest, series: SeriesRecord) -> dict[str, Any]:
    """The request's JSON with everything filled in that was left open."""
    elements = request.elements or list(series.elements)
    if unknown := [element for element in elements if element not in series.elements]:
        detail = f"the series has no {', '.join(unknown)}: allowed are {', '.join(series.elements)}"
        raise _wrong_field("elements", detail)
    width = series.shape[1] * (series.scale if request.source == "enhanced" else 1)
    if not isinstance(request.centre, str) and not 0 <= request.centre <= width:
        raise _wrong_field(
            "centre", f"{request.centre} is not on the grid: the {request.source} maps are {width} pixels wide"
        )
    if request.align == "jitter" and request.align_on not in (SUM, *elements):
        raise _wrong_field("align_on", f"pass sum, or one of {', '.join(elements)}")
    if request.angles and request.angles.reproject_to < series.n_angles:
        raise _wrong_field("angles.reproject_to", f"the series has {series.n_angles} angles: ask for more")
    parameters = checked_parameters(request.algorithm, request.parameters)
    return request.model_dump(mode="json") | {"series": series.key, "elements": elements, "parameters": parameters}


def _check_completeness(request: ReconstructionRequest, series: SeriesRecord) -> None:
    missing = series.missing_angles
    if not missing or (request.allow_incomplete and series.done_angles):
        return
    done = f"{len(series.done_angles)} of {series.n_angles} angles are there"
    advice = "wait for the others, or pass allow_incomplete: true" if series.done_angles else "wait for them"
    raise Problem(409, f"{done}: {advice}", "incomplete-series", missing_angles=list(missing))


def _wrong_field(name: str, detail: str) -> Problem:
    error = {"field": f"body.{name}", "detail": detail}
    return Problem(422, f"body.{name}: {detail}", "wrong-field", errors=[error])
