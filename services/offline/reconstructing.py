"""One file of projections to one of volumes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.markup import escape

from models.tomo.geometry import checked_centre
from services.catalog.provenance import software_versions
from services.offline.algorithm_options import chosen_parameters
from services.offline.bars import progress_bars
from services.offline.hdf5 import sha256_of
from services.offline.map_files import appearing, check_outputs
from services.offline.memory import available_bytes, check_memory, in_words
from services.offline.projection_files import ProjectionFile, find_projections
from services.offline.tilt_geometry import Half, TiltGeometry, find_geometry
from services.offline.volume_account import Recipe, attributes_of, reconstruct_element, summary
from services.offline.volume_files import written_volumes
from services.offline.volume_memory import needed_bytes
from services.offline.volume_picture import draw_volumes, row_of


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `services.offline.commands.reconstruct`."""

    projections: Path
    out: Path
    algorithm: str = "ospml_hybrid"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    centre: Literal["auto"] | float = "auto"
    elements: tuple[str, ...] = ()
    pixel_nm: float | None = None
    aligned: bool = False
    align_on: str | None = None
    half: Half | None = None
    png: Path | None = None
    overwrite: bool = False
    even_if_too_large: bool = False


def reconstruct_file(request: Request, console: Console, warnings: Console) -> None:
    """Reconstruct every element of a file, one after the other, about one rotation axis.

    Raises:
        SubprobeError: a file that is not what it should be, or one that must not be overwritten.
        ValueError: an option that makes no sense here, or more memory than there is.
    """
    began = datetime.now(UTC)
    check_outputs([request.projections], (request.out, request.png), request.overwrite)
    parameters = chosen_parameters(request.algorithm, request.parameters)
    source = find_projections(request.projections, request.elements)
    voxel_nm = _voxel_nm(request, source)
    centre_px = None if request.centre == "auto" else checked_centre(request.centre, source.shape[2])
    guides = _guides(request, source)
    _state_memory(request, parameters, source, console)
    rows = []
    with progress_bars(console) as following:
        geometry = find_geometry(source, centre_px, guides, request.half, request.aligned, following)
        _tell_geometry(geometry, console, warnings)
        recipe = Recipe(request.algorithm, parameters, source, geometry, voxel_nm, centre_px is not None)
        with written_volumes(request.out, source, geometry, _lineage(request, source, geometry, began)) as out:
            for element in source.elements:
                done = reconstruct_element(recipe, element, following(f"reconstructing {element}"))
                out.write(element, done, attributes_of(recipe, done))
                line = f"[bold]{escape(element)}[/]  {escape(summary(element, recipe, done))}"
                (console if done.provenance else warnings).print(line, highlight=False, soft_wrap=True)
                if request.png and done.provenance:
                    rows.append(row_of(element, done.units, done.volume))
            if request.png:
                with appearing(request.png) as partial:
                    draw_volumes(rows, voxel_nm, partial)
    for path in (request.out, request.png):
        if path:
            console.print(f"wrote [bold]{escape(str(path))}[/]", highlight=False, soft_wrap=True)


def _voxel_nm(request: Request, source: ProjectionFile) -> float | None:
    voxel_nm = source.pixel_nm if request.pixel_nm is None else request.pixel_nm
    if voxel_nm is not None and not 0 < voxel_nm < np.inf:
        raise ValueError(f"a pixel of {voxel_nm} nm: pass a positive size with --pixel-nm")
    return voxel_nm


def _guides(request: Request, source: ProjectionFile) -> tuple[str, ...]:
    """The elements that tell the shifts and the rotation axis."""
    if request.align_on is None:
        return source.elements
    if request.align_on not in source.elements:
        raise ValueError(
            f"--align-on {request.align_on} is none of the elements to be reconstructed: {', '.join(source.elements)}"
        )
    return (request.align_on,)


def _state_memory(request: Request, parameters: Mapping[str, Any], source: ProjectionFile, console: Console) -> None:
    needed = needed_bytes(request.algorithm, parameters, source.shape, source.angles_deg, request.aligned)
    available = available_bytes()
    known = f" of {in_words(available)} available" if available is not None else ""
    n_angles, n_y, n_x = source.shape
    console.print(
        f"{escape(', '.join(source.elements))}: {n_angles} projections of {n_y} x {n_x} pixels to "
        f"{n_x} x {n_y} x {n_x} voxels; about {in_words(needed)} of memory{known}",
        highlight=False,
        soft_wrap=True,
    )
    if not request.even_if_too_large:
        check_memory(needed, available)


def _tell_geometry(geometry: TiltGeometry, console: Console, warnings: Console) -> None:
    if alignment := geometry.alignment:
        rms = np.hypot(alignment.y_px.std(), alignment.u_px.std())
        console.print(
            f"aligned: shifts of {rms:.2f} px rms, residual {alignment.residuals[0]:.2%} -> "
            f"{min(alignment.residuals):.2%} in {len(alignment.residuals) - 1} rounds ({alignment.stopped})",
            highlight=False,
            soft_wrap=True,
        )
    centre = geometry.centre
    spread = f" +- {centre.sigma_px:.2f}" if np.isfinite(centre.sigma_px) else ""
    why = f"; {centre.reason}" if centre.reason else ""
    line = f"rotation axis at {centre.value_px:.2f}{spread} px ({centre.method}{why})"
    console.print(line, highlight=False, soft_wrap=True)
    if centre.truncated:
        line = "[yellow]warning:[/] the specimen is not wholly in view: check the axis in the picture, or give --center"
        warnings.print(line, soft_wrap=True)
    if geometry.n_empty:
        line = f"{geometry.n_empty} projections are left out: some element has no measured pixel in them"
        warnings.print(f"[yellow]warning:[/] {line}", soft_wrap=True)


def _lineage(request: Request, source: ProjectionFile, geometry: TiltGeometry, began: datetime) -> dict[str, Any]:
    """What made the volumes, for the attributes of the output's root."""
    return {
        **source.lineage,
        "input_file": request.projections.name,
        "input_sha256": sha256_of(request.projections),
        "excluded_angles": np.setdiff1d(np.arange(source.shape[0]), geometry.used),
        "half": request.half,
        "software": software_versions(),
        "started": began.isoformat(timespec="seconds"),
    }
