"""The command `prune`."""

from contextlib import ExitStack
from typing import Annotated

import typer

from services.logs import configure_logging
from services.terminal import FolderOption, console, stack_settings


def prune(
    context: typer.Context,
    older_than_days: Annotated[
        float, typer.Option(min=0, help="Of volumes; the newest of a series stays however old it is.")
    ] = 90.0,
    series: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Instead: the enhanced maps of this series, by key or uid. Repeat."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, it is only told what would go.")] = False,
    folder: FolderOption = None,
) -> None:
    """Make room: remove old volumes, and what dead jobs left. All of it can be computed again; raw data never goes."""
    from services.catalog.client import connect
    from services.reconstruction.jobs import JobStore
    from services.retention.pruning import plan_enhanced, plan_old
    from services.retention.pruning import prune as remove
    from services.stack.folder import StackFolder
    from services.stack.job_table import NoJobTableError, job_table_uri

    configure_logging("WARNING")
    settings = stack_settings(context, folder)
    with ExitStack() as opened:
        catalog = opened.enter_context(connect(str(settings.tiled.uri), settings.tiled.key))
        store = None
        if series:
            removals = [removal for key in series for removal in plan_enhanced(catalog, key)]
        else:
            try:
                store = JobStore(job_table_uri(settings, StackFolder(settings.folder.resolve())))
                opened.callback(store.close)
            except NoJobTableError as error:
                console.print(f"[yellow]unfinished volumes stay:[/] {error}", soft_wrap=True)
            removals = plan_old(catalog, store, older_than_days)
        is_well = remove(catalog, store, removals, yes, console)
    raise typer.Exit(0 if is_well else 1)
