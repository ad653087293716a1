"""The `subprobe` command."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from services.errors import SubprobeError
from services.identity.commands import keys_app
from services.logs import configure_logging
from services.nexus.commands import export
from services.offline.commands import reconstruct, resolution
from services.offline.recover_command import recover_probe
from services.offline.singlepixel_command import singlepixel
from services.retention.commands import prune
from services.terminal import (
    Context,
    FolderOption,
    console,
    ended_by_signals,
    error_console,
    print_error,
    stack_settings,
    wrong_input_in_one_line,
)
from services.training.commands import finetune, train

# Rooms are imported inside the commands: bluesky, tiled and torch take seconds, and `--help` must not.
app = typer.Typer(
    name="subprobe",
    help="Fine x-ray fluorescence tomograms from coarse fly-scans of a nanoprobe, live, with honest uncertainty.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
probe_app = typer.Typer(
    help="Probes in the catalogue: the worker enhances with the newest that fits.", no_args_is_help=True
)
app.add_typer(probe_app, name="probe")
app.add_typer(keys_app, name="keys")

ProbePixelOption = Annotated[
    float | None, typer.Option(help="Of the probe's file, where that does not say it, or says it wrongly.")
]
ProbeMovedOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="Way of the stage along x that is in the probe already: of one found from a fly-scan without a model of "
        "the motion, the way in one exposure. `recover-probe` leaves none in.",
    ),
]


@app.callback()
def common_options(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="YAML settings file.")] = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Settings come from the command line, then SUBPROBE_* variables, then the YAML file, then defaults."""
    context.obj = Context(config, log_level)


@app.command()
def up(
    context: typer.Context,
    folder: FolderOption = None,
    tiled_port: Annotated[int, typer.Option(help="Port of the Tiled server.")] = 8000,
    port: Annotated[int, typer.Option(help="Port of the reconstruction service.")] = 8001,
) -> None:
    """Start Tiled, the worker and the reconstruction service on this machine; Ctrl-C stops them."""
    from services.stack.embedded import EmbeddedStack

    overrides = {
        "folder": folder,
        "tiled": {"uri": f"http://127.0.0.1:{tiled_port}"},
        "reconstruction": {"port": port},
    }
    configure_logging(context.obj.log_level)
    with ended_by_signals(0), EmbeddedStack(context.obj.settings(overrides)) as stack:
        console.print(f"\n[bold green]subprobe is up[/], its data in {stack.folder.root}")
        console.print(f"  Tiled web client        {stack.browse_url}", soft_wrap=True)
        console.print(f"  Reconstruction service  {stack.service_uri}/#key={stack.api_key}", soft_wrap=True)
        console.print(f"  REST documentation      {stack.service_uri}/docs")
        console.print(f"  In another terminal     subprobe shell --folder {stack.folder.root}", soft_wrap=True)
        console.print("Ctrl-C stops everything.\n")
        stack.watch()


@app.command()
def down(context: typer.Context, folder: FolderOption = None) -> None:
    """End the stack of a folder from another terminal, or what a killed one left behind."""
    from services.stack.embedded import end_stack
    from services.stack.folder import StackFolder

    root = context.obj.settings({"folder": folder}).folder.resolve()
    ended = end_stack(StackFolder(root))
    names = ", ".join(f"{name} (pid {pid})" for name, pid in ended.items())
    console.print(f"ended {names}" if ended else f"nothing runs in {root}")


@app.command()
def status(context: typer.Context, folder: FolderOption = None) -> None:
    """What runs, what waits, and what went wrong last. Exit code 1 when something is down."""
    from services.stack.status import print_status

    configure_logging("WARNING")
    healthy = print_status(stack_settings(context, folder), console)
    raise typer.Exit(0 if healthy else 1)


