"""Mass shares of compounds."""

import numpy as np
import pytest

from models.xrf.compounds import mass_shares


def test_shares_are_those_of_atomic_weights() -> None:
    # Li 6.94, Ni 0.7 * 58.69, Mn 0.2 * 54.94, Co 0.1 * 58.93, O 2 * 16.00: 96.91 in all.
    expected = np.array([54.94 * 0.2, 58.93 * 0.1, 58.69 * 0.7, 0.0]) / 96.91
    np.testing.assert_allclose(mass_shares("LiNi0.7Mn0.2Co0.1O2", ("Mn", "Co", "Ni", "Fe")), expected, rtol=1e-3)
    assert mass_shares("LiCoO2", ("Li", "Co", "O")).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", ["", "cheese!", "Xx2O3"])
def test_what_is_no_formula_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no formula"):
        mass_shares(wrong, ("Mn",))
