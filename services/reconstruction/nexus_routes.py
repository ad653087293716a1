"""Downloads: a series or a volume as a NeXus file."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from services.catalog.records import MapSource
from services.nexus.export import export_series, export_volume, find_volume, plan_series
from services.reconstruction.auth import authenticate
from services.reconstruction.dependencies import JobOfPath, SeriesOfPath, TheCatalog
from services.reconstruction.problems import Problem, documented
from services.reconstruction.schemas import Symbol

router = APIRouter(
    tags=["nexus"], dependencies=[Depends(authenticate)], responses=documented(401, 403, 404, 413, 422, 503, 507)
)

MEDIA_TYPE = "application/x-hdf5"
MOST_BYTES = 8 * 2**30
"""Of one download; the file stands in the service's temporary folder while it is sent."""
_BLOCK_BYTES = 2**20
_FLOAT_BYTES = 4
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}, "description": "The file"}
}

Elements = Annotated[list[Symbol] | None, Query(alias="element", description="Repeat for several; all if left out")]


@router.get("/series/{key}/nexus", response_class=StreamingResponse, responses=_FILE)
def series_file(
    series: SeriesOfPath,
    catalog: TheCatalog,
    source: Annotated[
        MapSource, Query(description="`enhanced`: fine maps; `fitted`: coarse, as measured")
    ] = "enhanced",
    elements: Elements = None,
) -> StreamingResponse:
    """The maps of the angles that are done, as NXtomo: one entry for each element, with standard deviations."""
    wanted = plan_series(series, source, elements or ())
    return _download(
        f"{series.key}-{source}", wanted.n_bytes, lambda path: export_series(catalog, wanted, path), series.key
    )


@router.get("/reconstructions/{job_id}/nexus", response_class=StreamingResponse, responses=_FILE)
def volume_file(job: JobOfPath, catalog: TheCatalog, elements: Elements = None) -> StreamingResponse:
    """The volumes of a reconstruction that succeeded, as NXdata with an NXprocess: one entry for each element."""
    if job.result is None:
        raise Problem(404, f"This reconstruction is {job.state}: there is no volume to download")
    volume = find_volume(catalog, job.series_key, job.id)
    if unknown := [element for element in elements or () if element not in volume.elements]:
        raise Problem(404, f"There is no volume of {', '.join(unknown)}: there is {', '.join(volume.elements)}")
    z, y, x = job.result["shape"]
    n_bytes = len(elements or volume.elements) * z * y * x * _FLOAT_BYTES
    return _download(
        f"{job.series_key}-{job.id[:8]}",
        n_bytes,
        lambda path: export_volume(catalog, volume, path, elements or ()),
        f"{job.series_key} --volume {job.id}",
    )


def _download(name: str, n_bytes: int, write: Callable[[Path], None], command: str) -> StreamingResponse:
    """Write the file where nobody else finds it, and send it; it is gone with the answer, however that ends."""
    if n_bytes > MOST_BYTES:
        detail = (
            f"The file would have {n_bytes / 2**30:.1f} GiB, and a download at most {MOST_BYTES / 2**30:.0f}: ask for "
            f"single elements, or run `subprobe export {command}`"
        )
        raise Problem(413, detail, "file-too-large")
    if n_bytes > shutil.disk_usage(tempfile.gettempdir()).free:
        raise Problem(507, "The service has no room for the file: try again later, or ask for single elements")
    with tempfile.TemporaryDirectory(prefix="subprobe-nexus-") as folder:
        path = Path(folder) / "export.nxs"
        write(path)
        # Open, it outlives its name: no answer that breaks off can leave it behind.
        file = path.open("rb")
        size = path.stat().st_size
    headers = {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="{name}.nxs"'}
    return StreamingResponse(_blocks(file), media_type=MEDIA_TYPE, headers=headers)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK_BYTES):
            yield block
