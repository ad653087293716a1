"""The scaler: counts of the monitor in front of the specimen."""

from models.run_schema import I0
from plans.devices.row_detector import RowDetector, Rows
from plans.devices.row_file import RowArray


class Scaler(RowDetector):
    """I0 at every point."""

    def row_arrays(self, scan: Rows) -> tuple[RowArray, ...]:
        """Monitor counts (x,)."""
        return (RowArray(I0, "<f8", (scan.shape[1],), ("x",), "counts"),)
