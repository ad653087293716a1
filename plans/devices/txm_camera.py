"""The camera of the transmission microscope."""

from typing import Any

from models.structured_schema import TXM_FRAMES
from plans.devices.row_detector import RowDetector, Rows
from plans.devices.row_file import RowArray


class TxmFrames(RowDetector):
    """A frame of the whole field of view at every step."""

    def __init__(self, *, name: str, shape: tuple[int, int], **options: Any) -> None:
        super().__init__(name=name, **options)
        self._shape = shape

    def row_arrays(self, scan: Rows) -> tuple[RowArray, ...]:
        """Frames (y, x)."""
        del scan
        return (RowArray(TXM_FRAMES, "<u2", self._shape, ("y", "x"), "counts"),)
