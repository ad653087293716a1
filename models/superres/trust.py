"""How far to trust an enhanced map: at which resolution the data carry it, what no scan of this kind sees, warnings."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from models.physics.flyscan import matched_kernel, matched_probe
from models.physics.probe import Probe
from models.physics.xray import FWHM_PER_SIGMA
from models.scan import Motion
from models.superres.coarse import CoarseMap, coarse_maps, peak_counts
from models.superres.consistency import denial
from models.superres.enhancer import CHANCE, NOT_CALIBRATED, Calibration, EnhancedMaps, Factors, factor_at
from models.superres.networks.data_step import folded, transfer, unfolded
from models.superres.spectra import scan_spectra
from models.superres.uncertainty import posterior_sigma
from models.superres.wiener import LinearEstimate, estimate, fine_map
from models.xrf.maps import ElementMaps

LOW_COUNTS = 15.0
HIGH_CHI_SQUARED = 1.5
MANY_MISSING = 0.05
MANY_DENIED = 0.03
_CARRIED = 0.5  # share of a specimen's variance that the data must determine
_SEEN_AT_ALL = 1e-4  # of the largest transfer, squared: below it a frequency is in the null space
_MIRRORED_PX = 4  # coarse pixels

SUPPORTED_FACTORS: Factors = (
    (15.0, 1.007),
    (50.0, 1.002),
    (150.0, 1.019),
    (500.0, 1.041),
    (1500.0, 1.029),
    (5000.0, 1.03),
    (15000.0, 1.103),
)
"""On the sigma of the supported map, by peak counts: `models.superres.evaluation.calibration.supported_factors`."""

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Trust:
    """What stands beside enhanced maps of the same elements.

    Attributes:
        period_nm: (element,) full period of the finest structure of which the data determine more than half.
        supported: (element, s*y, s*x) the linear estimate blurred by a Gaussian whose full width at half maximum is
            half of that period: what is left is measured more than it is supposed. The same whoever made the enhanced
            map: what the data determine needs no learned opinion.
        supported_sigma: (element, s*y, s*x) one standard deviation of ``supported`` against the truth blurred alike.
        null_share: (element, y, x) share of the map's local structure that changes no reading: from the prior alone.
        denial: (element, y, x) `models.superres.consistency.denial`.
        denied_above: (element,) size above which a denial is none of chance: 1 in 100 points of a right map reach it.
        flags: of each element, warnings in words; empty where there is nothing to warn of.
    """

    period_nm: tuple[float, ...]
    supported: Map
    supported_sigma: Map
    null_share: Map
    denial: Map
    denied_above: tuple[float, ...]
    flags: tuple[tuple[str, ...], ...]


def judge(
    enhanced: EnhancedMaps,
    coarse: ElementMaps,
    probe: Probe,
    motion: Motion,
    calibration: Calibration = NOT_CALIBRATED,
    supported_factors: Factors = SUPPORTED_FACTORS,
) -> Trust:
    """Judge enhanced maps by the scan that they come from.

    Args:
        enhanced: to be judged.
        coarse: that they were made from.
        probe: of the scan.
        motion: of the scan.
        calibration: of their enhancer.
        supported_factors: on the sigma of the supported map.

    Raises:
        ValueError: the fine maps do not cover the coarse ones, or an element was measured nowhere.
    """
    scale = enhanced.values.shape[-1] // coarse.mask.shape[1]
    kernel = matched_kernel(probe, coarse.pixel_size_nm, scale, motion)
    maps = list(coarse_maps(coarse))
    spectra = scan_spectra(probe, maps[0].values.shape, coarse.pixel_size_nm, scale, motion)
    estimates = [estimate(element, spectra) for element in maps]
    supports = [
        support(result, element, probe, coarse.pixel_size_nm, scale, motion)
        for result, element in zip(estimates, maps, strict=True)
    ]
    blurs = [blur_sigma_px(one.period_nm, enhanced.pixel_size_nm) for one in supports]
    counts = [peak_counts(element) for element in maps]
    denied_above = [factor_at(calibration.denied_above, level, CHANCE) for level in counts]
    denied = denial(enhanced.values, coarse, probe, motion, scale)
    return Trust(
        period_nm=tuple(one.period_nm for one in supports),
        supported=np.array(
            [blurred(fine_map(result, spectra), px) for result, px in zip(estimates, blurs, strict=True)]
        ),
        supported_sigma=np.array(
            [
                np.float32(factor_at(supported_factors, level) * one.sigma_share)
                * np.sqrt(blurred(posterior_sigma(result, element, spectra) ** 2, px))
                for level, one, result, element, px in zip(counts, supports, estimates, maps, blurs, strict=True)
            ]
        ),
        null_share=np.array([_null_share(plane, kernel, scale) for plane in enhanced.values], np.float32),
        denial=denied,
        denied_above=tuple(denied_above),
        flags=tuple(
            _flags(element, chi, np.abs(denied[index]) > denied_above[index]) + enhanced.remarks
            for index, (element, chi) in enumerate(zip(maps, enhanced.consistency, strict=True))
        ),
    )


@dataclass(frozen=True)
class Support:
    """What the data carry of one map.

    Attributes:
        period_nm: full period of the finest structure of which they determine more than half of the variance.
        sigma_share: standard deviation of the error that is left at that resolution over that of the full map's.
    """

    period_nm: float
    sigma_share: float


def support(
    result: LinearEstimate, coarse: CoarseMap, probe: Probe, step_nm: float, scale: int, motion: Motion
) -> Support:
    """What the data carry of a map, by the prior that its linear estimate fitted to it.

    With the prior P fitted to the map, the transfer T of the scan and the noise N, the data determine at a frequency f
    the share |T|^2 P over s^2 (S + N) of the variance, where S is the mean of |T|^2 P over the aliases of f: noise and
    aliasing both count. The rest of P is error. A map without structure beyond its noise is supported down to no more
    than its field of view.

    Source: posterior variance of the linear estimate, Kay (1993), eq. 12.21.
    """
    spectra = scan_spectra(probe, coarse.values.shape, step_nm, scale, motion)
    _, binning = matched_probe(probe, step_nm, scale)
    kernel = matched_kernel(probe, step_nm, scale, motion)
    pixel_nm = step_nm / scale
    fine = (scale * spectra.padded[0], scale * spectra.padded[1])
    fy, fx = (np.fft.fftfreq(n, pixel_nm) for n in fine)
    squared = fy[:, None] ** 2 + fx[None, :] ** 2
    spectrum = transfer(torch.from_numpy(kernel)[None], scale, fine)
    power = torch.from_numpy(result.strength / binning**2 * result.law.spectrum(squared))[None, None]
    passed = power * (spectrum.real**2 + spectrum.imag**2)
    noise = float(coarse.variance[coarse.measured].mean())
    share = (passed / (scale**2 * (unfolded(folded(passed, scale), scale) + noise)))[0, 0].numpy()
    ring_per_nm = 1 / (pixel_nm * max(fine))
    ring = np.rint(np.sqrt(squared) / ring_per_nm).astype(int).ravel()
    carried = np.bincount(ring, share.ravel()) / np.bincount(ring)
    lost = np.flatnonzero(carried[1:] < _CARRIED)
    last = max(1, int(lost[0])) if len(lost) else len(carried) - 1
    field_of_view_nm = step_nm * max(coarse.values.shape)
    period_nm = float(np.clip(1 / (last * ring_per_nm), 2 * pixel_nm, max(field_of_view_nm, 2 * pixel_nm)))
    error = power[0, 0].numpy() * np.clip(1 - share, 0, 1)
    passing = np.exp(-((2 * np.pi * pixel_nm * blur_sigma_px(period_nm, pixel_nm)) ** 2) * squared)
    return Support(period_nm, float(np.sqrt(np.sum(error * passing) / max(float(np.sum(error)), 1e-300))))


def blur_sigma_px(period_nm: float, pixel_nm: float) -> float:
    """Of the Gaussian that takes a map to a supported period: half of the period wide at half maximum."""
    return period_nm / 2 / FWHM_PER_SIGMA / pixel_nm


def blurred(plane: NDArray[np.floating], sigma_px: float) -> Map:
    """A map after a Gaussian, mirrored at its border."""
    return np.asarray(gaussian_filter(plane, sigma_px, mode="reflect"), np.float32)


def _null_share(values: Map, kernel: NDArray[np.float32], scale: int) -> NDArray[np.float64]:
    """(y, x) energy of the part that the scan maps to nothing over that of all structure, around each point."""
    border = scale * _MIRRORED_PX
    mirrored = np.pad(values.astype(np.float64), border, mode="symmetric")
    shape = (mirrored.shape[0], mirrored.shape[1])
    spectrum = transfer(torch.from_numpy(kernel).double()[None], scale, shape)
    seen = folded(spectrum.real**2 + spectrum.imag**2, scale)
    inverse = torch.where(seen > _SEEN_AT_ALL * seen.max(), 1 / seen, 0)
    fine = torch.fft.fft2(torch.from_numpy(mirrored)[None, None])
    measured = torch.fft.ifft2(spectrum.conj() * unfolded(folded(fine * spectrum, scale) * inverse, scale)).real
    unseen = (mirrored - measured[0, 0].numpy())[border:-border, border:-border]
    structure = values - gaussian_filter(values.astype(np.float64), 2.0 * scale, mode="reflect")
    null, whole = (uniform_filter(_block_mean(part**2, scale), 3, mode="reflect") for part in (unseen, structure))
    floor = 1e-6 * max(float(np.mean(values.astype(np.float64) ** 2)), np.finfo(np.float64).tiny)
    return np.asarray(np.clip(null / (np.maximum(whole, null) + floor), 0, 1))


def _block_mean(values: NDArray[np.float64], scale: int) -> NDArray[np.float64]:
    rows, points = values.shape[0] // scale, values.shape[1] // scale
    return np.asarray(values.reshape(rows, scale, points, scale).mean(axis=(1, 3)))


def _flags(coarse: CoarseMap, chi_squared: Map, denied: NDArray[np.bool_]) -> tuple[str, ...]:
    found = []
    counts, missing = peak_counts(coarse), 1 - float(coarse.measured.mean())
    if counts < LOW_COUNTS:
        found.append(f"counts low: about {counts:.2g} in the brightest points")
    if np.isfinite(chi_squared).any() and (typical := float(np.nanmedian(chi_squared))) > HIGH_CHI_SQUARED:
        found.append(f"chi^2 high: {typical:.1f} per point; is the probe, or the noise, another one?")
    if (share := float(np.count_nonzero(denied) / coarse.measured.sum())) > MANY_DENIED:
        found.append(f"the measurement denies {share:.0%} of the map: see denial")
    if missing > MANY_MISSING:
        found.append(f"{missing:.0%} of the points are missing")
    return tuple(found)
