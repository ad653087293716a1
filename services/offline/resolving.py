"""How fine two independent halves agree, or one estimate with the truth: files in, numbers and a curve out."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from models.quality.correlation import FourierCorrelation, Resolution, bit_threshold, fourier_correlation
from models.quality.criteria import ONE_HALF, ONE_SEVENTH, effective_share, halves_resolution, truth_resolution
from models.quality.halves import SHARED_PRIOR_NOTE
from models.quality.masks import box_mask, cylindrical_mask
from models.quality.metrics import nrmse
from services.offline.compared_files import Compared, read_compared
from services.offline.curve_picture import Curve, draw_curves
from services.offline.map_files import OutputFileError, appearing, check_writable

Array = NDArray[np.float64]
MaskName = Literal["soft", "none"]

_EDGE_SHARE = 1 / 8
"""Of the shortest side, over which a soft mask falls."""
_LEAST_EDGE_PX = 3.0


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `services.offline.commands.resolution`."""

    one: Path
    other: Path | None
    truth: Path | None = None
    path: str | None = None
    elements: tuple[str, ...] = ()
    slice_y: int | None = None
    mask: MaskName = "soft"
    pixel_nm: float | None = None
    png: Path | None = None
    as_json: bool = False
    overwrite: bool = False


@dataclass(frozen=True, eq=False)
class Finding:
    """What is said of one dataset.

    Attributes:
        name: of the dataset.
        against: the other half, or the truth.
        n_dims: 2 for images, 3 for volumes.
        curve: the correlation.
        resolutions: by criterion.
        thresholds: (shell,) of each criterion.
        pixel_nm: of the grid.
        n_eff_factor: independent share of the Fourier voxels.
        error: norm of the difference from the truth over norm of the truth; None for halves.
    """

    name: str
    against: Literal["half", "truth"]
    n_dims: int
    curve: FourierCorrelation
    resolutions: Mapping[str, Resolution]
    thresholds: Mapping[str, Array]
    pixel_nm: float
    n_eff_factor: float
    error: float | None = None


def compare_files(request: Request, console: Console, warnings: Console) -> None:
    """Print the resolution of every dataset asked for.

    Raises:
        SubprobeError: a file that is not what it should be, or one that must not be overwritten.
        ValueError: an option that makes no sense here.
    """
    if request.other is None and request.truth is None:
        raise ValueError("there is nothing to compare with: pass a second half B.h5, or --truth T.h5")
    if request.png:
        if request.png.resolve() in {path.resolve() for path in _inputs(request)}:
            raise OutputFileError(f"{request.png} is read: choose another name for the picture")
        check_writable(request.png, request.overwrite)
    findings, notes = list[Finding](), list[str]()
    for path, against in ((request.other, "half"), (request.truth, "truth")):
        if path is None:
            continue
        compared = read_compared(request.one, path, request.path, request.elements, request.slice_y, request.pixel_nm)
        for pair in compared:
            findings.append(_of_halves(pair, request.mask) if against == "half" else _of_truth(pair, request.mask))
            notes += _doubts(pair) if against == "half" else ()
    notes = list(dict.fromkeys(notes))
    if request.as_json:
        document = json.dumps({"findings": [_document(finding) for finding in findings], "notes": notes}, indent=1)
        console.print(document, markup=False, highlight=False, soft_wrap=True)
    else:
        for line in _lines(findings):
            console.print(line, highlight=False, soft_wrap=True)
    for note in notes:
        warnings.print(f"[yellow]note:[/] {escape(note)}", highlight=False, soft_wrap=True)
    if request.png:
        with appearing(request.png) as partial:
            draw_curves([_drawn(finding) for finding in findings], partial)
        said = warnings if request.as_json else console
        said.print(f"wrote [bold]{escape(str(request.png))}[/]", highlight=False, soft_wrap=True)


