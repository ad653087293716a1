"""Deviances, the object's structure and the difference of two kernels mean what they say."""

from dataclasses import replace

import numpy as np
import pytest
from simulated_ptychography import focus, leaves, simulate

from models.ptychography.fit import Fields, expected_counts
from models.ptychography.frames import Frames
from models.ptychography.judging import (
    SMOOTH_SHARE,
    WEAK_RAD,
    deviances,
    poisson_deviance,
    scattered_share,
    structure_rad,
    transfer_difference,
)


def counted(photons: float) -> tuple[Frames, Fields]:
    """Frames of known fields through nothing."""
    probe = (np.sqrt(photons) * focus(16, 16, 1.0)).astype(np.complex64)[None]
    empty = Frames(np.ones((4000, 16, 16), np.float32), np.zeros((4000, 2)), (0.0, 0.0), 10.0, 10.0)
    obj = np.ones((33, 33), np.complex64)
    expected = expected_counts(empty, np.arange(4000), Fields(probe, obj=obj))
    counts = np.random.default_rng(3).poisson(expected).astype(np.float32)
    return replace(empty, counts=counts), Fields(probe, obj=obj)


@pytest.mark.parametrize("photons", [100.0, 1e3, 1e5])
def test_true_fields_leave_a_deviance_of_one(photons: float) -> None:
    frames, fields = counted(photons)
    assert deviances(frames, np.arange(4000), fields).mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("mean", [0.05, 0.7, 5.0, 60.0])
def test_the_mean_deviance_of_counts_is_known(mean: float) -> None:
    counts = np.random.default_rng(0).poisson(mean, 400_000).astype(float)
    logarithm = np.log(np.maximum(counts, 1) / mean)
    drawn = 2 * np.mean(mean - counts + counts * logarithm)
    assert poisson_deviance(np.array(mean)) == pytest.approx(drawn, rel=0.01)


def test_an_object_has_the_structure_that_its_frames_show() -> None:
    strong, weak = (simulate(side=10, n=32, step_px=3.0, phase_rad=phase).frames for phase in (1.0, 0.05))
    assert structure_rad(strong) > 2 * WEAK_RAD
    assert structure_rad(weak) < WEAK_RAD
    assert leaves((8, 8), 0.0, np.random.default_rng(0)).std() == 0


def test_sharp_structure_scatters_photons_beyond_the_beam_and_smooth_structure_does_not() -> None:
    assert scattered_share(simulate(side=8, n=32, step_px=3.0, phase_rad=0.5).frames) > SMOOTH_SHARE
    frames, _ = counted(1e5)
    refracted = np.stack([np.roll(frames.counts[0], int(shift), 1) for shift in np.arange(20) % 2])
    assert scattered_share(replace(frames, counts=refracted, positions_px=np.zeros((20, 2)))) < SMOOTH_SHARE


def test_a_beam_that_comes_and_goes_is_no_structure() -> None:
    frames, _ = counted(1e5)
    flickering = np.random.default_rng(1).uniform(0.5, 1.0, (4000, 1, 1))
    counts = np.random.default_rng(2).binomial(frames.counts.astype(int), flickering).astype(np.float32)
    assert structure_rad(replace(frames, counts=counts)) < 0.01


def test_counting_alone_is_no_structure() -> None:
    assert structure_rad(counted(1e3)[0]) < 0.02


def test_kernels_differ_by_what_separates_them() -> None:
    kernel = np.abs(focus(32, 32, 2.0)) ** 2
    assert transfer_difference(kernel, 3 * kernel) == pytest.approx(0, abs=1e-12)
    nudged, moved = (transfer_difference(kernel, np.roll(kernel, shift, 1)) for shift in (1, 2))
    assert 0.02 < nudged < moved
