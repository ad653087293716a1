from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.fft import fftfreq, irfft2, rfft2, rfftfreq

from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe
from models.superres.lmmse import LmmseEnhancer
from models.superres.prior import PowerLaw
from models.xrf.maps import ElementMaps

Truths = dict[str, NDArray[np.float32]]
Measure = Callable[[NDArray[np.float32], int, float], ElementMaps]
FineTruth = Callable[[NDArray[np.float32], float], NDArray[np.float32]]


@pytest.mark.parametrize("specimen", ["nmc-particle", "dead-leaves"])
@pytest.mark.parametrize(("step_nm", "peak_counts"), [(30, 500), (60, 50), (60, 5000), (120, 50), (120, 500)])
def test_sigma_covers_the_error_as_often_as_it_says(
    truths: Truths,
    measure: Measure,
    fine_truth: FineTruth,
    probe: Probe,
    specimen: str,
    step_nm: int,
    peak_counts: float,
) -> None:
    enhanced = LmmseEnhancer().enhance(measure(truths[specimen], step_nm, peak_counts), probe, "fly", 4)
    truth = fine_truth(truths[specimen], step_nm / 4)
    within = np.abs(enhanced.values - truth) / enhanced.sigma
    there = truth > 0.02 * truth.max(axis=(1, 2), keepdims=True)  # vacuum is easy: it would flatter the figure
    assert 0.54 < np.mean(within[there] < 1) < 0.92
    assert 0.78 < np.mean(within[there] < 1.64) < 0.98


def test_sigma_is_the_rms_error_for_a_gaussian_specimen_also_where_points_are_missing(probe: Probe) -> None:
    rng = np.random.default_rng(1)
    operator = FlyScanOperator(probe, (60, 60), 8, "fly")
    side = operator.fine_shape
    squared = fftfreq(side[0], 7.5)[:, None] ** 2 + rfftfreq(side[1], 7.5) ** 2
    amplitude = np.sqrt(PowerLaw(1 / 400, 1.5).spectrum(squared))
    specimen = irfft2(rfft2(rng.normal(size=side)) * amplitude, side).astype(np.float32)
    clean = operator.forward(torch.from_numpy(specimen)).numpy()
    noise = 0.2 * clean.std()
    mask = rng.random(clean.shape) > 0.08
    coarse = ElementMaps(
        elements=("Zn",),
        values=np.where(mask, clean + rng.normal(0, noise, clean.shape), np.nan).astype(np.float32)[None],
        variance=np.full((1, *clean.shape), noise**2, np.float32),
        mask=mask,
        pixel_size_nm=60.0,
        counts_per_unit=np.ones(1, np.float32),
    )
    enhanced = LmmseEnhancer().enhance(coarse, probe, "fly", 4)
    margin = operator.margin_px
    truth = specimen[margin:-margin, margin:-margin].reshape(240, 2, 240, 2).mean(axis=(1, 3))
    score = (enhanced.values[0] - truth) / enhanced.sigma[0]
    hidden = np.kron(~mask, np.ones((4, 4), bool))
    assert np.sqrt(np.mean(score[~hidden] ** 2)) == pytest.approx(1, abs=0.15)
    assert np.sqrt(np.mean(score[hidden] ** 2)) == pytest.approx(1, abs=0.25)
    assert enhanced.sigma[0][hidden].mean() > 1.2 * enhanced.sigma[0][~hidden].mean()


def test_sigma_is_larger_at_edges_than_in_flat_regions(
    truths: Truths, measure: Measure, fine_truth: FineTruth, probe: Probe
) -> None:
    enhanced = LmmseEnhancer().enhance(measure(truths["dead-leaves"], 60, 5000), probe, "fly", 4)
    truth = fine_truth(truths["dead-leaves"], 15.0)[0]
    slope = np.hypot(*np.gradient(truth))
    steep, flat = slope > np.quantile(slope, 0.95), slope <= np.quantile(slope, 0.5)
    assert enhanced.sigma[0][steep].mean() > 1.4 * enhanced.sigma[0][flat].mean()
