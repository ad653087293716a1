import numpy as np
import pytest
from singlepixel import ELEMENTS, PHASES

from models.singlepixel.phases import phase_amounts, phase_classes, phase_fractions, stoichiometry_of


def test_mixtures_are_taken_apart() -> None:
    amounts = np.random.default_rng(0).uniform(0, 1, (3, 5, 6))
    maps = np.einsum("pe,pyx->eyx", stoichiometry_of(PHASES, ELEMENTS), amounts)
    named = dict(zip(ELEMENTS, maps, strict=True))
    found = phase_amounts(named, PHASES)
    np.testing.assert_allclose(np.stack(list(found.values())), amounts, atol=1e-5)
    true = amounts.sum((1, 2)) / amounts.sum()
    np.testing.assert_allclose(list(phase_fractions(named, PHASES).values()), true, atol=1e-5)


def test_an_amount_is_never_negative() -> None:
    found = phase_amounts({"Mn": np.full((1, 1), 1.0), "Co": np.zeros((1, 1)), "Ni": np.zeros((1, 1))}, PHASES)
    assert all(values.min() >= 0 for values in found.values())


def test_a_pixel_is_what_most_of_it_is_or_empty() -> None:
    found = phase_classes({"a": np.array([[1.0, 0.2, 0.01]]), "b": np.array([[0.0, 0.5, 0.0]])})
    np.testing.assert_array_equal(found, [[0, 1, -1]])


def test_an_empty_field_has_no_fractions() -> None:
    assert phase_fractions({name: np.zeros((2, 2)) for name in ELEMENTS}, PHASES) == dict.fromkeys(PHASES, 0.0)


@pytest.mark.parametrize(
    ("phases", "says"),
    [
        ({"LCO": {"O": 2.0}}, "give it positive amounts"),
        ({"a": {"Co": 1.0}, "b": {"Co": 2.0}}, "cannot be told apart"),
    ],
)
def test_phases_that_the_elements_do_not_tell_are_refused(phases: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        stoichiometry_of(phases, ELEMENTS)
