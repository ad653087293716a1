from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.superres.enhancers import ENHANCERS, make_enhancer
from models.xrf.maps import ElementMaps

Truths = dict[str, NDArray[np.float32]]
Measure = Callable[[NDArray[np.float32], int, float], ElementMaps]


@pytest.mark.parametrize("name", sorted(ENHANCERS))
def test_every_enhancer_keeps_the_contract(truths: Truths, measure: Measure, probe: Probe, name: str) -> None:
    coarse = measure(truths["nmc-particle"], 120, 300)
    enhancer = make_enhancer(name)
    assert enhancer.name == name
    enhanced = enhancer.enhance(coarse, probe, "fly", 4)
    assert enhanced.elements == coarse.elements
    assert enhanced.pixel_size_nm == 30.0
    assert enhanced.values.shape == enhanced.sigma.shape == (2, 80, 80)
    assert enhanced.consistency.shape == coarse.values.shape
    for field in (enhanced.values, enhanced.sigma, enhanced.consistency):
        assert field.dtype == np.float32
        assert np.isfinite(field).all()
    assert (enhanced.sigma > 0).all()


@pytest.mark.parametrize("name", sorted(ENHANCERS))
def test_impossible_requests_are_refused(truths: Truths, measure: Measure, probe: Probe, name: str) -> None:
    coarse = measure(truths["nmc-particle"], 120, 300)
    with pytest.raises(ValueError, match="scale is 0"):
        make_enhancer(name).enhance(coarse, probe, "fly", 0)
    unmeasured = replace(coarse, mask=np.zeros_like(coarse.mask))
    with pytest.raises(ValueError, match="E0 was measured at none of 400 points"):
        make_enhancer(name).enhance(unmeasured, probe, "fly", 4)


def test_digests_tell_enhancers_apart_and_stay_the_same() -> None:
    digests = {name: make_enhancer(name).digest for name in ENHANCERS}
    assert len(set(digests.values())) == len(ENHANCERS)
    assert digests == {name: make_enhancer(name).digest for name in ENHANCERS}


def test_an_unknown_enhancer_is_refused_with_the_choice() -> None:
    with pytest.raises(ValueError, match="'magic': choose one of bicubic, dual_branch_small, least-squares, lmmse"):
        make_enhancer("magic")
