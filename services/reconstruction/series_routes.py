"""Operations on series: what there is to reconstruct, how complete it is, and what it looks like."""

from math import isfinite
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from services.catalog.products import list_series, read_stack
from services.catalog.records import MapSource, SeriesRecord
from services.reconstruction.auth import Authenticated, authenticate
from services.reconstruction.dependencies import SeriesOfPath, TheCatalog, TiledForPeople
from services.reconstruction.pictures import render_png
from services.reconstruction.problems import Problem, documented
from services.reconstruction.schemas import Series, SeriesLinks, SeriesPage, SourceDescription

router = APIRouter(
    prefix="/series", tags=["series"], dependencies=[Depends(authenticate)], responses=documented(401, 403, 422, 503)
)


@router.get("", response_model=SeriesPage)
def list_all_series(
    caller: Authenticated,
    catalog: TheCatalog,
    tiled: TiledForPeople,
    limit: Annotated[int, Query(ge=1, le=100, description="At most so many")] = 20,
    offset: Annotated[int, Query(ge=0, le=10**9, description="Leave out so many of the newest")] = 0,
) -> SeriesPage:
    """The series you may see, newest first."""
    visible = caller.visible_series(fresh=True)
    found = [series for series in list_series(catalog) if series.key in visible]
    shown = found[offset : offset + limit]
    return SeriesPage(items=[view(series, tiled) for series in shown], total=len(found), limit=limit, offset=offset)


@router.get("/{key}", response_model=Series, responses=documented(404))
def get_series(series: SeriesOfPath, tiled: TiledForPeople) -> Series:
    """One series: its elements, its maps, and which angles are still missing."""
    return view(series, tiled)


@router.get(
    "/{key}/thumbnail/{source}/{element}.png",
    response_class=Response,
    responses=documented(404) | {200: {"content": {"image/png": {}}, "description": "The picture"}},
)
def thumbnail(series: SeriesOfPath, catalog: TheCatalog, source: MapSource, element: str) -> Response:
    """An element's map at the first angle that is done, as a picture."""
    if element not in series.elements:
        raise Problem(404, f"The series has no such element: it has {', '.join(series.elements)}")
    if not series.done_angles:
        raise Problem(404, "No angle of this series is done yet: try again later")
    first_map = read_stack(catalog, series.key, source, element, [series.done_angles[0]])[0]
    return Response(render_png(first_map), media_type="image/png", headers={"Cache-Control": "private, max-age=60"})


def view(series: SeriesRecord, tiled: str) -> Series:
    """A series as callers see it; ``tiled`` is the root of Tiled as people's browsers reach it."""
    missing = series.missing_angles
    place = f"/api/v1/series/{series.key}"
    rows, points = series.shape
    scales: dict[MapSource, int] = {"fitted": 1, "enhanced": series.scale}
    return Series(
        key=series.key,
        series_uid=series.series_uid,
        name=series.series_name,
        sample=series.sample_name,
        elements=list(series.elements),
        state=series.state,
        n_angles=series.n_angles,
        n_done=len(series.done_angles),
        is_complete=not missing,
        missing_angles=list(missing),
        missing_angles_deg=[angle if isfinite(angle := series.angles_deg[index]) else None for index in missing],
        sources=[
            SourceDescription(
                source=source, shape=(rows * scale, points * scale), pixel_size_nm=series.pixel_size_nm(source)
            )
            for source, scale in scales.items()
        ],
        links=SeriesLinks(
            series=place,
            reconstructions=f"/api/v1/reconstructions?series={series.key}",
            browse=f"{tiled}/ui/browse/processed/{series.key}",
            nexus=f"{place}/nexus",
        ),
    )
