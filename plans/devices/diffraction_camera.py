"""The area detector far behind the specimen."""

from typing import Any

from models.run_schema import FRAMES
from models.scan import FlyScan
from plans.devices.row_detector import RowDetector
from plans.devices.row_file import RowArray


class DiffractionCamera(RowDetector):
    """A frame of counts at every point."""

    def __init__(self, *, name: str, frame_shape: tuple[int, int], **options: Any) -> None:
        super().__init__(name=name, **options)
        self._frame_shape = frame_shape

    def row_arrays(self, scan: FlyScan) -> tuple[RowArray, ...]:
        """Frames (x, qy, qx)."""
        return (RowArray(FRAMES, "<u2", (scan.shape[1], *self._frame_shape), ("x", "qy", "qx"), "counts"),)
