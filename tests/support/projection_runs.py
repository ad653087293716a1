"""Projection runs written through the real TiledWriter, document by document, as a detector would make them."""

from copy import deepcopy
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
from bluesky_tiled_plugins import TiledWriter
from event_model import DataKey, compose_run
from numpy.typing import NDArray

from models.ptychography.frames import Frames
from models.run_schema import (
    DIFFRACTION_STREAM,
    FRAMES,
    I0,
    LIVE_TIME_S,
    PROJECTION_SPEC,
    PTYCHOGRAPHY_SPEC,
    REAL_TIME_S,
    SPECTRA,
    X_UM,
    XRF_STREAM,
    Y_UM,
    ProjectionStart,
    PtychographyStart,
    XrfDetector,
)
from models.scan import FlyScan
from models.structured_schema import STRUCTURED_SPEC, StructuredStart
from services.catalog.client import Catalog

EVERYTHING = (SPECTRA, LIVE_TIME_S, REAL_TIME_S, I0)
"""What a worker needs of a projection; encoders are left out."""

SMALL_PROJECTION = ProjectionStart(
    series_uid="5e71e5aa-0000-4000-8000-000000000001",
    series_name="a series",
    sample_name="ZnMn 32cyc/a",
    angle_index=0,
    n_angles=3,
    theta_deg=-60.0,
    purpose="coarse",
    energy_kev=10.0,
    elements=("Zn", "Mn"),
    scan=FlyScan((4, 5), step_nm=120.0, dwell_s=0.01),
    detector=XrfDetector(n_channels=1024, energy_gain_kev=0.011),
    i0_nominal=1.0e5,
    angles_deg=(-60.0, 0.0, 60.0),
)
"""Angle 0 of three, 4 x 5 points, one detector of 1024 channels."""

Document = tuple[str, dict[str, Any]]


class RunWriter:
    """Writes runs into a catalogue; the documents of the last one can be had from ``documents``."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog = catalog
        self.folder = folder
        self.documents: list[Document] = []

    def write(
        self,
        start: ProjectionStart,
        *,
        seed: int = 0,
        time: float = 1_700_000_000.0,
        scan_id: int = 7,
        rows: int | None = None,
        leave_out: tuple[str, ...] = (),
        exit_status: str | None = "success",
        change_start: dict[str, Any] | None = None,
        spectra: NDArray[np.uint32] | None = None,
    ) -> str:
        """Write one run and return its uid; ``exit_status=None`` leaves it without stop document."""
        uid = str(uuid4())
        metadata = start.to_metadata() | {"tiled_specs": [PROJECTION_SPEC], "scan_id": scan_id} | (change_start or {})
        run = compose_run(uid=uid, time=time, metadata=metadata)
        arrays = _measured(start, seed, rows, spectra)
        for name in leave_out:
            del arrays[name]
        self._write(run, {XRF_STREAM: arrays} if arrays else {}, exit_status, time)
        return uid

    def write_frames(
        self,
        start: PtychographyStart,
        frames: Frames,
        *,
        time: float = 1_700_000_000.0,
        exit_status: str | None = "success",
        leave_out: tuple[str, ...] = (),
    ) -> str:
        """Write one ptychography run and return its uid."""
        uid = str(uuid4())
        metadata = start.to_metadata() | {"tiled_specs": [PTYCHOGRAPHY_SPEC], "scan_id": 6}
        run = compose_run(uid=uid, time=time, metadata=metadata)
        raster = start.scan.shape
        y_um, x_um = (frames.positions_px * frames.pixel_size_nm * 1e-3).T.reshape(2, *raster)
        counts = frames.counts.reshape(*raster, *start.frame_shape).astype(np.uint16)
        places = {name: values for name, values in ((Y_UM, y_um), (X_UM, x_um)) if name not in leave_out}
        streams = {DIFFRACTION_STREAM: {FRAMES: counts}, XRF_STREAM: places}
        self._write(run, streams, exit_status, time)
        return uid

    def write_structured(
        self,
        start: StructuredStart,
        streams: dict[str, dict[str, NDArray[Any]]],
        *,
        time: float = 1_700_000_000.0,
        exit_status: str | None = "success",
        change_start: dict[str, Any] | None = None,
    ) -> str:
        """Write one structured-illumination run and return its uid."""
        uid = str(uuid4())
        metadata = start.to_metadata() | {"tiled_specs": [STRUCTURED_SPEC], "scan_id": 8} | (change_start or {})
        run = compose_run(uid=uid, time=time, metadata=metadata)
        self._write(run, streams, exit_status, time)
        return uid

    def _write(
        self, run: Any, streams: dict[str, dict[str, NDArray[Any]]], exit_status: str | None, time: float
    ) -> None:
        self.documents = [("start", run.start_doc)]
        for stream, arrays in streams.items():
            path = self.folder / f"{run.start_doc['uid']}-{stream}.h5"
            self.documents += _stream_documents(run, stream, path, arrays)
        if exit_status is not None:
            self.documents.append(("stop", run.compose_stop(exit_status=exit_status, time=time + 1.0)))
        writer = TiledWriter(self._catalog.raw, batch_size=1)
        for name, document in deepcopy(self.documents):
            writer(name, document)


def _stream_documents(run: Any, stream: str, path: Path, arrays: dict[str, NDArray[Any]]) -> list[Document]:
    with h5py.File(path, "w", libver="latest") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]))
    keys = {
        name: DataKey(
            source="test", dtype="array", dtype_numpy=values.dtype.str, shape=list(values.shape[1:]), external="STREAM:"
        )
        for name, values in arrays.items()
    }
    descriptor = run.compose_descriptor(stream, keys)
    documents: list[Document] = [("descriptor", descriptor.descriptor_doc)]
    for name, values in arrays.items():
        resource = run.compose_stream_resource(
            mimetype="application/x-hdf5",
            uri=f"file://localhost{path}",
            data_key=name,
            parameters={"dataset": f"/{name}", "chunk_shape": (1, *values.shape[1:]), "swmr": True},
        )
        span, numbers = {"start": 0, "stop": len(values)}, {"start": 1, "stop": len(values) + 1}
        datum = resource.compose_stream_datum(span, numbers, descriptor.descriptor_doc)
        documents += [("stream_resource", resource.stream_resource_doc), ("stream_datum", datum)]
    return documents


def _measured(
    start: ProjectionStart, seed: int, rows: int | None, spectra: NDArray[np.uint32] | None
) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    rows_asked, points = start.scan.shape
    rows = (rows_asked if spectra is None else len(spectra)) if rows is None else rows
    detector = start.detector
    if spectra is None:
        spectra = rng.poisson(3.0, (rows, points, detector.n_detectors, detector.n_channels)).astype(np.uint32)
    times = np.full((rows, points, detector.n_detectors), start.scan.dwell_s, dtype=np.float32)
    return {
        SPECTRA: spectra,
        LIVE_TIME_S: times,
        REAL_TIME_S: times,
        I0: np.full((rows, points), start.i0_nominal),
    }
