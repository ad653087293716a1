"""The processes that torchrun started, joined by torch's own process group."""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import torch
from torch import distributed

from models.superres.training.team import ALONE, Team
from services.errors import SubprobeError


class RanksError(SubprobeError):
    """The processes cannot train together."""


@dataclass
class Ranks:
    """This process among those of one training.

    Attributes:
        team: its rank and their number.
        device: of this process.
        told_to_stop: SIGINT or SIGTERM came; only with several processes, alone it is a KeyboardInterrupt.
    """

    team: Team
    device: str
    told_to_stop: bool = field(default=False)

    def all_stop(self, wanted: bool) -> bool:
        """Whether any process wants to stop; all must ask at the same step, none may leave alone."""
        wanted = wanted or self.told_to_stop
        if self.team.size == 1:
            return wanted
        votes = torch.tensor(float(wanted), device=self.device)
        distributed.all_reduce(votes, distributed.ReduceOp.MAX)
        return bool(votes.item())


@contextmanager
def joined_ranks(device: str) -> Iterator[Ranks]:
    """This process and those that torchrun started with it: nccl on GPUs, each process with its own, gloo on CPUs.

    Raises:
        RanksError: there are several processes and one GPU is named for them all, or there are too few GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks(ALONE, device)
        return
    ranks = Ranks(Team(int(os.environ["RANK"]), size), _own(device))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        with _noting_signals(ranks):
            yield ranks
        distributed.barrier()  # nobody takes connections down while another still talks
    finally:
        # What still holds the group, in cycles, would keep its threads alive into the end of the interpreter, which
        # kills a thread that then asks for Python: "terminate called without an active exception".
        gc.collect()
        distributed.destroy_process_group()


def _own(device: str) -> str:
    if device == "cpu":
        return device
    if device != "cuda":
        raise RanksError(f"--device is {device} for several processes: pass cuda, and each takes a GPU of its own")
    index = int(os.environ["LOCAL_RANK"])
    if index >= torch.cuda.device_count():
        raise RanksError(f"there are {torch.cuda.device_count()} GPUs: pass that as --nproc-per-node to torchrun")
    torch.cuda.set_device(index)
    return f"cuda:{index}"


@contextmanager
def _noting_signals(ranks: Ranks) -> Iterator[None]:
    """A process that left in the middle of a step would leave the others waiting: the step is finished first."""

    def note(_signum: int, _frame: FrameType | None) -> None:
        ranks.told_to_stop = True

    before = {signum: signal.signal(signum, note) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
