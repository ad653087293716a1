"""Phases as people name them."""

import pytest

from services.offline.named_phases import phases_named

ELEMENTS = ("Mn", "Co", "Ni")


def test_amounts_and_formulas_are_read() -> None:
    assert phases_named((), ELEMENTS) is None
    assert phases_named(("NMC:Mn=0.2, Co=0.1,Ni=0.7", "LiCoO2"), ELEMENTS) == {
        "NMC": {"Mn": 0.2, "Co": 0.1, "Ni": 0.7},
        "LiCoO2": {"Mn": 0.0, "Co": pytest.approx(58.93 / 97.87, rel=1e-3), "Ni": 0.0},
    }


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("NMC:Mn",), "NAME:El=amount"),
        (("NMC:Mn=a",), "NAME:El=amount"),
        (("LFP:Fe=1",), "names Fe: measured are Mn, Co, Ni"),
        (("LCO:Co=0",), "some measured element is needed"),
        (("LCO:Co=1,Ni=-1",), "none below 0"),
        (("LCO:Co=1", "LCO:Co=2"), "named twice"),
        (("cheese!",), "is no formula"),
        (("SiO2",), "some measured element is needed"),
    ],
)
def test_a_phase_that_cannot_be_read_is_named(words: tuple[str, ...], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        phases_named(words, ELEMENTS)
