"""What goes wrong at beamlines, to be asked for: nothing does by default."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Faults:
    """Imperfections of a fly-scan.

    Attributes:
        nan_fraction: share of points, at random, that the detectors lose: NaN in times and monitor.
        missing_last_points: points that the last row lacks at its end, in the direction it is flown.
        dark_rows: rows flown while the beam is gone: the monitor counts 0.
        jitter_nm: rms error of the stage in each direction, which the encoders see.
    """

    nan_fraction: float = 0.0
    missing_last_points: int = 0
    dark_rows: tuple[int, ...] = ()
    jitter_nm: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.nan_fraction <= 1:
            raise ValueError(f"nan_fraction is {self.nan_fraction}: pass a share from 0 to 1")
        if self.missing_last_points < 0 or self.jitter_nm < 0:
            raise ValueError(
                f"missing_last_points is {self.missing_last_points}, jitter_nm {self.jitter_nm}: pass none below 0"
            )