def soft_mask(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A cylinder about the rotation axis as wide as the volume, or a box as large as the image, with soft edges."""
    edge_px = max(_LEAST_EDGE_PX, _EDGE_SHARE * min(shape))
    if len(shape) == 2:
        return box_mask(shape, tuple(n - edge_px for n in shape), edge_px)
    z, y, x = shape
    return cylindrical_mask((z, y, x), (min(z, x) - edge_px) / 2, y - edge_px, edge_px)


def _inputs(request: Request) -> Iterator[Path]:
    yield from (path for path in (request.one, request.other, request.truth) if path)


def _masked(pair: Compared, mask: MaskName) -> tuple[NDArray[np.float32] | None, float]:
    """(mask, independent share of the Fourier voxels under it)."""
    if mask == "none":
        return None, 1.0
    weights = soft_mask(pair.one.shape)
    return weights, effective_share(weights)


def _of_halves(pair: Compared, mask: MaskName) -> Finding:
    weights, share = _masked(pair, mask)
    curve = fourier_correlation(pair.one, pair.other, weights)
    found = halves_resolution(curve, pair.pixel_nm, share)
    resolutions = {"half_bit": found.half_bit, "one_bit": found.one_bit, "one_seventh": found.one_seventh}
    n_eff = share * curve.n_voxels
    thresholds = {
        "half_bit": bit_threshold(n_eff, 0.5),
        "one_bit": bit_threshold(n_eff, 1.0),
        "one_seventh": np.full(len(curve.values), ONE_SEVENTH),
    }
    return Finding(pair.name, "half", pair.one.ndim, curve, resolutions, thresholds, pair.pixel_nm, share)


def _of_truth(pair: Compared, mask: MaskName) -> Finding:
    weights, share = _masked(pair, mask)
    curve = fourier_correlation(pair.one, pair.other, weights)
    resolutions = {"one_half": truth_resolution(pair.one, pair.other, pair.pixel_nm, weights)}
    thresholds = {"one_half": np.full(len(curve.values), ONE_HALF)}
    error = nrmse(pair.one, pair.other)
    return Finding(pair.name, "truth", pair.one.ndim, curve, resolutions, thresholds, pair.pixel_nm, share, error)


def _doubts(pair: Compared) -> list[str]:
    """What speaks against taking the two for independent halves."""
    doubts = []
    if np.array_equal(pair.one, pair.other):
        doubts.append(f"{pair.name} is the same in both files: a dataset agrees with itself at every frequency")
    elif pair.share_input:
        doubts.append(
            "both files were made from the same projections: they are no halves. Reconstruct with --half even and "
            "--half odd"
        )
    if pair.models:
        doubts.append(f"{SHARED_PRIOR_NOTE} (model: {', '.join(pair.models)})")
    return doubts


def _lines(findings: list[Finding]) -> Iterator[str]:
    for finding in findings:
        kind = "FRC" if finding.n_dims == 2 else "FSC"
        head = f"[bold]{escape(finding.name)}[/]  {kind} of " + (
            "two halves" if finding.against == "half" else f"estimate and truth, error {finding.error:.2%}"
        )
        yield f"{head}, pixel {finding.pixel_nm:g} nm"
        yield from (f"  {resolution}" for resolution in finding.resolutions.values())


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "against": finding.against,
        "pixel_nm": finding.pixel_nm,
        "n_eff_factor": finding.n_eff_factor,
        "relative_error": finding.error,
        "resolutions": {
            name: asdict(resolution) | {"in_words": str(resolution)} for name, resolution in finding.resolutions.items()
        },
        "frequency_per_nm": (finding.curve.frequency_per_px / finding.pixel_nm).tolist(),
        "correlation": finding.curve.values.tolist(),
        "n_voxels": finding.curve.n_voxels.tolist(),
        "thresholds": {name: threshold.tolist() for name, threshold in finding.thresholds.items()},
    }


def _drawn(finding: Finding) -> Curve:
    against = "halves" if finding.against == "half" else "truth"
    return Curve(
        f"{finding.name}, {against}",
        finding.curve.frequency_per_px / finding.pixel_nm,
        finding.curve.values,
        finding.thresholds,
        {name: str(resolution) for name, resolution in finding.resolutions.items()},
    )
