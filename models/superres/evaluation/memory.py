"""The most memory that a piece of work takes, where the system can tell."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class PeakMemory:
    """Of the process, above what it held when the work began; NaN where there is no /proc."""

    extra_mb = float("nan")


@contextmanager
def peak_memory() -> Iterator[PeakMemory]:
    """Measure the work inside; set when it is done."""
    peak = PeakMemory()
    before = _resident_mb("VmRSS")
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        before = float("nan")
    yield peak
    peak.extra_mb = _resident_mb("VmHWM") - before


def _resident_mb(entry: str) -> float:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(entry)), float("nan"))
