"""The command `singlepixel`."""

from pathlib import Path
from typing import Annotated

import typer

from services.logs import configure_logging
from services.terminal import console, ended_by_signals, error_console, wrong_input_in_one_line


def singlepixel(
    patterns: Annotated[
        Path,
        typer.Argument(
            metavar="IN.h5",
            help="/patterns (N, y, x) light on the specimen, /counts/ELEMENT (N) of one detector, perhaps "
            "/variances/ELEMENT (N) of them and /txm (y, x), minus the logarithm of the transmission. What is NaN was "
            "not measured.",
            exists=True,
            dir_okay=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT.h5", help="Gets /maps/ELEMENT and /sigma/ELEMENT.")],
    method: Annotated[
        str, typer.Option(help="auto, guided, tv, siren ...; a wrong name lists them. auto says what it took.")
    ] = "auto",
    phases: Annotated[
        list[str] | None,
        typer.Option(
            help="What the specimen is known to consist of; repeat. NMC:Mn=0.2,Co=0.1,Ni=0.7 in the unit of the maps, "
            "or, where these are areal densities, a formula: LiCoO2."
        ),
    ] = None,
    lam: Annotated[
        float | None, typer.Option(min=0, help="Weight of the prior. Default: by measurements that are held out.")
    ] = None,
    pixels: Annotated[
        tuple[int, int] | None,
        typer.Option(
            min=1, max=2048, metavar="Y X", help="Of the maps, over the same field; siren only. Default: the patterns'."
        ),
    ] = None,
    sigma: Annotated[
        bool, typer.Option("--sigma/--no-sigma", help="Also the uncertainty, which takes most of the time.")
    ] = True,
    png: Annotated[Path | None, typer.Option(help="Also a picture: maps, sigma, TXM image.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, help="Of what is held out, and of resampling.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Make element maps of structured illumination from one file: no beamline, no catalogue, nothing else needs to run.

    subprobe singlepixel scan.h5 --method auto --out maps.h5 --png maps.png
    """
    from services.offline.singlepixel import Request, map_file

    configure_logging("WARNING")
    with wrong_input_in_one_line(), ended_by_signals(130):
        request = Request(patterns, out, method, tuple(phases or ()), lam, pixels, seed, sigma, png, device, overwrite)
        map_file(request, console, error_console)