@app.command()
def retry(
    context: typer.Context,
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Their uids, or the first letters of each.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every run that is parked.")] = False,
    folder: FolderOption = None,
) -> None:
    """Have runs tried again that workers parked: `status` lists them with the reason, mend that first."""
    from services.catalog.client import connect
    from services.catalog.parking import retry_runs

    if bool(runs) == everything:
        raise typer.BadParameter("name the runs that `subprobe status` lists as parked, or pass --all")
    settings = stack_settings(context, folder)
    with connect(str(settings.tiled.uri), settings.tiled.key) as catalog:
        retried = retry_runs(catalog, None if everything else runs)
    for uid in retried:
        console.print(f"run {uid} is tried again")
    if not retried:
        console.print("no run is parked")


@app.command()
def worker(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Option(help="In status and logs, and of its own among the workers that run.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Of the enhancer: cpu, cuda, cuda:1; a worker for each GPU.")
    ] = None,
) -> None:
    """Run an inference worker: each finished projection is fitted, enhanced and written back, for ever."""
    from services.inference.worker import main as run_worker

    settings = context.obj.settings({"worker": {"name": name, "device": device}})
    configure_logging(context.obj.log_level, log_format=settings.log.format, process=settings.worker.name)
    run_worker(settings)


@app.command()
def serve(context: typer.Context) -> None:
    """Run the reconstruction service."""
    from services.reconstruction.app import main as run_service

    settings = context.obj.settings()
    configure_logging(context.obj.log_level, log_format=settings.log.format, process="reconstruction")
    run_service(settings)


@app.command()
def shell(context: typer.Context, folder: FolderOption = None) -> None:
    """IPython with RE, the simulated beamline, the plans and the catalogue."""
    from services.beamline.shell import open_shell

    configure_logging("WARNING")
    open_shell(stack_settings(context, folder))


@app.command()
def demo(
    context: typer.Context,
    folder: Annotated[Path, typer.Option("--folder", "-f", help="Emptied first if a demo made it.")] = Path(
        "demo-data"
    ),
    angles: Annotated[int, typer.Option(min=8, max=360, help="Projections over 180 degrees.")] = 30,
    keep: Annotated[bool, typer.Option(help="Keep everything running at the end, until Ctrl-C.")] = False,
    with_ptychography: Annotated[
        bool, typer.Option("--with-ptychography", help="Tell nobody the probe: a ptychography scan makes it known.")
    ] = False,
) -> None:
    """The whole chain in a few minutes: scan, live enhancement, tomogram, and how far to trust it."""
    from services.stack.demo import run_demo

    with ended_by_signals(130):
        run_demo(context.obj.settings({"folder": folder}), angles, keep, console, with_ptychography)


app.command()(recover_probe)
app.command()(singlepixel)
app.command()(reconstruct)
app.command()(resolution)
app.command()(export)
app.command()(prune)
app.command()(train)
app.command()(finetune)


@app.command()
def evaluate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for table, figures and pictures.")] = Path(
        "evaluation"
    ),
    model: Annotated[
        list[str] | None, typer.Option(help="Name or weights file; repeat; the last is compared with the others.")
    ] = None,
    probe: Annotated[list[str] | None, typer.Option(help="A, B or C; repeat. Default: all.")] = None,
    counts: Annotated[list[float] | None, typer.Option(help="Of the brightest point; repeat; 'inf': no noise.")] = None,
    maps: Annotated[list[str] | None, typer.Option(help="Kind of maps; repeat. Default: all.")] = None,
    natural: Annotated[Path | None, typer.Option(help="Folder of photographs, as a further kind 'natural'.")] = None,
    n_maps: Annotated[int, typer.Option(min=1, help="Of each kind.")] = 6,
    grains: Annotated[int, typer.Option(min=0, help="Planted into each map: would the measurement deny them?")] = 10,
    device: Annotated[str, typer.Option(help="cpu, cuda ...")] = "cpu",
) -> None:
    """Compare enhancers with the truth on probes and maps that no training has seen."""
    from models.superres.evaluation.held_out import IMAGE_CLASSES
    from services.evaluation.run import Request, run_evaluation

    configure_logging("WARNING")
    kinds = maps or [*IMAGE_CLASSES, *(["natural"] if natural else [])]
    levels = counts or [30.0, 300.0, 3000.0, float("inf")]
    run_evaluation(
        Request(
            out,
            model or ["bicubic", "lmmse", "unrolled"],
            probe or ["A", "B", "C"],
            levels,
            kinds,
            n_maps,
            natural,
            device,
            grains,
        ),
        console,
    )


