import numpy as np
import pytest

from models.singlepixel.measurement import checked

PATTERNS = np.random.default_rng(0).uniform(1, 2, (6, 4, 5)).astype(np.float32)
COUNTS = {"Co": np.arange(6.0) + 10, "Ni": np.arange(6.0) + 20}


def test_measurements_without_a_pattern_or_without_counts_are_left_out_and_counted() -> None:
    patterns, cobalt = PATTERNS.copy(), COUNTS["Co"].copy()
    patterns[1, 2, 3] = np.nan
    patterns[5] = 0
    cobalt[[1, 4]] = np.nan, np.inf
    found = checked(patterns, COUNTS | {"Co": cobalt})
    np.testing.assert_array_equal(found.patterns, PATTERNS[[0, 2, 3]])
    np.testing.assert_array_equal(found.counts["Ni"], COUNTS["Ni"][[0, 2, 3]])
    assert found.notes == ("3 of 6 measurements left out: 2 without a pattern, 2 without counts",)


def test_counts_have_poisson_variance_unless_one_is_given() -> None:
    np.testing.assert_array_equal(
        checked(PATTERNS, {"Co": [0, 1, 2, 3, 4, 5]}).table_variance()[:, 0], [1, 1, 2, 3, 4, 5]
    )
    given = {element: np.full(6, 7.0) for element in COUNTS}
    np.testing.assert_array_equal(checked(PATTERNS, COUNTS, given).table_variance(), np.full((6, 2), 7.0))


def test_missing_pixels_of_the_txm_image_become_its_median() -> None:
    txm = np.ones((4, 5))
    txm[0, 0] = np.nan
    found = checked(PATTERNS, COUNTS, txm=txm)
    assert found.txm is not None
    np.testing.assert_array_equal(found.txm, np.ones((4, 5)))
    assert "1 pixels of the TXM image" in found.notes[0]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"patterns": PATTERNS[0]}, r"patterns have shape \(4, 5\): pass \(N, y, x\)"),
        ({"counts": {}}, "no counts"),
        ({"counts": {"Co": np.ones(5)}}, r"counts of Co have shape \(5,\): \(6,\) is needed"),
        ({"counts": {"Co": np.full(6, np.nan)}}, "none of 6 measurements"),
        ({"variances": {"Co": np.ones(6)}}, "pass the same elements"),
        ({"variances": {"Co": np.zeros(6), "Ni": np.ones(6)}}, "pass positive ones"),
        ({"txm": np.ones((8, 10))}, r"the TXM image has \(8, 10\) pixels, the patterns \(4, 5\)"),
    ],
)
def test_what_does_not_belong_together_is_named(changed: dict, says: str) -> None:
    given = {"patterns": PATTERNS, "counts": COUNTS, "variances": None, "txm": None} | changed
    with pytest.raises(ValueError, match=says):
        checked(**given)
