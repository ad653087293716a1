"""Two processes train as one with the whole batch would."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import ranked_training
import torch
from ranked_training import RANKED
from safetensors.torch import load_file

from models.superres.networks.measured import Measured
from models.superres.pairs.simulate import Pairs
from models.superres.training.loop import own_source, start, train
from models.superres.training.team import Team
from services.training.ranks import RanksError, joined_ranks


@dataclass(frozen=True)
class OfBoth:
    """The pairs that two processes draw, in one batch."""

    description: str = "of both"

    def draw(self, batch: int, seed: int, step: int, device: str = "cpu") -> Pairs:
        source = own_source(RANKED)
        first, second = (source.draw(batch // 2, Team(rank, 2).seed(seed), step, device) for rank in range(2))
        planes = (
            torch.cat([getattr(pairs.measured, name) for pairs in (first, second)])
            for name in ("readings", "variance", "mask", "kernel")
        )
        return Pairs(Measured(*planes, first.measured.scale), torch.cat([first.fine, second.fine]))


def _as_torchrun_says(rank: int) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = {"WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in said.items()}


def test_two_processes_train_as_one_with_the_pairs_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is one of the two: importing torch is most of what the test costs."""
    environment = _as_torchrun_says(rank=0)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    other = environment | {"RANK": "1", "LOCAL_RANK": "1"}
    command = [sys.executable, ranked_training.__file__, str(tmp_path)]
    with subprocess.Popen(command, env=os.environ | other) as process:
        ranked_training.train_and_tell(tmp_path)
        assert process.wait(timeout=60) == 0
    assert (tmp_path / "rank-0.txt").read_text() == (tmp_path / "rank-1.txt").read_text()
    assert (tmp_path / "log.csv").read_text().count("\n") == 2
    alone = start(RANKED, source=OfBoth())
    assert len(list(train(alone))) == RANKED.n_steps
    together = load_file(tmp_path / "training.safetensors")
    for name, value in alone.network.state_dict().items():
        torch.testing.assert_close(together[f"network.{name}"], value, atol=2e-6, rtol=1e-4)


def test_several_processes_take_a_gpu_each_and_not_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    with pytest.raises(RanksError, match="pass cuda, and each takes a GPU of its own"), joined_ranks("cuda:1"):
        pass
