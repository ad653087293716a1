"""A worker whose enhancer takes a known time and no processor: what remains is what sharing the work costs."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager

from models.physics.probe import Probe
from models.scan import Motion
from models.superres import enhancers
from models.superres.bicubic import BicubicEnhancer
from models.superres.enhancer import NOT_CALIBRATED, Calibration, EnhancedMaps
from models.xrf.maps import ElementMaps
from services.inference import worker
from services.settings import Settings

NAME = "fixed-cost"

# Forks a process that has the imports behind it.
_processes = multiprocessing.get_context("forkserver")


class FixedCostEnhancer:
    """Bicubic, after a while in which it waits for another machine, as it were."""

    name = NAME
    digest = "0"
    calibration: Calibration = NOT_CALIBRATED

    def __init__(self, cost_s: float) -> None:
        self._cost_s = cost_s

    def enhance(self, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int) -> EnhancedMaps:
        """See `models.superres.enhancer.Enhancer`."""
        time.sleep(self._cost_s)
        return BicubicEnhancer().enhance(coarse, probe, motion, scale)


@contextmanager
def fixed_cost_workers(settings: list[Settings], cost_s: float) -> Iterator[None]:
    """So many workers, each in a process of its own, while the context is open."""
    running = [_processes.Process(target=_run, args=(one, cost_s)) for one in settings]
    for process in running:
        process.start()
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.join(60)
            process.close()


def _run(settings: Settings, cost_s: float) -> None:
    enhancers.ENHANCERS[NAME] = lambda _device: FixedCostEnhancer(cost_s)
    chosen = settings.worker.model_copy(update={"enhancer": NAME})
    worker.main(settings.model_copy(update={"worker": chosen}))
