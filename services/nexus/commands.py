"""The command `export`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from services.logs import configure_logging
from services.terminal import FolderOption, console, ended_by_signals, stack_settings


def export(
    context: typer.Context,
    series: Annotated[str, typer.Argument(metavar="SERIES", help="Key or uid of the series in /processed.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.nxs", help="The NeXus file.")],
    volume: Annotated[
        str | None, typer.Option(metavar="JOB", help="A volume of the series, by its job, instead of the maps.")
    ] = None,
    source: Annotated[
        Literal["enhanced", "fitted"], typer.Option(help="Fine maps, or the coarse ones as measured.")
    ] = "enhanced",
    element: Annotated[list[str] | None, typer.Option(help="Repeat for several; default: all.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    folder: FolderOption = None,
) -> None:
    """Write a series (NXtomo) or a volume (NXdata) from Tiled into a NeXus file, one entry for each element."""
    from services.catalog.client import connect
    from services.catalog.products import find_series
    from services.nexus.export import export_series, export_volume, find_volume, plan_series
    from services.offline.bars import progress_bars
    from services.offline.map_files import appearing, check_writable

    configure_logging("WARNING")
    check_writable(out, overwrite)
    settings = stack_settings(context, folder)
    with (
        ended_by_signals(130),
        connect(str(settings.tiled.uri), settings.tiled.key) as catalog,
        progress_bars(console) as following,
        appearing(out) as partial,
    ):
        if volume is None:
            wanted = plan_series(find_series(catalog, series), source, element or ())
            export_series(catalog, wanted, partial, following(f"exporting {len(wanted.angles)} angles"))
        else:
            found = find_volume(catalog, series, volume)
            export_volume(catalog, found, partial, element or (), following(f"exporting volume {volume}"))
    console.print(f"wrote [bold]{escape(str(out))}[/]", highlight=False, soft_wrap=True)
