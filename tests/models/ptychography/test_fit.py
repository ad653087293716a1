"""The probe of a simulated fly-scan is found, on pixels coarser than those of the simulation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from simulated_ptychography import NA, Simulated, focus, registered, simulate

from models.ptychography.fit import FarField, Fields, FitSettings, fit
from models.ptychography.frames import Frames
from models.ptychography.judging import deviances

N = 32
SETTINGS = FitSettings(epochs=25, batch=6)


def start() -> Fields:
    return Fields(focus(N, N, 1.5).astype(np.complex64)[None])


def points(frames: Frames) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """To fit, and held out."""
    every = np.arange(len(frames.counts))
    return every[every % 10 != 0], every[::10]


def deviance(frames: Frames, fields: Fields) -> float:
    return float(deviances(frames, points(frames)[1], fields).mean())


@pytest.fixture(scope="module")
def flown() -> Simulated:
    return simulate(side=11, n=N, step_px=3.0, fly_px=3.0, defocus_rad=2.5)


def test_the_still_probe_of_a_fly_scan_is_found(flown: Simulated) -> None:
    fitted = fit(flown.frames, points(flown.frames)[0], start(), SETTINGS)
    correlation, error = registered(np.abs(fitted.probe[0].astype(np.complex128)) ** 2, flown.intensity)
    assert correlation > 0.999
    assert error < 0.04


def test_held_out_frames_tell_a_model_without_the_motion(flown: Simulated) -> None:
    known = fit(flown.frames, points(flown.frames)[0], start(), SETTINGS)
    still = replace(flown.frames, fly_px=(0.0, 0.0))
    ignored = fit(still, points(still)[0], start(), SETTINGS)
    assert deviance(flown.frames, known) < 0.95 * deviance(still, ignored)


def test_the_size_of_the_source_is_found() -> None:
    blurred = simulate(side=11, n=N, step_px=3.0, fly_px=3.0, defocus_rad=2.5, source_px=(0.0, 1.2))
    first = replace(start(), source_px=(0.0, 0.7))
    fitted = fit(blurred.frames, points(blurred.frames)[0], first, replace(SETTINGS, fit_source=True))
    assert fitted.source_px[1] == pytest.approx(1.2, abs=0.35)
    coherent = fit(blurred.frames, points(blurred.frames)[0], start(), SETTINGS)
    assert deviance(blurred.frames, fitted) < deviance(blurred.frames, coherent)


def test_masked_pixels_change_nothing(flown: Simulated) -> None:
    mask = np.ones((N, N), np.bool_)
    mask[N // 2, N // 2], mask[5] = False, False
    few = replace(SETTINGS, epochs=2)
    spoiled = np.where(mask, flown.frames.counts, 1e4).astype(np.float32)
    fitted = [
        fit(replace(flown.frames, counts=counts, mask=mask), points(flown.frames)[0], start(), few).probe
        for counts in (flown.frames.counts, spoiled)
    ]
    np.testing.assert_array_equal(fitted[0], fitted[1])


def test_a_fit_can_be_repeated_and_stopped(flown: Simulated) -> None:
    short = replace(SETTINGS, epochs=1)
    once, again = (fit(flown.frames, points(flown.frames)[0], start(), short).probe for _ in range(2))
    np.testing.assert_array_equal(once, again)

    def enough(done: int, of: int) -> None:
        assert of == -(-len(points(flown.frames)[0]) // short.batch)
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(flown.frames, points(flown.frames)[0], start(), short, enough)


def test_the_gradient_by_hand_is_that_of_the_photons() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 4, 4), (2, 3, 4, 4), (2, 4, 4))
    fields = [torch.randn(s, dtype=torch.complex128, generator=generator, requires_grad=True) for s in shapes]
    assert torch.autograd.gradcheck(FarField.apply, fields)


def test_the_start_lies_within_the_aperture() -> None:
    """The simulation's own check: no light outside of the numerical aperture."""
    spectrum = np.abs(np.fft.fft2(focus(N, N, 2.5)))
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(N), np.fft.fftfreq(N))) * 2
    assert spectrum[radius > NA + 0.01].max() < 1e-9
