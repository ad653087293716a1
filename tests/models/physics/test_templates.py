from dataclasses import replace

import numpy as np
import pytest

from models.physics.templates import continuum_shape, peaks, scatter_templates
from models.physics.xray import channel_energies_kev
from models.run_schema import XrfDetector

DETECTOR = XrfDetector(n_channels=2048, energy_gain_kev=0.01)


def test_peaks_keep_their_area_and_centre_whatever_the_channel_width() -> None:
    for gain_kev in (0.002, 0.05):
        detector = replace(DETECTOR, energy_gain_kev=gain_kev, n_channels=int(16 / gain_kev))
        peak = peaks(detector, np.array([6.4]), np.array([0.06]))[0]
        assert peak.sum() == pytest.approx(1.0, abs=1e-9)
        assert peak @ channel_energies_kev(detector) == pytest.approx(6.4, abs=1e-9)


def test_scatter_peaks_stand_at_the_incident_energy_and_below() -> None:
    elastic, compton = scatter_templates(DETECTOR, 12.0) @ channel_energies_kev(DETECTOR)
    assert (elastic, compton) == pytest.approx((12.0, 11.725), abs=0.002)


def test_continuum_has_unit_area_and_ends_at_the_incident_energy() -> None:
    shape = continuum_shape(DETECTOR, 12.0)
    assert shape.sum() == pytest.approx(1.0)
    assert not shape[channel_energies_kev(DETECTOR) > 12.0].any()
