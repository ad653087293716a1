"""What a Dask worker does with a task: its own way into Tiled, and an eye on whether the task is still wanted."""

import threading
import time
from contextlib import suppress
from functools import cache
from typing import TypeVar

import dask
import torch

from models.tomo.interruption import keep_quiet
from services.catalog.client import Catalog, connect
from services.catalog.records import CatalogUnreachableError
from services.catalog.volume_writing import VolumePlace, is_wanted
from services.reconstruction.compute import Task
from services.reconstruction.tiled_shelf import TiledShelf
from services.settings import load_settings

_LOOK_S = 1.0
_opening = threading.Lock()
Done = TypeVar("Done")


def run_task(place: VolumePlace, task: Task[Done]) -> Done:
    """Do a task of an attempt at a volume, in a worker's process.

    Raises:
        CatalogError: Tiled does not let this worker in, or what the task needs is gone.
        ReconstructionCancelledError: the attempt is over.
    """
    with _opening:
        catalog = _catalog()
    return task.run(TiledShelf(catalog, place), keep_quiet, _Over(catalog, place))


class _Over:
    """Whether a task is not wanted any more, as Tiled says now and then."""

    def __init__(self, catalog: Catalog, place: VolumePlace) -> None:
        self._catalog, self._place = catalog, place
        self._looked, self._is_over = 0.0, False

    def __call__(self) -> bool:
        if not self._is_over and time.monotonic() - self._looked > _LOOK_S:
            with suppress(CatalogUnreachableError):
                self._is_over = not is_wanted(self._catalog, self._place)
            self._looked = time.monotonic()
        return self._is_over


@cache
def _catalog() -> Catalog:
    """This process's connection, by the settings in its environment; once it is there, for good."""
    settings = load_settings(None, {})
    torch.set_num_threads(settings.reconstruction.threads)
    # Tiled's client reads through Dask, which would hand that back to this cluster, with the key inside, and wait.
    dask.config.set(scheduler="synchronous")
    return connect(str(settings.tiled.uri), settings.tiled.key)
