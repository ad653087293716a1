"""What the log says of a projection that is complete."""

from dataclasses import dataclass
from typing import Any

from services.catalog.records import RawProjection
from services.catalog.series_layout import SeriesNode
from services.inference.stopwatch import Stopwatch


@dataclass(frozen=True, eq=False)
class Completion:
    """A line for people; `fields` for machines."""

    series: SeriesNode
    raw: RawProjection
    watch: Stopwatch
    latency_s: float
    """From the scan's end until its maps can be read."""
    n_done: int
    """Angles of the series that are complete, this one included."""

    @property
    def fields(self) -> dict[str, Any]:
        """What a JSON line carries beside the message."""
        start = self.raw.start
        return {
            "series": self.series.key,
            "angle_index": start.angle_index,
            "theta_deg": start.theta_deg,
            "seconds": self.watch.seconds,
        }

    def __str__(self) -> str:
        start, series = self.raw.start, self.series
        return (
            f"run {self.raw.run_uid}: series {series.key}, {start.purpose} angle {start.angle_index} "
            f"({start.theta_deg:.2f} deg), {' '.join(series.elements)}: {self.watch}; "
            f"readable {self.latency_s:.2f} s after its end; {self.n_done} of {series.n_angles} angles done"
        )
