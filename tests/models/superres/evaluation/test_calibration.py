"""Calibrated intervals cover what they promise on maps like those of the calibration."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from models.physics.probe import Probe
from models.scan import Motion
from models.superres.bicubic import BicubicEnhancer
from models.superres.enhancer import CHANCE, NOT_CALIBRATED, Calibration, EnhancedMaps, factor_at
from models.superres.evaluation import calibration
from models.superres.evaluation.calibration import LEVELS, calibrate, supported_factors
from models.xrf.maps import ElementMaps


@dataclass(frozen=True)
class Misjudged:
    """Bicubic whose sigma is a constant times too small."""

    too_small: float
    name: str = "misjudged"
    digest: str = "none"
    calibration: Calibration = NOT_CALIBRATED

    def enhance(self, coarse: ElementMaps, probe: Probe, motion: Motion, scale: int) -> EnhancedMaps:
        enhanced = BicubicEnhancer().enhance(coarse, probe, motion, scale)
        return replace(enhanced, sigma=enhanced.sigma / np.float32(self.too_small))


@pytest.fixture(autouse=True)
def two_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "LEVELS", (15.0, 1500.0))


def test_factors_undo_any_constant_misjudgement() -> None:
    right, wrong = (calibrate(Misjudged(too_small), 2, 24) for too_small in (1.0, 3.0))
    assert [counts for counts, _ in right.sigma] == [15.0, 1500.0]
    for (_, factor), (_, larger) in zip(right.sigma, wrong.sigma, strict=True):
        assert larger / factor == pytest.approx(3, rel=0.01)


def test_the_linear_estimate_knows_its_error_at_its_supported_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theory alone, without a factor: the posterior spectrum, blurred."""
    monkeypatch.setattr(calibration, "LEVELS", (150.0, 1500.0))
    assert [factor for _, factor in supported_factors(4, 28)] == pytest.approx([1, 1], abs=0.25)


def test_denials_of_a_right_map_are_smaller_than_those_of_the_truth() -> None:
    """An interpolation follows the noise; at many counts its blur is denied."""
    few, many = (size for _, size in calibrate(Misjudged(1.0), 2, 24).denied_above)
    assert few < many == CHANCE


def test_factors_are_interpolated_between_levels_and_end_flat() -> None:
    factors = ((10.0, 1.0), (1000.0, 3.0))
    assert [factor_at(factors, counts) for counts in (1.0, 100.0, 1e6)] == pytest.approx([1, 2, 3])
    assert factor_at((), 50.0) == 1
    assert list(LEVELS) == sorted(LEVELS)
