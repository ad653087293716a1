"""Engines that find a probe, by name."""

from collections.abc import Callable, Mapping

from models.ptychography.cdtools_engine import recover_with_cdtools
from models.ptychography.frames import Frames
from models.ptychography.recover import Progress, Recovery, RecoverySettings, recover

Engine = Callable[[Frames, RecoverySettings, Progress], Recovery]

ENGINES: Mapping[str, Engine] = {"constrained": recover, "cdtools": recover_with_cdtools}


def engine_of(name: str) -> Engine:
    """The engine of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in ENGINES:
        raise ValueError(f"engine is {name!r}: there are {', '.join(ENGINES)}")
    return ENGINES[name]
