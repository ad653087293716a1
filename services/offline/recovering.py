"""One file of diffraction frames to one of a probe."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from rich.console import Console
from rich.markup import escape

from models.ptychography.engines import engine_of
from models.ptychography.frames import Frames
from models.ptychography.quality import summary, told
from models.ptychography.recover import Recovery, RecoverySettings
from services.catalog.provenance import software_versions
from services.offline.bars import progress_bars, staged
from services.offline.devices import check_device
from services.offline.frame_files import FlyAxis, FrameFile, read_frames
from services.offline.hdf5 import sha256_of
from services.offline.map_files import appearing, check_outputs
from services.offline.probe_picture import draw_probe


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `services.offline.recover_command`."""

    frames: Path
    fly_px: float
    out: Path
    fly_axis: FlyAxis = "x"
    engine: str = "constrained"
    png: Path | None = None
    pixel_nm: float | None = None
    energy_kev: float | None = None
    settings: RecoverySettings = field(default_factory=RecoverySettings)
    overwrite: bool = False


def recover_file(request: Request, console: Console, warnings: Console) -> None:
    """Find the probe of a file of frames and write it as `enhance --probe` takes it.

    Raises:
        SubprobeError: a file that is not what it should be, or one that must not be overwritten.
        ValueError: frames that cannot be used, no such engine or device.
    """
    engine = engine_of(request.engine)
    check_outputs([request.frames], (request.out, request.png), request.overwrite)
    check_device(request.settings.device)
    file = read_frames(
        request.frames, request.fly_px, request.fly_axis, pixel_nm=request.pixel_nm, energy_kev=request.energy_kev
    )
    console.print(_described(file), highlight=False, soft_wrap=True)
    with progress_bars(console) as following:
        found = engine(file.frames, request.settings, staged(following))
    console.print(summary(found), highlight=False, soft_wrap=True)
    for warning in found.warnings:
        warnings.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    with appearing(request.out) as partial:
        _write(partial, found, _lineage(request, file.frames))
    if request.png:
        with appearing(request.png) as partial:
            draw_probe(found, file.frames, partial)
    for path in (request.out, request.png):
        if path:
            console.print(f"wrote [bold]{escape(str(path))}[/]", highlight=False, soft_wrap=True)


def _described(file: FrameFile) -> str:
    frames = file.frames
    masked = int((~frames.seen()).sum())
    span = np.ptp(frames.positions_px, axis=0) * frames.pixel_size_nm / 1000
    left_out = f"; left out: {file.left_out}" if file.left_out else ""
    return (
        f"{len(frames.counts)} frames of {frames.side_px} x {frames.side_px}, {frames.photons():.3g} photons each, "
        f"over {span[0]:.2f} x {span[1]:.2f} um; pixel {frames.pixel_size_nm:.3g} nm, {frames.energy_kev:g} keV, "
        f"{masked} pixels masked{left_out}"
    )


def _lineage(request: Request, frames: Frames) -> dict[str, Any]:
    return {
        "input_file": request.frames.name,
        "input_sha256": sha256_of(request.frames),
        "engine": request.engine,
        "fly_px": request.fly_px,
        "fly_axis": request.fly_axis,
        "seed": request.settings.seed,
        "frames": len(frames.counts),
        "photons_per_frame": frames.photons(),
        "software": software_versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _write(path: Path, found: Recovery, lineage: dict[str, Any]) -> None:
    """``/amplitude`` and ``/phase`` (mode, y, x), ``/kernel`` (y, x) without motion, ``/object_amplitude`` and
    ``/object_phase``; what is known of them as attributes of the root."""
    modes = found.probe.modes
    planes = {
        "amplitude": np.abs(modes),
        "phase": np.angle(modes),
        "kernel": found.probe.intensity(),
        "object_amplitude": np.abs(found.obj),
        "object_phase": np.angle(found.obj),
    }
    with h5py.File(path, "w") as file:
        for name, plane in planes.items():
            dataset = file.create_dataset(name, data=plane.astype(np.float32), compression="gzip")
            dataset.attrs["pixel_nm"] = found.probe.pixel_size_nm
        file.attrs["energy_kev"] = found.probe.energy_kev
        file.attrs["pixel_nm"] = found.probe.pixel_size_nm
        for name, value in {**told(found), **lineage}.items():
            file.attrs[name] = json.dumps(value) if isinstance(value, dict | list) else value
