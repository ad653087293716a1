"""The processes that train one network together, and what each of them draws."""

from dataclasses import dataclass

_BEYOND_SEEDS = 2**40


@dataclass(frozen=True)
class Team:
    """One process's place among those that train a network together, by default alone.

    Attributes:
        rank: of this process, from 0; 0 logs, validates and saves.
        size: number of processes; beyond one, torch.distributed's default process group joins them.
    """

    rank: int = 0
    size: int = 1

    def part_of(self, batch: int) -> int:
        """Pairs that each process draws.

        Raises:
            ValueError: the batch cannot be split evenly.
        """
        if batch % self.size:
            fitting = ", ".join(str(n) for n in range(1, batch + 1) if batch % n == 0)
            raise ValueError(f"a batch of {batch} pairs cannot be split among {self.size} processes: start {fitting}")
        return batch // self.size

    def seed(self, seed: int) -> int:
        """Of this process's pairs: rank 0 draws those of a process alone, others at multiples of 2**40 above."""
        return seed + self.rank * _BEYOND_SEEDS


ALONE = Team()
