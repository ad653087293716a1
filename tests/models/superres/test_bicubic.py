from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.superres.bicubic import BicubicEnhancer, cubic_weights
from models.xrf.maps import ElementMaps

Truths = dict[str, NDArray[np.float32]]
Measure = Callable[[NDArray[np.float32], int, float], ElementMaps]
FineTruth = Callable[[NDArray[np.float32], float], NDArray[np.float32]]


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 7])
def test_weights_are_those_of_torch_at_block_centres(scale: int) -> None:
    values = np.random.default_rng(1).random((6, 9))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], scale_factor=scale, mode="bicubic", align_corners=False
    )
    np.testing.assert_allclose(cubic_weights(6, scale) @ values @ cubic_weights(9, scale).T, expected[0, 0], atol=1e-12)


@pytest.mark.parametrize(("step_nm", "peak_counts"), [(60, 50), (60, 500), (120, 50), (120, 500), (120, 5000)])
@pytest.mark.parametrize("specimen", ["nmc-particle", "dead-leaves"])
def test_sigma_covers_the_error_of_noise_and_interpolation(
    truths: Truths,
    measure: Measure,
    fine_truth: FineTruth,
    probe: Probe,
    specimen: str,
    step_nm: int,
    peak_counts: float,
) -> None:
    enhanced = BicubicEnhancer().enhance(measure(truths[specimen], step_nm, peak_counts), probe, "fly", 4)
    within = np.abs(enhanced.values - fine_truth(truths[specimen], step_nm / 4)) / enhanced.sigma
    assert 0.55 < np.mean(within < 1) < 0.92
    assert 0.78 < np.mean(within < 1.64) < 0.98


def test_masked_points_take_their_neighbours_value_and_more_sigma(
    truths: Truths, measure: Measure, probe: Probe
) -> None:
    whole = measure(truths["nmc-particle"], 120, 500)
    mask = whole.mask.copy()
    mask[14, 5:15] = False
    holed = replace(whole, mask=mask, values=np.where(mask, whole.values, np.nan))
    rubbish = replace(whole, mask=mask, values=np.where(mask, whole.values, np.float32(-1e9)))
    first, second = (BicubicEnhancer().enhance(maps, probe, "fly", 4) for maps in (holed, rubbish))
    assert first.values.tobytes() == second.values.tobytes()
    assert first.sigma.tobytes() == second.sigma.tobytes()
    complete = BicubicEnhancer().enhance(whole, probe, "fly", 4)
    hidden = np.kron(~mask, np.ones((4, 4), bool))
    assert (first.sigma[:, hidden] > complete.sigma[:, hidden]).mean() > 0.9
