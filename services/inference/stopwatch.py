"""How long each step of a projection takes."""

import time
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds by step of one projection."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.perf_counter)

    def lap(self, step: str) -> None:
        """A step ends, the next begins."""
        now = time.perf_counter()
        self.seconds[step] = round(now - self._since, 4)
        self._since = now

    def resume(self) -> None:
        """What passed since the last step belongs to none."""
        self._since = time.perf_counter()

    def __str__(self) -> str:
        return ", ".join(f"{step} {seconds:.2f} s" for step, seconds in self.seconds.items())
