"""One file of coarse maps to one of fine maps."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from models.physics.probe import Probe
from models.scan import Motion
from models.superres.enhance import whole_scale
from models.superres.enhancer import Enhancer
from models.superres.enhancers import make_enhancer
from models.superres.trust import Trust, judge
from models.xrf.maps import ElementMaps
from services.catalog.provenance import software_versions
from services.offline.devices import check_device
from services.offline.hdf5 import sha256_of
from services.offline.map_files import appearing, check_outputs, read_maps, written_maps
from services.offline.picture import ElementRow, draw_maps
from services.offline.probe_files import read_probe


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `services.cli.enhance`."""

    maps: Path
    probe: Path
    out: Path
    step_nm: float
    pixel_nm: float
    model: str = "unrolled"
    device: str = "cpu"
    motion: Motion = "fly"
    png: Path | None = None
    overwrite: bool = False
    probe_pixel_nm: float | None = None
    """Instead of what the probe's file says, if anything."""
    probe_moved_nm: float | None = None
    """Way of the stage along x that is in the probe already, instead of what its file says."""


def enhance_file(request: Request, console: Console, warnings: Console) -> None:
    """Enhance every element of a file, one after the other.

    Raises:
        SubprobeError: a file that is not what it should be, or one that must not be overwritten.
        ValueError: a step that is no whole number of pixels, no such model or device.
    """
    check_outputs([request.maps, request.probe], (request.out, request.png), request.overwrite)
    check_device(request.device)
    scale = whole_scale(request.step_nm, request.pixel_nm)
    enhancer = make_enhancer(request.model, request.device)
    probe = read_probe(request.probe, request.probe_pixel_nm, moved_nm=request.probe_moved_nm)
    coarse = read_maps(request.maps, request.step_nm)
    rows = []
    with written_maps(request.out, coarse, scale, _lineage(request, probe, enhancer, scale)) as out:
        for index, element in enumerate(coarse.maps.elements):
            if element not in coarse.measured:
                out.write_nothing(element)
                warnings.print(f"[yellow]warning:[/] {escape(element)} was measured nowhere: it is written as NaN")
                continue
            alone = _only(coarse.maps, index)
            enhanced = enhancer.enhance(alone, probe, request.motion, scale)
            trust = judge(enhanced, alone, probe, request.motion, enhancer.calibration)
            out.write(element, enhanced, trust)
            row = ElementRow(element, coarse.units[element], alone.values[0], enhanced.values[0], enhanced.sigma[0])
            console.print(_summary(row, enhanced.consistency, trust), highlight=False, soft_wrap=True)
            for flag in trust.flags[0]:
                warnings.print(f"[yellow]warning:[/] {escape(element)}: {escape(flag)}", soft_wrap=True)
            if request.png:
                rows.append(row)
        if request.png:
            with appearing(request.png) as partial:
                draw_maps(rows, request.step_nm, scale, partial)
    for path in (request.out, request.png):
        if path:
            console.print(f"wrote [bold]{escape(str(path))}[/]", highlight=False, soft_wrap=True)


def _only(maps: ElementMaps, index: int) -> ElementMaps:
    one = slice(index, index + 1)
    return replace(
        maps,
        elements=maps.elements[one],
        values=maps.values[one],
        variance=maps.variance[one],
        counts_per_unit=maps.counts_per_unit[one],
    )


def _lineage(request: Request, probe: Probe, enhancer: Enhancer, scale: int) -> dict[str, Any]:
    """What made the maps, for the attributes of the output's root."""
    return {
        "input_file": request.maps.name,
        "input_sha256": sha256_of(request.maps),
        "probe_file": request.probe.name,
        "probe_digest": probe.digest,
        "probe_pixel_nm": probe.pixel_size_nm,
        "probe_moved_nm": probe.moved_nm,
        "model": enhancer.name,
        "model_digest": enhancer.digest,
        "step_nm": request.step_nm,
        "pixel_nm": request.step_nm / scale,
        "scan": request.motion,
        "software": software_versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _summary(row: ElementRow, consistency: NDArray[np.float32], trust: Trust) -> str:
    (height, width), (fine_height, fine_width) = row.coarse.shape, row.enhanced.shape
    missing = int(np.count_nonzero(~np.isfinite(row.coarse)))
    return (
        f"[bold]{escape(row.element)}[/]  {height} x {width} -> {fine_height} x {fine_width}"
        f"{f', {missing} points not measured' if missing else ''}, sigma {np.median(row.sigma):.3g} "
        f"{escape(row.units)}, consistency {np.nanmedian(consistency):.2f} (medians), "
        f"measured down to a period of {trust.period_nm[0]:.0f} nm"
    )
