"""The figures of structured illumination (NxSCI) on simulated specimens, one command each.

python tests/benchmarks/singlepixel.py default --out singlepixel-out
"""

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))


class Experiment(StrEnum):
    """What can be run; also the name of the table."""

    DEFAULT = "default"
    SAMPLING = "sampling"
    NOISE = "noise"
    INVERTIBILITY = "invertibility"
    GRIT = "grit"
    POINT = "point"
    DECOY = "decoy"
    INTERVALS = "intervals"
    PHASES = "phases"
    SIZE = "size"
    PICTURE = "picture"


def main(
    experiments: Annotated[
        list[Experiment],
        typer.Argument(
            help="default: 5 % sampling, every method, three specimens. sampling: 5 to 100 %. noise: resolution by FRC "
            "against counts. invertibility: of pattern sets. grit: feature size of patterns. point: a point scan at "
            "equal flux and at equal dose. decoy: absorbers that hold no element. intervals: coverage. phases: "
            "fractions. size: 128 x 128, 1000 patterns: time and memory. picture: a photograph instead of particles."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the tables and figures (JSON).")] = Path("singlepixel-out"),
    threads: Annotated[int, typer.Option(min=1, help="Cores to use.")] = 1,
) -> None:
    """Reconstruct what is known, and say how near it came.

    Specimens 61 to 63 were used for nothing else. Their TXM has weights 5 % off those of the simulator's tables, each
    particle's composition is 2 % off its phase. Seeds are fixed; the same command gives the same figures.

    Example: python tests/benchmarks/singlepixel.py default decoy
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    import torch  # not before the threads are set

    torch.set_num_threads(threads)
    from singlepixel_experiments import EXPERIMENTS

    out.mkdir(parents=True, exist_ok=True)
    for experiment in experiments:
        table = EXPERIMENTS[experiment.value]()
        text = "\n".join([f"### {experiment.value}", "", *table.lines(), ""])
        typer.echo(text)
        (out / f"{experiment.value}.md").write_text(text, encoding="utf-8")
        (out / f"{experiment.value}.json").write_text(json.dumps(table.rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
