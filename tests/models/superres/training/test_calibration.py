"""Calibrated intervals cover what they promise on pairs like those of the calibration."""

import pytest
import torch
from torch import nn

from models.superres.networks.measured import Measured
from models.superres.networks.prediction import Prediction
from models.superres.pairs.simulate import Conditions
from models.superres.training import calibration
from models.superres.training.calibration import LEVELS, calibrate
from models.superres.training.presets import Preset

PRESET = Preset(network="unrolled", n_images=2, conditions=Conditions(coarse_px=10, scales=((4, 1.0),)))


class Interpolation(nn.Module):
    """Nearest neighbours, with a scale of its error that is the same everywhere."""

    def __init__(self, log_scale: float | None) -> None:
        super().__init__()
        self.log_scale = log_scale

    def forward(self, measured: Measured) -> Prediction:
        values = nn.functional.interpolate(measured.readings, scale_factor=measured.scale)
        return Prediction(values, None if self.log_scale is None else torch.full_like(values, self.log_scale))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_BATCHES", 2)


def test_factor_undoes_any_constant_misjudgement() -> None:
    shy, bold = calibrate(Interpolation(-2.0), PRESET), calibrate(Interpolation(-3.0), PRESET)
    assert [counts for counts, _ in shy] == list(LEVELS)
    for (_, factor), (_, larger) in zip(shy, bold, strict=True):
        assert larger / factor == pytest.approx(2.718, rel=1e-3)


def test_more_counts_need_smaller_factors() -> None:
    factors = [factor for _, factor in calibrate(Interpolation(-2.0), PRESET)]
    assert factors[0] > factors[-1]


def test_a_network_without_uncertainty_has_no_factors() -> None:
    assert calibrate(Interpolation(None), PRESET) == ()
