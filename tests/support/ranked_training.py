"""One of two processes of tests/services/training/test_ranks.py: train together, write down how it ended."""

import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from models.superres.evaluation import calibration
from models.superres.pairs.probes import PAPERS_OPTICS
from models.superres.pairs.simulate import Conditions
from models.superres.training.checkpoint import weights_digest
from models.superres.training.presets import PRESETS, Preset
from services.training.run import Schedule, run_training

RANKED = Preset(
    network="unrolled",
    config={"n_stages": 1, "n_blocks": 1, "channels": 8},
    conditions=Conditions(scales=((4, 1.0),), coarse_px=10, fixed_optics=PAPERS_OPTICS),
    n_images=1,
    n_steps=3,
    batch=2,
    warm_up=0,
)
"""Of one scale, so that the pairs of both processes fit into one batch."""


def train_and_tell(folder: Path) -> None:
    """Train as the process that the environment names, and leave the digest of its weights in ``rank-N.txt``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "ranked", RANKED)
        patch.setattr(calibration, "LEVELS", (100.0,))
        training = run_training(Schedule("ranked", folder), Console(quiet=True))
    (folder / f"rank-{os.environ['RANK']}.txt").write_text(weights_digest(training.network))


if __name__ == "__main__":
    train_and_tell(Path(sys.argv[1]))
