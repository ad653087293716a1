"""Live progress of a series: measured, fitted and enhanced, side by side."""

import threading
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from models.run_schema import PROBE_PURPOSE
from services.catalog.client import Catalog
from services.catalog.products import find_series
from services.catalog.records import CatalogError

_POLL_S = 1.5


class ScanProgress:
    """Two bars: angles measured, told by the RunEngine's documents; angles enhanced, told by the catalogue.

    Pass it to the RunEngine as a callback.
    """

    def __init__(self, catalog: Catalog, n_angles: int, console: Console) -> None:
        self.series_uid = ""
        self._probe_run_uid = ""
        self._catalog = catalog
        self._n_angles = n_angles
        self._n_enhanced = 0
        self._ended = threading.Event()
        self._theta_deg = 0.0
        self._progress = Progress(
            TextColumn("{task.description:<38}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._measured = self._progress.add_task("measured", total=n_angles)
        self._enhanced = self._progress.add_task("fitted and enhanced, in Tiled", total=n_angles)
        self._poller = threading.Thread(target=self._poll, name="enhanced-progress", daemon=True)

    def __enter__(self) -> Self:
        self._progress.start()
        self._poller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._poller.join()
        self._progress.stop()

    def __call__(self, name: str, document: dict[str, Any]) -> None:
        """Take one Bluesky document."""
        if name == "start" and document["purpose"] == PROBE_PURPOSE:
            self._probe_run_uid = document["uid"]
            self._progress.update(self._measured, description="ptychography of the calibration object")
        elif name == "start":
            self.series_uid = document["series_uid"]
            description = f"measuring at {document['theta_deg']:.1f} deg"
            self._progress.update(self._measured, description=description)
        elif name == "stop" and document["exit_status"] == "success" and document["run_start"] != self._probe_run_uid:
            self._progress.advance(self._measured)

    def wait_until_enhanced(self, timeout_s: float) -> bool:
        """Wait for the worker to catch up with the scan; whether it did."""
        self._progress.update(self._measured, description="measured")
        deadline = time.monotonic() + timeout_s
        while self._n_enhanced < self._n_angles and time.monotonic() < deadline:
            time.sleep(0.1)
        return self._n_enhanced == self._n_angles

    def _poll(self) -> None:
        key = ""
        while not self._ended.wait(_POLL_S):
            if self.series_uid:
                try:
                    series = find_series(self._catalog, key or self.series_uid)
                except CatalogError:
                    continue  # the worker has not created the series yet
                key, self._n_enhanced = series.key, len(series.done_angles)
                self._progress.update(self._enhanced, completed=self._n_enhanced)
