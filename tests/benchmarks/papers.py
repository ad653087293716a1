"""The experiments of the papers on simulated specimens, one command each.

python tests/benchmarks/papers.py zheng --out papers-out
"""

import importlib
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Experiment(StrEnum):
    """What can be run."""

    ZHENG = "zheng"
    WU = "wu"
    COARSE = "coarse"
    ABLATION = "ablation"


class Size(StrEnum):
    """How much of the papers' size."""

    TINY = "tiny"
    SMALL = "small"
    PAPER = "paper"


def main(
    experiment: Annotated[
        Experiment,
        typer.Argument(
            help="zheng: a cathode enhanced fourfold in every projection, with more directions by reprojection, and "
            "from half of the projections. wu: an NMC particle under a zone plate and under Laue lenses, step and fly. "
            "coarse: 120 nm steps in 1/16 of the time against 30 nm steps. ablation: either branch of the dual-branch "
            "network alone, and both."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the table, the figures (JSON), the pictures.")] = Path(
        "papers-out"
    ),
    size: Annotated[
        Size, typer.Option(help="small: what the README reports; paper: the papers' sizes, hours; tiny: a check.")
    ] = Size.SMALL,
    threads: Annotated[int, typer.Option(min=1, help="Cores to use.")] = 1,
) -> None:
    """Run one experiment of the papers on specimens whose truth is known.

    Everything is simulated here: specimen, scan, counts and, for zheng, the diffraction that the probe is recovered
    from. Seeds are fixed and printed; the same command gives the same figures.

    Example: python tests/benchmarks/papers.py coarse --out papers-out
    """
    for name in _THREADS:
        os.environ[name] = str(threads)
    torch = importlib.import_module("torch")  # not before the threads are set
    torch.set_num_threads(threads)
    chosen = importlib.import_module(f"paper_experiments.{experiment}")
    chosen.run(str(size), out).write(out)


if __name__ == "__main__":
    typer.run(main)
