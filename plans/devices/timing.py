"""How long things take at the beamline, shared by the twin that takes this time and the estimate that foretells it."""

from dataclasses import dataclass

from models.scan import FlyScan


@dataclass(frozen=True)
class BeamlineTiming:
    """Speeds and dead times of the stage, typical of a piezo scanner on a rotary stage.

    Attributes:
        turnaround_s: from the end of a row to the start of the next one.
        step_settle_s: before each point of a step scan.
        linear_speed_um_s: of x and y between scans.
        rotation_speed_deg_s: of theta.
        settle_s: after each move.
        run_overhead_s: documents, files and first and last move of a run.
    """

    turnaround_s: float = 0.2
    step_settle_s: float = 0.02
    linear_speed_um_s: float = 50.0
    rotation_speed_deg_s: float = 5.0
    settle_s: float = 0.1
    run_overhead_s: float = 1.0

    def row_s(self, scan: FlyScan) -> float:
        """One row with the way to the next."""
        settle_s = self.step_settle_s if scan.motion == "step" else 0.0
        return scan.shape[1] * (scan.dwell_s + settle_s) + self.turnaround_s

    def projection_s(self, scan: FlyScan) -> float:
        """One run at an angle that is already there."""
        return scan.shape[0] * self.row_s(scan) + self.run_overhead_s

    def pattern_s(self, dwell_s: float, way_um: float) -> float:
        """One frame or spectrum after a move of the diffusers, none of which goes further than ``way_um``."""
        return dwell_s + (way_um / self.linear_speed_um_s + self.settle_s if way_um else 0.0)

    def rotation_s(self, turn_deg: float) -> float:
        """A move of theta."""
        return abs(turn_deg) / self.rotation_speed_deg_s + self.settle_s if turn_deg else 0.0
