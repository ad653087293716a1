"""A fine scan becomes a pair whose kernel knows where it was read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.phantoms.specimens import Specimen, make_specimen
from models.physics.flyscan import FlyScanOperator, matched_kernel
from models.physics.probe import zone_plate_probe
from models.superres.pairs.fine_pairs import moved_kernel, pairs_of_view, usable_scale
from models.superres.pairs.recorded import whole_pair
from models.superres.pairs.recording import Recording
from models.superres.training.through_scan import chi_squared, judged_points
from models.xrf.maps import ElementMaps

PROBE = zone_plate_probe()
COUNTS = 1000.0  # of the brightest point


@pytest.fixture(scope="module")
def specimen() -> Specimen:
    return make_specimen("zn-mn-cathode", 91)


def _scan(
    specimen: Specimen, shape: tuple[int, int], step_nm: float, centre_nm: tuple[float, float] = (0.0, 0.0)
) -> ElementMaps:
    operator = FlyScanOperator(PROBE, shape, round(step_nm / PROBE.pixel_size_nm), "fly")
    y_um, x_um = (off * 1e-3 for off in centre_nm)
    fine = specimen.areal_density_ug_cm2(0.0, operator.fine_shape, PROBE.pixel_size_nm, (y_um, x_um))
    expected = operator.forward(torch.from_numpy(fine)).numpy().clip(0)
    per_unit = (COUNTS / expected.max((1, 2)))[:, None, None]
    drawn = np.random.default_rng(shape[0]).poisson(expected * per_unit)
    values, variance = (drawn / per_unit).astype(np.float32), (np.maximum(drawn, 1) / per_unit**2).astype(np.float32)
    return ElementMaps(specimen.elements, values, variance, np.ones(shape, bool), step_nm, per_unit[:, 0, 0])


def _truth(specimen: Specimen, shape: tuple[int, int], pixel_nm: float) -> torch.Tensor:
    return torch.from_numpy(specimen.areal_density_ug_cm2(0.0, shape, pixel_nm))


@pytest.mark.parametrize("ratio", [2, 4])
def test_the_true_map_explains_a_fine_scan_beside_its_place(specimen: Specimen, ratio: int) -> None:
    """With the shift in the kernel chi^2 is nearly that of noise; with the kernel at its nominal place it is not."""
    centre_nm = (27.0, -40.0)
    coarse = _scan(specimen, (16, 16), 120.0)
    pairs = pairs_of_view(coarse, _scan(specimen, (16 * ratio,) * 2, 120.0 / ratio, centre_nm), PROBE, "fly", 4)
    assert not pairs.left_out
    truth = _truth(specimen, (64, 64), 30.0)
    for plane, recording in zip(truth, pairs.recordings.values(), strict=True):
        assert recording.fine_scan is not None
        still = moved_kernel(PROBE, 120.0 / ratio, 4 // ratio, "fly", (0.0, 0.0))
        unmoved = replace(recording, fine_scan=replace(recording.fine_scan, kernel=still))
        right, wrong = (_chi_squared(plane, one) for one in (recording, unmoved))
        assert right < 1.4
        assert wrong > 2 * right


def _chi_squared(truth: torch.Tensor, recording: Recording) -> float:
    pairs = whole_pair(recording)
    assert pairs.fine_scan is not None
    unit = torch.from_numpy(recording.fine).max() / pairs.fine.max()
    return float(chi_squared(truth[None, None] / unit, pairs.fine_scan, judged_points(pairs.fine_scan)))


def test_a_kernel_that_is_not_moved_is_that_of_the_scan() -> None:
    np.testing.assert_allclose(
        moved_kernel(PROBE, 60.0, 2, "fly", (0.0, 0.0)), matched_kernel(PROBE, 60.0, 2, "fly"), atol=1e-7
    )


@pytest.mark.parametrize("shift_nm", [(30.0, -60.0), (7.0, 12.5), (-200.0, 0.0)])
def test_a_moved_kernel_has_its_centroid_where_it_was_moved_to(shift_nm: tuple[float, float]) -> None:
    kernel = moved_kernel(PROBE, 60.0, 2, "fly", shift_nm)
    places = (np.arange(len(kernel)) - (len(kernel) - 1) / 2) * 30.0
    found = kernel.sum(1) @ places, kernel.sum(0) @ places
    assert found == pytest.approx(shift_nm, abs=1.0)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)


def test_a_smaller_fine_scan_elsewhere_is_placed_by_the_stage_and_the_rest_is_masked(specimen: Specimen) -> None:
    coarse = _scan(specimen, (20, 20), 120.0)
    centre_nm = (240.0, -360.0)
    pairs = pairs_of_view(coarse, _scan(specimen, (48, 40), 30.0, centre_nm), PROBE, "fly", 4, centre_nm)
    assert pairs.registration.shift_nm == pytest.approx((0.0, 0.0), abs=4.0)
    (recording, *_) = pairs.recordings.values()
    assert recording.fine_scan is not None
    rows, columns = np.nonzero(recording.fine_scan.mask)
    assert (rows.min(), rows.max() + 1) == (16 + 8, 16 + 8 + 48)
    assert (columns.min(), columns.max() + 1) == (20 - 12, 20 - 12 + 40)


def test_an_element_that_makes_no_pair_is_left_out_with_the_reason(specimen: Specimen) -> None:
    coarse, fine = _scan(specimen, (16, 16), 120.0), _scan(specimen, (64, 64), 30.0)
    dark, dimmed = (
        replace(maps, values=maps.values * np.array([0, 1], np.float32)[:, None, None]) for maps in (coarse, fine)
    )
    pairs = pairs_of_view(dark, dimmed, PROBE, "fly", 4, elements=specimen.elements)
    assert list(pairs.recordings) == [specimen.elements[1]]
    assert "give both in one unit" in pairs.left_out[specimen.elements[0]]


@pytest.mark.parametrize(("fine_nm", "wished", "scale"), [(60, 4, 4), (60, 2, 2), (30, 4, 4), (30, 2, 4), (40, 4, 3)])
def test_the_scale_is_the_wished_one_where_the_fine_step_allows_it(fine_nm: float, wished: int, scale: int) -> None:
    assert usable_scale(120.0, fine_nm, (2, 3, 4), wished) == scale


@pytest.mark.parametrize("fine_nm", [120.0, 50.0, 15.0])
def test_a_fine_step_that_fits_no_scale_is_refused_with_those_that_do(fine_nm: float) -> None:
    with pytest.raises(ValueError, match="scan with 60, 40, 30 nm"):
        usable_scale(120.0, fine_nm, (2, 3, 4), 4)


def test_a_scale_that_is_no_multiple_of_the_ratio_of_steps_is_refused(specimen: Specimen) -> None:
    with pytest.raises(ValueError, match="a multiple of 4"):
        pairs_of_view(_scan(specimen, (16, 16), 120.0), _scan(specimen, (64, 64), 30.0), PROBE, "fly", 3)
