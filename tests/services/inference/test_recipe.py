from dataclasses import replace

import numpy as np
import pytest

from models.physics.fluorescence import spectrum_model
from models.physics.probe import gaussian_probe
from models.run_schema import XrfDetector
from models.superres.enhancers import make_enhancer
from services.catalog.records import MalformedRunError, RawProjection
from services.inference.recipe import enhance_projection, fit_projection, judge_projection, projection_quality

_DENSITY = {"Zn": 20.0, "Mn": 5.0}


@pytest.fixture
def raw(projection_start):
    """A uniform film measured without noise, the last of four rows not reached."""
    detector = XrfDetector(n_channels=2048, energy_gain_kev=0.006, dead_time_s=0.0)
    start = replace(projection_start, detector=detector)
    shape = (3, start.scan.shape[1], 1)
    photons = start.i0_nominal * detector.photons_per_i0_count
    model = spectrum_model(start.elements, detector, start.energy_kev)
    spectrum = model.expected_counts(np.array(list(_DENSITY.values())), np.float64(photons))
    times = np.full(shape, start.scan.dwell_s, np.float32)
    return RawProjection(
        run_uid="run",
        scan_id=1,
        start_time=0.0,
        start=start,
        spectra=np.broadcast_to(np.round(spectrum), (*shape, 2048)).astype(np.uint32),
        live_time_s=times,
        real_time_s=times,
        i0=np.full(shape[:2], start.i0_nominal),
    )


def test_a_uniform_film_comes_out_with_its_areal_densities_and_unreached_rows_masked(raw):
    maps = fit_projection(raw)

    for element, plane in zip(maps.elements, maps.values, strict=True):
        np.testing.assert_allclose(plane[:3], _DENSITY[element], rtol=0.02)
    assert maps.mask.shape == raw.start.scan.shape
    assert not maps.mask[3].any()
    assert np.isnan(maps.values[:, 3]).all()


def test_enhanced_maps_are_finite_on_the_fine_grid_also_where_nothing_was_measured(raw):
    maps = fit_projection(raw)
    enhanced = enhance_projection(maps, raw, gaussian_probe(60.0, energy_kev=10.0), make_enhancer("bicubic"), 4)

    assert enhanced.values.shape == enhanced.sigma.shape == (2, 16, 20)
    assert np.isfinite(enhanced.values).all()
    assert enhanced.pixel_size_nm == 30.0


def test_quality_counts_points_and_averages_measured_ones(raw):
    maps = fit_projection(raw)
    quality = projection_quality(maps)

    assert (quality.measured_points, quality.masked_points) == (15, 5)
    assert quality.mean_ug_cm2 == pytest.approx(_DENSITY, rel=0.02)
    assert quality.consistency == {}


def test_quality_says_down_to_which_period_the_data_carry_a_map_and_warns_of_missing_points(raw):
    maps, probe, enhancer = fit_projection(raw), gaussian_probe(60.0, energy_kev=10.0), make_enhancer("lmmse")
    enhanced = enhance_projection(maps, raw, probe, enhancer, 4)
    quality = projection_quality(maps, enhanced, judge_projection(maps, enhanced, raw, probe, enhancer))

    assert quality.supported_period_nm.keys() == _DENSITY.keys()
    assert all(60 <= period <= 700 for period in quality.supported_period_nm.values())
    assert all("25% of the points are missing" in flags for flags in quality.flags.values())


def test_elements_that_cannot_be_fitted_are_the_fault_of_the_run(raw):
    with pytest.raises(MalformedRunError, match="Xx cannot be fitted"):
        fit_projection(replace(raw, start=replace(raw.start, elements=("Xx",))))
