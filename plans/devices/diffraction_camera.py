"""The area detector far behind the specimen."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.run_schema import BLIND_PIXELS, FRAMES
from plans.devices.row_detector import RowDetector, Rows
from plans.devices.row_file import RowArray


class DiffractionCamera(RowDetector):
    """A frame of counts at every point; its configuration says which pixels are blind."""

    def __init__(self, *, name: str, blind_pixels: NDArray[np.bool_], **options: Any) -> None:
        super().__init__(name=name, **options)
        self._blind_pixels = blind_pixels
        self._made_at = time.time()

    def row_arrays(self, scan: Rows) -> tuple[RowArray, ...]:
        """Frames (x, qy, qx)."""
        return (RowArray(FRAMES, "<u2", (scan.shape[1], *self._blind_pixels.shape), ("x", "qy", "qx"), "counts"),)

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """The mask as an array (qy, qx)."""
        source, shape = f"sim://{self.name}", list(self._blind_pixels.shape)
        return {BLIND_PIXELS: {"source": source, "dtype": "array", "dtype_numpy": "|u1", "shape": shape}}

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """The mask in lists, as documents want it."""
        return {BLIND_PIXELS: {"value": self._blind_pixels.astype(int).tolist(), "timestamp": self._made_at}}
