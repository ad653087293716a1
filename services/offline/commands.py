"""The commands `reconstruct` and `resolution`: what they take, and which of it belongs together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from services.logs import configure_logging
from services.terminal import (
    FolderOption,
    console,
    ended_by_signals,
    error_console,
    stack_settings,
    wrong_input_in_one_line,
)

_FOUND: tuple[Literal["auto", "refine"], ...] = ("auto", "refine")
_FILE_SUFFIXES = frozenset({".h5", ".hdf5", ".hdf", ".nxs"})


def reconstruct(
    context: typer.Context,
    source_of_projections: Annotated[
        str,
        typer.Argument(
            metavar="IN.h5|SERIES",
            help="A file with /projections/ELEMENT (angle, y, x), NaN where not measured, and /angles_deg, or NXtomo: "
            "reconstructed here. Anything else is the key or uid of a series in /processed: the service does it.",
        ),
    ],
    algorithm: Annotated[
        str | None,
        typer.Option(help="fbp, ospml_hybrid ...; a wrong name lists them. Default: ospml_hybrid."),
    ] = None,
    iterations: Annotated[int | None, typer.Option(help="Passes over all angles.")] = None,
    subsets: Annotated[
        int | None, typer.Option(help="Into which the angles are divided. Default: 10 angles each.")
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            help="Of the angles in subsets: interleaved, every n-th one (default); sequential, runs as they stand in "
            "the file, as TomoPy does by default."
        ),
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Strength of the penalty, as TomoPy's reg_par[0]. Default: from the data.")
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="Differences beyond it are edges, as TomoPy's reg_par[1]. Default: from the data."),
    ] = None,
    tolerance: Annotated[float | None, typer.Option(help="Stop when an iteration changes less than this.")] = None,
    window: Annotated[str | None, typer.Option(help="Of fbp: ramp, shepp-logan, cosine or hann.")] = None,
    cutoff: Annotated[float | None, typer.Option(help="Of fbp: a fraction of the Nyquist frequency.")] = None,
    engine: Annotated[str, typer.Option(help="auto, numba, torch, torch-cuda, triton or tomopy.")] = "auto",
    center: Annotated[
        str,
        typer.Option(
            "--center",
            "--centre",
            help="The rotation axis: pixels from the left EDGE; auto; or refine (which auto is for files).",
        ),
    ] = "auto",
    element: Annotated[list[str] | None, typer.Option(help="Repeat for several; default: all.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="OUT.h5", help="File: gets /volume/ELEMENT (z, y, x).")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="File: also a picture, slices and maximum projection.")] = None,
    pixel_nm: Annotated[
        float | None, typer.Option(help="File: size of a pixel, where the file lacks the attribute pixel_nm.")
    ] = None,
    align: Annotated[bool, typer.Option("--align", help="Shift single projections into place first.")] = False,
    align_on: Annotated[
        str | None, typer.Option(help="With --align: the element that tells the shifts; default: the sum of all.")
    ] = None,
    half: Annotated[
        Literal["even", "odd"] | None, typer.Option(help="File: every other angle only, for `subprobe resolution`.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="File: replace files that exist.")] = False,
    force: Annotated[bool, typer.Option("--force", help="File: go on though memory may not suffice.")] = False,
    folder: FolderOption = None,
    source: Annotated[str | None, typer.Option(help="Series: enhanced (default) or fitted maps.")] = None,
    reproject_to: Annotated[
        int | None, typer.Option(help="Series: enhance re-projections at so many angles instead of the maps.")
    ] = None,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Series: also with angles missing.")
    ] = False,
) -> None:
    """Reconstruct volumes: from a file, here and now; or from a series in Tiled, by the reconstruction service."""
    settings = {"n_iterations": iterations, "n_subsets": subsets, "order": order, "beta": beta, "delta": delta}
    settings |= {"tolerance": tolerance, "window": window, "cutoff": cutoff, "engine": _unless_auto(engine)}
    asked = _Asked(algorithm, _given(settings), _centre(center), tuple(element or ()), align, align_on)
    of_files = {"--out": out, "--png": png, "--pixel-nm": pixel_nm, "--half": half}
    of_files |= {"--overwrite": overwrite, "--force": force}
    of_series = {"--folder": folder, "--source": source, "--reproject-to": reproject_to}
    of_series |= {"--allow-incomplete": allow_incomplete}
    path = Path(source_of_projections)
    if path.suffix.lower() in _FILE_SUFFIXES or path.is_file():
        _refuse(of_series, f"{path} is a file")
        _reconstruct_file(path, asked, out, png, pixel_nm, half, overwrite, force)
    else:
        _refuse(of_files, f"{source_of_projections} is taken for a series, as there is no such file")
        request = {"series": source_of_projections, "source": source, "allow_incomplete": allow_incomplete}
        _ask_service(context, folder, request | _of_service(asked, reproject_to))


def resolution(
    one: Annotated[
        Path, typer.Argument(metavar="A.h5", help="One half: images (y, x) or volumes (z, y, x).", exists=True)
    ],
    other: Annotated[
        Path | None, typer.Argument(metavar="[B.h5]", help="The other half, the same datasets.", exists=True)
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="T.h5", help="Compare A with the truth, at a correlation of 1/2.", exists=True),
    ] = None,
    element: Annotated[list[str] | None, typer.Option(help="Repeat for several; default: all of /volume.")] = None,
    path: Annotated[str | None, typer.Option(help="A dataset by its path instead, e.g. /volume/Zn.")] = None,
    slice_y: Annotated[
        int | None, typer.Option("--slice", help="Only this slice (z, x) across the rotation axis, in 2D.")
    ] = None,
    mask: Annotated[
        Literal["soft", "none"], typer.Option(help="soft: cylinder (3D) or box (2D) with soft edges.")
    ] = "soft",
    pixel_nm: Annotated[float | None, typer.Option(help="Where the files have no attribute of it.")] = None,
    png: Annotated[Path | None, typer.Option(help="Also the curves as a picture.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON on the standard output.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a picture that exists.")] = False,
) -> None:
    """How fine two independent halves agree: Fourier ring or shell correlation, by half a bit, one bit and 1/7.

    Only halves that share nothing but the specimen tell a resolution: split the angles before anything else
    (subprobe reconstruct IN.h5 --half even, and --half odd).
    """
    from services.offline.resolving import Request, compare_files

    configure_logging("WARNING")
    with wrong_input_in_one_line():
        wanted = Request(
            one, other, truth, path, tuple(element or ()), slice_y, mask, pixel_nm, png, as_json, overwrite
        )
        compare_files(wanted, console, error_console)


@dataclass(frozen=True)
class _Asked:
    """What files and series are asked for alike."""

    algorithm: str | None
    parameters: Mapping[str, Any]
    centre: Literal["auto", "refine"] | float
    elements: tuple[str, ...]
    align: bool
    align_on: str | None

    @property
    def is_aligned(self) -> bool:
        """``--align-on`` alone says so too."""
        return self.align or self.align_on is not None


def _reconstruct_file(
    path: Path,
    asked: _Asked,
    out: Path | None,
    png: Path | None,
    pixel_nm: float | None,
    half: Literal["even", "odd"] | None,
    overwrite: bool,
    force: bool,
) -> None:
    """Here and now; the axis is always refined where it is not given."""
    if out is None:
        raise typer.BadParameter("reconstructing a file needs --out OUT.h5 for the volumes")
    from services.offline.reconstructing import Request, reconstruct_file

    configure_logging("WARNING")
    with wrong_input_in_one_line(), ended_by_signals(130):
        wanted = Request(
            projections=path,
            out=out,
            algorithm=asked.algorithm or "ospml_hybrid",
            parameters=asked.parameters,
            centre="auto" if isinstance(asked.centre, str) else asked.centre,
            elements=asked.elements,
            pixel_nm=pixel_nm,
            aligned=asked.is_aligned,
            align_on=asked.align_on,
            half=half,
            png=png,
            overwrite=overwrite,
            even_if_too_large=force,
        )
        reconstruct_file(wanted, console, error_console)


def _of_service(asked: _Asked, reproject_to: int | None) -> dict[str, Any]:
    """As `services.reconstruction.schemas` names it; what is not said is left to the service."""
    said = {
        "elements": list(asked.elements) or None,
        "algorithm": asked.algorithm,
        "parameters": asked.parameters or None,
        "align": "jitter" if asked.is_aligned else None,
        "align_on": asked.align_on,
        "angles": {"reproject_to": reproject_to} if reproject_to is not None else None,
    }
    return {"centre": asked.centre, **_given(said)}


def _ask_service(context: typer.Context, folder: Path | None, request: Mapping[str, Any]) -> None:
    """Follow the job to its end."""
    from services.stack.jobs import follow_job, submit_job

    settings = stack_settings(context, folder)
    job = follow_job(settings, submit_job(settings, _given(request))["id"], console)
    if job["state"] != "succeeded":
        raise typer.BadParameter(f"job {job['id']} {job['state']}: {job.get('error') or job.get('message')}")
    console.print(f"volume at [bold]{job['result']['path']}[/] in Tiled")


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _unless_auto(engine: str) -> str | None:
    """Every algorithm can do auto, also those that take no engine."""
    return None if engine == "auto" else engine


def _refuse(options: dict[str, Any], reason: str) -> None:
    """Options that say nothing to what was asked for."""
    if given := [option for option, value in options.items() if value not in (None, False)]:
        raise typer.BadParameter(f"{reason}: leave out {', '.join(given)}")


def _centre(text: str) -> Literal["auto", "refine"] | float:
    for word in _FOUND:
        if text == word:
            return word
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"--center is {text!r}: pass auto, refine or a number of pixels") from error
