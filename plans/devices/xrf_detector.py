"""The energy-dispersive detector: a spectrum of every element at every point."""

from typing import Any

from models.run_schema import LIVE_TIME_S, REAL_TIME_S, SPECTRA, XrfDetector
from plans.devices.row_detector import RowDetector, Rows
from plans.devices.row_file import RowArray


class XrfSpectrometer(RowDetector):
    """Spectra with live and real time: 1 to 4 detector elements, as many channels as `XrfDetector` says."""

    def __init__(self, *, name: str, detector: XrfDetector, **options: Any) -> None:
        super().__init__(name=name, **options)
        self._detector = detector

    def row_arrays(self, scan: Rows) -> tuple[RowArray, ...]:
        """Counts (x, detector, channel), times (x, detector)."""
        points, elements = scan.shape[1], self._detector.n_detectors
        spectra_shape = (points, elements, self._detector.n_channels)
        return (
            RowArray(SPECTRA, "<u4", spectra_shape, ("x", "detector", "channel"), "counts"),
            RowArray(LIVE_TIME_S, "<f4", (points, elements), ("x", "detector"), "s"),
            RowArray(REAL_TIME_S, "<f4", (points, elements), ("x", "detector"), "s"),
        )