@app.command()
def enhance(
    maps: Annotated[
        Path,
        typer.Argument(
            metavar="IN.h5",
            help="Counts (y, x) at /maps/ELEMENT, x the fast axis, NaN where not measured; perhaps their variance at "
            "/variance/ELEMENT (default: Poisson) and /mask (y, x), non-zero where measured.",
            exists=True,
            dir_okay=False,
        ),
    ],
    probe: Annotated[
        Path,
        typer.Option(
            metavar="PROBE.h5",
            help="/amplitude with /phase (radians), or /intensity, each (y, x) or (mode, y, x), with the attribute "
            "pixel_nm; a .npz of subprobe; or what ptychodus, pty-chi, tike, PtyPy, cdtools or PyNX wrote, or CXI.",
            exists=True,
            dir_okay=False,
        ),
    ],
    step_nm: Annotated[float, typer.Option(help="Between two points of the scan.")],
    pixel_nm: Annotated[float, typer.Option(help="Of the fine maps; a whole number of them makes a step.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="OUT.h5", help="Gets /enhanced, /sigma and /consistency, each with all elements."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="unrolled (network that knows the probe), lmmse (linear estimate), bicubic (to compare with), a "
            ".safetensors file ...; a wrong name lists them all."
        ),
    ] = "unrolled",
    device: Annotated[str, typer.Option(help="Of a network: cpu, cuda, cuda:1 ...")] = "cpu",
    scan: Annotated[
        Literal["fly", "step"], typer.Option(help="Did the stage move along x while a point was counted?")
    ] = "fly",
    png: Annotated[Path | None, typer.Option(help="Also a picture: measured, enhanced and sigma.")] = None,
    probe_pixel_nm: ProbePixelOption = None,
    probe_moved_nm: ProbeMovedOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Enhance the maps of one file: no beamline, no catalogue, nothing else needs to run."""
    from services.offline.enhancing import Request, enhance_file

    configure_logging("WARNING")
    request = Request(
        maps, probe, out, step_nm, pixel_nm, model, device, scan, png, overwrite, probe_pixel_nm, probe_moved_nm
    )
    with wrong_input_in_one_line():
        enhance_file(request, console, error_console)


@probe_app.command("import")
def probe_import(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="Any that `enhance --probe` takes: .npz, HDF5 or CXI.", exists=True, dir_okay=False),
    ],
    key: Annotated[str | None, typer.Option(help="Name in /probes; default: the file's name.")] = None,
    probe_pixel_nm: ProbePixelOption = None,
    probe_moved_nm: ProbeMovedOption = None,
    probe_energy_kev: Annotated[float | None, typer.Option(help="Of the photons; default: what the file says.")] = None,
    folder: FolderOption = None,
) -> None:
    """Put a probe into the catalogue."""
    from services.catalog.client import connect
    from services.catalog.probes import import_probe
    from services.offline.hdf5 import sha256_of
    from services.offline.probe_files import read_probe

    probe = read_probe(file, probe_pixel_nm, probe_energy_kev, needs_energy=True, moved_nm=probe_moved_nm)
    settings = stack_settings(context, folder)
    name = key or file.stem
    lineage = {"file": file.name, "sha256": sha256_of(file)}
    import_probe(connect(str(settings.tiled.uri), settings.tiled.key), probe, name, lineage)
    height_nm, width_nm = probe.fwhm_nm()
    console.print(f"probe [bold]{name}[/]: {height_nm:.1f} x {width_nm:.1f} nm FWHM at {probe.energy_kev:g} keV")


def main() -> None:
    """Run the command; errors of the user's making end in one line, never in a traceback."""
    try:
        app()
    except ValidationError as error:
        for problem in error.errors():
            place = ".".join(str(part) for part in problem["loc"])
            error_console.print(f"[red]setting {place}:[/] {problem['msg']}", highlight=False)
        sys.exit(2)
    except (SubprobeError, ValueError, FileNotFoundError) as error:
        print_error(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
