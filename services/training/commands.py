"""The commands `train` and `finetune`."""

from pathlib import Path
from typing import Annotated

import typer

from services.logs import configure_logging
from services.terminal import FolderOption, console, stack_settings


def train(
    preset: Annotated[str, typer.Argument(help="Recipe, for example 'unrolled': see models/superres/training.")],
    folder: Annotated[Path | None, typer.Option("--folder", "-f", help="Default: training/PRESET.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of the whole training; default: the preset's.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop and save after so long.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    log_every: Annotated[int, typer.Option(min=1, help="Steps between two validations.")] = 250,
    natural: Annotated[
        Path | None, typer.Option(help="Folder of photographs (.jpg, .png, also in folders below) to cut patches from.")
    ] = None,
    natural_share: Annotated[float, typer.Option(min=0, max=1, help="Of the simulated patches.")] = 0.4,
    recorded: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.h5",
            help="Recorded pairs: /pairs/NAME/{coarse,variance,mask,fine,kernel}, attribute scale: see "
            "models/superres/training/README.md.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    recorded_share: Annotated[
        float, typer.Option(min=0, max=1, help="Of the steps; simulated pairs in the others, against forgetting.")
    ] = 0.5,
    start_from: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Shipped weights, or others, to start from: fine-tuning.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=0, help="At its height. Default: the preset's; a tenth with --start-from.")
    ] = None,
    bfloat16: Annotated[
        bool | None,
        typer.Option("--bfloat16/--float32", help="Convolutions on a CPU; default: by the preset."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**30 - 1, help="Of weights and pairs.")] = None,
) -> None:
    """Train a super-resolution network; the same command goes on where it was stopped, bit for bit on the CPU.

    Four GPUs: torchrun --standalone --nproc-per-node 4 -m services.cli train unrolled --device cuda

    The preset's batch is split among them.
    """
    from services.training.run import Schedule, run_training
    from services.training.sources import Sources

    configure_logging("WARNING")
    sources = Sources(natural, natural_share, recorded, recorded_share)
    place = folder or Path("training") / preset
    schedule = Schedule(
        preset, place, steps, minutes, device, log_every, sources, start_from, learning_rate, bfloat16, seed
    )
    run_training(schedule, console)


def finetune(
    context: typer.Context,
    series: Annotated[
        str, typer.Option(help="Key or uid of a processed series that was scanned with fine_step_nm, as status lists.")
    ],
    folder: FolderOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for pairs, checkpoint and weights; default: finetuning/SERIES."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the pairs of the series; default: 8, or as many as 240 steps make."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop training, then judge, after so long.")] = None,
    element: Annotated[list[str] | None, typer.Option(help="To learn from; repeat. Default: all.")] = None,
    start_from: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Shipped weights, or others, to start from.")
    ] = "unrolled",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...")] = "cpu",
    seed: Annotated[int | None, typer.Option(min=0, max=2**30 - 1, help="Of the pairs.")] = None,
) -> None:
    """Fit the network to a specimen of which some angles were scanned finely too.

    Needed: a series of coarse_flyscan_tomo(..., fine_step_nm=...) at 3 angles or
    more, processed by the worker; fine steps of a half, a third or a quarter.

    Each fine map is laid on its coarse one. The network's map is read as the fine
    scan would read it, with the same probe, and compared with what that measured:
    the fine map is blurred and noisy too, and is never taken for the truth.

    Every fifth view is kept apart. The table at the end tells how well these are
    explained before and after (chi^2, about 1 for the truth), and what was forgotten
    of other specimens. The learning rate is a tenth of the preset's; half of the
    steps are on procedural maps.

    New weights with a card are written beside the old, which stay; the end says how
    to choose them. Ctrl-C keeps everything, and the same command goes on.
    """
    from services.catalog.client import connect
    from services.training.finetuning import Request, run_fine_tuning

    configure_logging("WARNING")
    settings = stack_settings(context, folder)
    request = Request(series, out, epochs, minutes, tuple(element or ()), start_from, device, seed)
    with connect(str(settings.tiled.uri), settings.tiled.key) as catalog:
        run_fine_tuning(request, catalog, console)
