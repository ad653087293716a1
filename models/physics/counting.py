"""What counting adds to an expectation: Poisson noise, dead time, an unsteady beam."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.run_schema import XrfDetector


def live_fraction(input_rate_hz: ArrayLike, dead_time_s: float) -> NDArray[np.float64]:
    """Share of the time in which a detector with non-extendable dead time is ready for the next photon.

    Source: Knoll, Radiation Detection and Measurement (2010), ch. 4, m = n / (1 + n tau), hence m / n.
    """
    return np.asarray(1 / (1 + np.asarray(input_rate_hz, np.float64) * dead_time_s))


def sample_spectra(
    expected: NDArray[np.floating], real_time_s: float, detector: XrfDetector, rng: np.random.Generator
) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
    """Count spectra in every element of a detector.

    The live time is the mean one for the input rate. A recorded live time would follow the recorded counts, but their
    ratio, which is all that a fit uses, has the Poisson variance of the counts either way (to first order in 1/counts).
    Pile-up is neglected.

    Args:
        expected: (..., channel) counts in one detector element over the real time, if it had no dead time.
        real_time_s: how long each point was counted.
        detector: gives the number of elements and the dead time per pulse.
        rng: of the counting noise; the elements count independently.

    Returns:
        counts (..., detector, channel); live time and real time in seconds, (..., detector).

    Raises:
        ValueError: real_time_s is not positive, or expected has not the detector's number of channels.
    """
    if not real_time_s > 0:
        raise ValueError(f"real_time_s is {real_time_s}: pass a positive time")
    if expected.shape[-1] != detector.n_channels:
        raise ValueError(
            f"expected has {expected.shape[-1]} channels, the detector {detector.n_channels}: pass (..., channel)"
        )
    points, count = expected.shape[:-1], detector.n_detectors
    live = live_fraction(expected.sum(axis=-1, dtype=np.float64) / real_time_s, detector.dead_time_s)
    filled = np.flatnonzero(expected.reshape(-1, detector.n_channels).any(axis=0))
    counts = np.zeros((*points, count, detector.n_channels), np.uint32)
    if filled.size:
        channels = slice(int(filled[0]), int(filled[-1]) + 1)
        means = (expected[..., channels] * live[..., None])[..., None, :]
        counts[..., channels] = rng.poisson(means, (*points, count, means.shape[-1]))
    real_time = np.full((*points, count), real_time_s, np.float32)
    return counts, (live[..., None] * real_time).astype(np.float32), real_time


def sample_i0(
    i0_nominal: float, shape: tuple[int, ...], relative_flicker: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw an unsteady beam and what a counting monitor sees of it.

    Args:
        i0_nominal: mean monitor counts per point.
        shape: of the points.
        relative_flicker: standard deviation of the beam's intensity from point to point, relative to its mean.
        rng: of flicker and counting noise.

    Returns:
        beam: expected monitor counts of each point: the true intensity, to scale expected spectra with.
        i0: monitor counts, with their own Poisson noise.
    """
    if not (i0_nominal > 0 and relative_flicker >= 0):
        raise ValueError(
            f"i0_nominal is {i0_nominal}, relative_flicker {relative_flicker}: pass a positive and a non-negative one"
        )
    beam = i0_nominal * np.maximum(rng.normal(1.0, relative_flicker, shape), 0)
    return beam, rng.poisson(beam).astype(np.float64)
