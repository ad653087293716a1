"""What stands behind each point: the specimen at the stage's angle and place, seen through the probe."""

from collections.abc import Callable

import numpy as np
import pytest

from models.physics.probe import gaussian_probe
from models.run_schema import FRAMES, I0, LIVE_TIME_S, REAL_TIME_S, SPECTRA, X_UM, Y_UM
from models.scan import FlyScan
from plans.devices.beamline import Beamline, make_beamline
from plans.devices.faults import Faults

Twin = Callable[..., Beamline]
SCAN = FlyScan((4, 7), step_nm=120.0, dwell_s=0.03)


def seen(beamline: Beamline, scan: FlyScan = SCAN, theta_deg: float = 20.0) -> np.ndarray:
    return beamline.specimen_in_beam.expose(scan, theta_deg, "coarse").areal_density_ug_cm2


def test_a_raster_elsewhere_sees_what_a_larger_one_sees_there(beamline: Beamline) -> None:
    whole = seen(beamline, FlyScan((8, 10), 120.0, 0.03))
    part = seen(beamline, FlyScan((4, 7), 120.0, 0.03, centre_um=(0.24, -0.18)))
    np.testing.assert_allclose(part, whole[:, 4:8, 0:7], rtol=1e-3, atol=0.5)


def test_a_vanishing_jitter_changes_nothing_and_a_real_one_moves_every_point(make_twin: Twin) -> None:
    still, trembling = seen(make_twin()), seen(make_twin(faults=Faults(jitter_nm=1e-4)))
    np.testing.assert_allclose(trembling, still, rtol=1e-4, atol=1e-2)
    exposure = make_twin(faults=Faults(jitter_nm=20.0)).specimen_in_beam.expose(SCAN, 20.0, "coarse")
    assert np.std(exposure.stage_error_um) == pytest.approx(0.02, rel=0.3)
    np.testing.assert_allclose(exposure.fly_row(1)[X_UM], SCAN.x_um() + exposure.stage_error_um[1, 1])
    np.testing.assert_allclose(exposure.fly_row(1)[Y_UM], SCAN.y_um()[1] + exposure.stage_error_um[0, 1])


def test_jitter_reads_the_specimen_where_the_encoders_say(make_twin: Twin) -> None:
    """To first order, the change is the gradient of the map times the stage's error."""
    jittered = make_twin(faults=Faults(jitter_nm=4.0)).specimen_in_beam.expose(SCAN, 20.0, "coarse")
    beamline, step_um = make_twin(), 0.015
    still = seen(beamline)
    gradients = [
        (seen(beamline, FlyScan((4, 7), 120.0, 0.03, centre_um=centre_um)) - still) / step_um
        for centre_um in ((step_um, 0.0), (0.0, step_um))
    ]
    foretold = still + sum(g * e for g, e in zip(gradients, jittered.stage_error_um, strict=True))
    change, error = jittered.areal_density_ug_cm2 - still, jittered.areal_density_ug_cm2 - foretold
    assert np.std(error) < 0.35 * np.std(change)


def test_noise_of_a_row_depends_on_neither_order_nor_repetition(beamline: Beamline) -> None:
    exposure = beamline.specimen_in_beam.expose(SCAN, 0.0, "coarse")
    forwards = [exposure.fly_row(row) for row in range(4)]
    backwards = [exposure.fly_row(row) for row in reversed(range(4))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(one[SPECTRA], other[SPECTRA])
    assert (forwards[0][I0] != forwards[1][I0]).any()


def test_purposes_and_angles_have_noise_of_their_own(beamline: Beamline) -> None:
    monitors = [
        beamline.specimen_in_beam.expose(SCAN, theta_deg, purpose).fly_row(0)[I0]
        for theta_deg, purpose in ((0.0, "coarse"), (0.0, "fine"), (-0.1, "coarse"))
    ]
    assert len({tuple(monitor) for monitor in monitors}) == 3


def test_an_element_that_the_beam_does_not_excite_only_scatters(make_twin: Twin) -> None:
    below_the_edge = gaussian_probe(60.0, energy_kev=9.0, n=32, pixel_size_nm=15.0)  # tantalum's is at 9.88 keV
    in_beam = make_twin(probe=below_the_edge).specimen_in_beam
    exposure = in_beam.expose(SCAN, 0.0, "probe", with_frames=True, target="calibration")
    reading = exposure.fly_row(0)
    assert exposure.spectra.elements == ()
    assert reading[SPECTRA].sum() > 0
    assert reading[FRAMES].any()


def test_half_the_beam_gives_half_the_counts_and_half_the_monitor(beamline: Beamline) -> None:
    exposure = beamline.specimen_in_beam.expose(SCAN, 0.0, "coarse")
    whole, half = exposure.fly_row(2, 1.0), exposure.fly_row(2, 0.5)
    assert half[I0].sum() == pytest.approx(whole[I0].sum() / 2, rel=0.02)
    counted, half_counted = (
        (row[SPECTRA].sum(axis=-1) * row[REAL_TIME_S] / row[LIVE_TIME_S]).sum() for row in (whole, half)
    )
    assert half_counted == pytest.approx(counted / 2, rel=0.02)


def test_default_counts_are_those_of_a_nanoprobe(beamline: Beamline) -> None:
    exposure = beamline.specimen_in_beam.expose(SCAN, 0.0, "coarse")
    counts = np.stack([exposure.fly_row(row)[SPECTRA] for row in range(4)]).sum(axis=(2, 3))
    assert 300 < counts.max() < 30_000, "at most one million counts per second, what a spectrometer stands"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"n_detectors": 5}, "n_detectors"), ({"flux_hz": 0.0}, "flux_hz"), ({"specimen": "cheese"}, "cheese")],
)
def test_an_impossible_beamline_is_refused(wrong: dict[str, object], named: str, tmp_path: object) -> None:
    with pytest.raises(ValueError, match=named):
        make_beamline(str(tmp_path), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"nan_fraction": 1.5}, {"missing_last_points": -1}, {"jitter_nm": -2.0}])
def test_impossible_faults_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Faults(**wrong)  # type: ignore[arg-type]
