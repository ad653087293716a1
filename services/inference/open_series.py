"""Series that a worker writes into, opened once and kept open."""

from models.run_schema import ProjectionStart
from services.catalog.client import Catalog
from services.catalog.records import NotFoundError
from services.catalog.series_layout import SeriesNode, ensure_fine_stacks, ensure_series
from services.catalog.stacks import Stacks
from services.inference.probe_choice import WaitingError
from services.inference.recent import Recent

_KEPT = 16


class OpenSeries:
    """Opens series and the stacks of their fine scans, and begins those that are missing.

    Args:
        catalog: they are in.
        scale: fine pixels per coarse pixel of series that it begins.
        worker: in whose name they are begun.
    """

    def __init__(self, catalog: Catalog, scale: int, worker: str) -> None:
        self._catalog = catalog
        self._scale = scale
        self._worker = worker
        self._series: Recent[str, SeriesNode] = Recent(_KEPT)
        self._fine_stacks: Recent[str, Stacks] = Recent(_KEPT)

    def open(self, start: ProjectionStart) -> SeriesNode:
        """The series of a projection.

        Raises:
            WaitingError: a fine scan came before the coarse one that begins its series.
            MalformedRunError: the projection does not fit into it.
        """
        series = self._series.get(start.series_uid)
        if series is None:
            try:
                opened = ensure_series(self._catalog, start, self._scale, self._worker)
            except NotFoundError as error:
                raise WaitingError(str(error)) from error
            series = self._series.put(start.series_uid, opened)
        series.check_fits(start)
        return series

    def known(self, series_uid: str) -> SeriesNode | None:
        """The series if it is open."""
        return self._series.get(series_uid)

    def fine_stacks(self, series: SeriesNode, start: ProjectionStart) -> Stacks:
        """Where the maps of fine scans of a series go.

        Raises:
            MalformedRunError: this fine scan has another raster than the first one of the series.
        """
        return self._fine_stacks.get(series.series_uid) or self._fine_stacks.put(
            series.series_uid, ensure_fine_stacks(series, start, self._worker)
        )

    def forget(self, series_uid: str) -> None:
        """Open it anew next time: somebody may have changed it behind our back."""
        self._series.forget(series_uid)
        self._fine_stacks.forget(series_uid)
