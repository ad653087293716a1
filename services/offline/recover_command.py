"""The command `recover-probe`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.logs import configure_logging
from services.terminal import console, ended_by_signals, error_console, wrong_input_in_one_line


def recover_probe(
    frames: Annotated[
        Path,
        typer.Argument(
            metavar="IN.(h5|cxi)",
            help="/frames (point, n, n) counts and /positions_px, _nm, _um or _m (point, 2), y and x; attributes "
            "energy_kev and pixel_nm of the object (or distance_m and detector_pixel_um); perhaps /mask, non-zero "
            "where the detector counts, and /background. Or CXI, ptychodus' dp with positions, HXN's diffamp.",
            exists=True,
            dir_okay=False,
        ),
    ],
    fly_px: Annotated[
        float, typer.Option(min=0, help="Way of the stage during an exposure, in the object's pixels; 0: step scan.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="PROBE.h5", help="Gets the probe as `enhance --probe` takes it."),
    ],
    fly_axis: Annotated[Literal["x", "y"], typer.Option(help="Along which the stage flew.")] = "x",
    engine: Annotated[
        str,
        typer.Option(
            help="constrained: one still probe, known motion, source or modes where frames ask for them. "
            "cdtools: the last fit by cdtools-py, to compare."
        ),
    ] = "constrained",
    png: Annotated[Path | None, typer.Option(help="Also a picture: probe, kernel, object, figures.")] = None,
    pixel_nm: Annotated[
        float | None, typer.Option(min=0, help="Of the object, where the file does not say it, or says it wrongly.")
    ] = None,
    energy_kev: Annotated[float | None, typer.Option(min=0, help="Of the photons, likewise.")] = None,
    defocus: Annotated[
        list[float] | None,
        typer.Option(help="Phase in rad at the aperture's edge to start from; repeat. Default: several, both ways."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="coherent, source, modes; repeat. Held-out frames choose among them. Default: all."),
    ] = None,
    refine_positions: Annotated[
        bool, typer.Option("--refine-positions", help="Let positions move; where the encoders are not to be trusted.")
    ] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the frames in each full fit.")] = 20,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Of which frames are held out, and of their order.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Find the probe in the diffraction frames of one file: no beamline, no catalogue, nothing else needs to run.

    The picture of a beam out of focus at 10 nm pixels that moved 40 nm while the camera counted:

    subprobe recover-probe scan.h5 --fly-px 4 --out probe.h5 --png probe.png

    Scan a strong, sharp object (a Siemens star), lines that overlap well; from a weak one no probe can be told, and
    that is said.
    """
    from models.ptychography.recover import RecoverySettings, models_named
    from services.offline.recovering import Request, recover_file

    configure_logging("WARNING")
    with wrong_input_in_one_line(), ended_by_signals(130):
        settings = RecoverySettings(
            defoci_rad=tuple(defocus or ()),
            models=models_named(model or ()),
            epochs=epochs,
            refine_positions=refine_positions,
            seed=seed,
            device=device,
        )
        request = Request(
            frames, fly_px, out, fly_axis, engine, png, pixel_nm or None, energy_kev or None, settings, overwrite
        )
        recover_file(request, console, error_console)
