"""One file of patterns and counts to one of element maps."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from models.singlepixel.measurement import PatternMeasurement
from models.singlepixel.reconstruct import SinglePixelResult, reconstruct
from services.catalog.provenance import software_versions
from services.offline.bars import progress_bars, staged
from services.offline.devices import check_device
from services.offline.hdf5 import sha256_of
from services.offline.map_files import appearing, check_outputs
from services.offline.map_picture import draw_result
from services.offline.named_phases import phases_named
from services.offline.pattern_files import read_measurement, write_result


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `services.offline.singlepixel_command`."""

    patterns: Path
    out: Path
    method: str = "auto"
    phases: tuple[str, ...] = ()
    lam: float | None = None
    pixels: tuple[int, int] | None = None
    seed: int = 0
    uncertainty: bool = True
    png: Path | None = None
    device: str = "cpu"
    overwrite: bool = False


def map_file(request: Request, console: Console, warnings: Console) -> None:
    """Make element maps of a file of patterns and counts.

    Raises:
        SubprobeError: a file that is not what it should be, or one that must not be overwritten.
        ValueError: no such method, a phase that cannot be read, patterns that cannot be used.
    """
    check_outputs([request.patterns], (request.out, request.png), request.overwrite)
    check_device(request.device)
    measured = read_measurement(request.patterns)
    phases = phases_named(request.phases, measured.elements)
    console.print(_described(measured), highlight=False, soft_wrap=True)
    with progress_bars(console) as following:
        result = reconstruct(
            measured,
            request.method,
            seed=request.seed,
            device=request.device,
            progress=staged(following),
            phases=phases,
            lam=request.lam,
            uncertainty=request.uncertainty,
            shape=request.pixels,
        )
    console.print(_summary(result), highlight=False, soft_wrap=True)
    for note in result.notes:
        warnings.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    with appearing(request.out) as partial:
        write_result(partial, result, _lineage(request, measured, result))
    if request.png:
        with appearing(request.png) as partial:
            draw_result(result, measured, partial)
    for path in (request.out, request.png):
        if path:
            console.print(f"wrote [bold]{escape(str(path))}[/]", highlight=False, soft_wrap=True)


def _described(measured: PatternMeasurement) -> str:
    n, (height, width) = len(measured.patterns), measured.shape
    txm = "with a TXM image" if measured.txm is not None else "without a TXM image"
    return (
        f"{n} patterns of {height} x {width} pixels, sampling ratio {n / (height * width):.3g}, {txm}, "
        f"counts of {', '.join(measured.elements)}"
    )


def _summary(result: SinglePixelResult) -> str:
    lam = "" if result.lam is None else f", lambda {result.lam:.3g}"
    spread = [f"{element} {np.nanmedian(plane):.3g}" for element, plane in result.sigma.items()]
    sigma = f", sigma {', '.join(spread)} (medians)" if spread else ""
    shares = ", ".join(f"{phase} {share:.1%}" for phase, share in (result.phase_fractions or {}).items())
    return f"by [bold]{escape(result.method)}[/]{lam}{sigma}{f'; phases: {escape(shares)}' if shares else ''}"


def _lineage(request: Request, measured: PatternMeasurement, result: SinglePixelResult) -> dict[str, Any]:
    """What made the maps, for the attributes of the output's root."""
    known = result.told() | {
        "quality": {name: value for name, value in result.quality.items() if np.isfinite(value)},
        "n_patterns": len(measured.patterns),
        "seed": request.seed,
        "input_file": request.patterns.name,
        "input_sha256": sha256_of(request.patterns),
        "software": software_versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {name: value for name, value in known.items() if value is not None}
