"""A fine scan is laid on its coarse one to far below a pixel, and refused where it cannot be."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.phantoms.specimens import Specimen, make_specimen
from models.physics.flyscan import FlyScanOperator, matched_probe
from models.physics.probe import zone_plate_probe
from models.scan import Motion
from models.superres.pairs.registration import Registration, UnregisteredError, register
from models.xrf.maps import ElementMaps

PROBE = zone_plate_probe()
STEP_NM = 120.0


@pytest.fixture(scope="module")
def specimen() -> Specimen:
    return make_specimen("zn-mn-cathode", 77)


@lru_cache
def _expected(
    specimen: Specimen, points: int, step_nm: float, centre_nm: tuple[float, float], motion: Motion
) -> NDArray[np.float32]:
    probe, scale = matched_probe(PROBE, step_nm, 1)
    operator = FlyScanOperator(probe, (points, points), scale, motion)
    y_um, x_um = (off * 1e-3 for off in centre_nm)
    fine = specimen.areal_density_ug_cm2(30.0, operator.fine_shape, probe.pixel_size_nm, (y_um, x_um))
    return operator.forward(torch.from_numpy(fine)).numpy().clip(0)


def _scan(
    specimen: Specimen,
    points: int,
    step_nm: float,
    centre_nm: tuple[float, float] = (0.0, 0.0),
    motion: Motion = "fly",
    counts: float = 3000.0,
    seed: int = 0,
) -> ElementMaps:
    expected = _expected(specimen, points, step_nm, centre_nm, motion)
    per_unit = (counts / expected.max((1, 2)))[:, None, None]
    drawn = np.random.default_rng(seed).poisson(expected * per_unit)
    values, variance = (drawn / per_unit).astype(np.float32), (np.maximum(drawn, 1) / per_unit**2).astype(np.float32)
    mask = np.ones((points, points), bool)
    return ElementMaps(specimen.elements, values, variance, mask, step_nm, per_unit[:, 0, 0].astype(np.float32))


def _registered(
    specimen: Specimen,
    centre_nm: tuple[float, float],
    ratio: int = 4,
    motion: Motion = "fly",
    seed: int = 0,
    **scan: float,
) -> Registration:
    coarse = _scan(specimen, 16, STEP_NM, motion=motion, seed=seed, **scan)  # type: ignore[arg-type]
    fine = _scan(specimen, 16 * ratio, STEP_NM / ratio, centre_nm, motion, seed=seed + 100, **scan)  # type: ignore[arg-type]
    return register(fine, coarse, PROBE, motion)


@pytest.mark.parametrize("motion", ["fly", "step"])
@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_a_scan_beside_its_place_is_found_to_a_tenth_of_a_fine_pixel(
    specimen: Specimen, ratio: int, motion: Motion
) -> None:
    """What the stage calls the middle lies at ``centre_nm``: so far must the fine map be moved."""
    centre_nm = (-47.0, 83.0)
    found = _registered(specimen, centre_nm, ratio, motion)
    assert found.shift_nm == pytest.approx(centre_nm, abs=4.0)
    assert max(found.sigma_nm) < 4.0
    assert found.mismatch < 0.05


def test_the_error_is_as_large_as_it_says(specimen: Specimen) -> None:
    """Fine enough that rows are interpolated without error; counts few enough that noise is all."""
    deviations = []
    for seed in range(24):
        centre_nm = ((-37.0, 11.0), (5.0, 52.0))[seed % 2]
        found = _registered(specimen, centre_nm, seed=seed, counts=300.0)
        deviations.append((np.array(found.shift_nm) - centre_nm) / found.sigma_nm)
    assert np.sqrt(np.mean(np.square(deviations))) == pytest.approx(1.0, abs=0.25)


def test_holes_cost_no_more_than_their_points(specimen: Specimen) -> None:
    coarse, fine = _scan(specimen, 16, STEP_NM), _scan(specimen, 64, STEP_NM / 4, (20.0, -30.0), seed=1)
    rng = np.random.default_rng(0)
    mask = rng.random(fine.mask.shape) > 0.03
    mask[50:] = False
    coarse_mask = rng.random(coarse.mask.shape) > 0.05
    holed = replace(fine, mask=mask, values=np.where(mask, fine.values, np.nan).astype(np.float32))
    found = register(holed, replace(coarse, mask=coarse_mask), PROBE, "fly")
    assert found.shift_nm == pytest.approx((20.0, -30.0), abs=4.0)


def test_an_element_without_signal_does_no_harm(specimen: Specimen) -> None:
    coarse, fine = _scan(specimen, 16, STEP_NM), _scan(specimen, 64, STEP_NM / 4, (20.0, -30.0), seed=1)
    noisy = []
    for maps, seed in ((coarse, 0), (fine, 1)):
        values = maps.values.copy()
        values[0] = np.random.default_rng(seed).normal(size=values[0].shape)
        variance = maps.variance.copy()
        variance[0] = 1.0
        noisy.append(replace(maps, values=values, variance=variance))
    assert register(noisy[1], noisy[0], PROBE, "fly").shift_nm == pytest.approx((20.0, -30.0), abs=4.0)


def test_too_few_counts_are_refused(specimen: Specimen) -> None:
    with pytest.raises(UnregisteredError, match=r"tell their shift to .* nm only, and 12 nm are needed"):
        _registered(specimen, (0.0, 0.0), counts=10.0)


def test_another_place_is_refused(specimen: Specimen) -> None:
    with pytest.raises(UnregisteredError, match=r"most that is looked for|differ beyond noise|tell their shift"):
        _registered(specimen, (1500.0, 1500.0))


def test_another_specimen_is_refused(specimen: Specimen) -> None:
    coarse = _scan(specimen, 16, STEP_NM)
    fine = _scan(make_specimen("zn-mn-cathode", 78), 64, STEP_NM / 4)
    with pytest.raises(UnregisteredError, match=r"most that is looked for|differ beyond noise|tell their shift"):
        register(fine, coarse, PROBE, "fly")


def test_a_map_too_small_to_tell_is_refused(specimen: Specimen) -> None:
    with pytest.raises(UnregisteredError, match=r"\(7, 7\) points: 8 along each axis are needed"):
        register(_scan(specimen, 28, STEP_NM / 4), _scan(specimen, 7, STEP_NM), PROBE, "fly")


def test_steps_that_do_not_belong_together_are_an_error(specimen: Specimen) -> None:
    coarse = _scan(specimen, 16, STEP_NM)
    with pytest.raises(ValueError, match=r"coarse step is 120 nm, the fine one 75 nm"):
        register(_scan(specimen, 16, 75.0), coarse, PROBE, "fly")
    with pytest.raises(ValueError, match=r"has \(60, 60\) points: \(64, 64\)"):
        register(_scan(specimen, 60, 30.0), coarse, PROBE, "fly")
