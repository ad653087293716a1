from typing import Any

import numpy as np
import pytest

from models.physics.probe import Probe
from models.superres.enhance import counted_maps, enhance, whole_scale
from models.superres.enhancers import make_enhancer
from models.xrf.maps import ElementMaps

SHAPE = (9, 11)
COUNTS = {
    "Zn": np.random.default_rng(3).poisson(np.linspace(5, 300, 99).reshape(SHAPE)),
    "Mn": np.random.default_rng(4).poisson(2.0, SHAPE),
}


def test_counts_are_element_maps_with_poisson_noise(probe: Probe) -> None:
    values = np.array([COUNTS["Zn"], COUNTS["Mn"]], np.float32)
    by_hand = ElementMaps(
        elements=("Zn", "Mn"),
        values=values,
        variance=np.maximum(values, 1),
        mask=np.ones(SHAPE, bool),
        pixel_size_nm=60.0,
        counts_per_unit=np.ones(2, np.float32),
    )
    for model in ("lmmse", "bicubic"):
        expected = make_enhancer(model).enhance(by_hand, probe, "step", 4)
        got = enhance(COUNTS, probe=probe, step_nm=60, pixel_nm=15, motion="step", model=model)
        assert (got.elements, got.pixel_size_nm) == (("Zn", "Mn"), 15.0)
        for part in ("values", "sigma", "consistency"):
            np.testing.assert_array_equal(getattr(got, part), getattr(expected, part))


def test_a_unit_of_measurement_changes_nothing_but_the_unit(probe: Probe) -> None:
    variance = {element: np.maximum(counts, 1) for element, counts in COUNTS.items()}
    plain = enhance(COUNTS, probe=probe, step_nm=60, pixel_nm=15, variance=variance, model="lmmse")
    scaled = enhance(
        {element: 0.01 * counts for element, counts in COUNTS.items()},
        probe=probe,
        step_nm=60,
        pixel_nm=15,
        variance={element: 1e-4 * values for element, values in variance.items()},
        model="lmmse",
    )
    assert 100 * scaled.values == pytest.approx(plain.values, rel=1e-3, abs=1e-2)
    assert 100 * scaled.sigma == pytest.approx(plain.sigma, rel=1e-3)
    assert scaled.consistency == pytest.approx(plain.consistency, rel=1e-2)


def test_nan_mask_and_unknown_variance_all_mean_not_measured(probe: Probe) -> None:
    hole = np.zeros(SHAPE, bool)
    hole[3, 4:6] = True
    missing = np.where(hole, np.nan, COUNTS["Zn"].astype(float))
    unknown = np.where(hole, np.nan, np.maximum(COUNTS["Zn"], 1))
    ways: tuple[dict[str, Any], ...] = (
        {"maps": {"Zn": missing}},
        {"maps": {"Zn": COUNTS["Zn"]}, "mask": (~hole).astype(np.uint8)},
        {"maps": {"Zn": COUNTS["Zn"]}, "mask": np.where(hole, np.nan, 1.0)},
        {"maps": {"Zn": COUNTS["Zn"]}, "variance": {"Zn": unknown}},
    )
    results = [enhance(probe=probe, step_nm=60, pixel_nm=30, **way) for way in ways]
    for result in results:
        np.testing.assert_array_equal(np.isnan(result.consistency[0]), hole)
        np.testing.assert_array_equal(result.values, results[0].values)
        np.testing.assert_array_equal(result.sigma, results[0].sigma)


@pytest.mark.parametrize(
    ("step_nm", "pixel_nm", "scale"), [(30, 7.5, 4), (30, 30, 1), (100, 33.333, 3), (120, 7.5, 16)]
)
def test_a_whole_number_of_pixels_is_a_scale(step_nm: float, pixel_nm: float, scale: int) -> None:
    assert whole_scale(step_nm, pixel_nm) == scale


@pytest.mark.parametrize(
    ("step_nm", "pixel_nm", "words"),
    [
        (30, 7, "pass pixel_nm 7.5"),
        (30, 45, "pass pixel_nm 30"),
        (30, 7.49, "pass pixel_nm 7.5"),
        (0, 7.5, "step_nm is 0"),
        (30, float("nan"), "pixel_nm is nan"),
    ],
)
def test_other_pixels_are_refused_with_one_that_fits(step_nm: float, pixel_nm: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        whole_scale(step_nm, pixel_nm)


@pytest.mark.parametrize(
    ("maps", "others", "words"),
    [
        ({}, {}, "there are no maps"),
        ({"Zn": np.ones(4)}, {}, r"the map of Zn has shape \(4,\)"),
        ({"Zn": np.ones((0, 4))}, {}, r"the map of Zn has shape \(0, 4\)"),
        (
            {"Zn": np.ones((4, 4)), "Mn": np.ones((4, 5))},
            {},
            r"the map of Mn has shape \(4, 5\), the first map \(4, 4\)",
        ),
        ({"Zn": np.ones((4, 4), complex)}, {}, "the map of Zn has type complex128"),
        ({"Zn": np.full((4, 4), "1")}, {}, "the map of Zn has type <U1"),
        ({"Zn": np.ones((4, 4))}, {"mask": np.ones((4, 1))}, "the mask has shape"),
        ({"Zn": np.ones((4, 4))}, {"variance": {"Zn": -np.ones((4, 4))}}, "variance of Zn is negative at 16 points"),
        (
            {"Zn": np.ones((4, 4))},
            {"variance": {"zn": np.ones((4, 4))}},
            "a variance of zn, but there are maps only of Zn",
        ),
    ],
)
def test_maps_that_do_not_fit_are_refused(maps: dict[str, Any], others: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        counted_maps(maps, 30.0, **others)


def test_an_element_measured_nowhere_is_named(probe: Probe) -> None:
    with pytest.raises(ValueError, match="Fe was measured at none of 99 points"):
        enhance({**COUNTS, "Fe": np.full(SHAPE, np.nan)}, probe=probe, step_nm=60, pixel_nm=30)
