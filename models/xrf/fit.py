"""Spectra to element maps with one linear fit, its variance included."""

from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.run_schema import XrfDetector
from models.xrf.lines import FitBasis, fit_basis
from models.xrf.maps import ElementMaps
from models.xrf.normalisation import point_weights

Pixel = TypeVar("Pixel", bound=np.generic)

SPECTRA_AT_ONCE = 256  # as float32 over the fitted channels they stay within a core's cache


@dataclass(frozen=True)
class MapFit:
    """The unweighted least-squares fit of lines and a polynomial continuum, one pseudo-inverse for a whole map.

    Unweighted and unclipped, so that maps are unbiased also where counts are few. Dead-time correction, I0
    normalisation, the sum over detector elements and the fit are linear and commute: the fit goes first, being what
    makes the arrays small. Counts are Poisson, hence var(coefficient_e) = sum_c weight_ec^2 counts_c. The specimen is
    taken as thin: no self-absorption.

    Attributes:
        elements: to map, ``Zn``, or with a shell ``Pt_L``.
        detector: energy calibration, resolution, solid angle, photons per monitor count.
        energy_kev: of the incident photons.
        neighbours: further elements, fitted and not mapped, so that their counts do not end up in those asked for.
        continuum_order: of the polynomial.
        energy_range_kev: fitted range; None takes what the lines need.

    Raises:
        ValueError: an element is unknown, not excited or outside the range, or cannot be told from another one.

    Source: Ryan & Jamieson, Nucl. Instrum. Meth. B 77 (1993) 203 (a spectrum's fit as one matrix, "dynamic analysis").
    """

    elements: tuple[str, ...]
    detector: XrfDetector
    energy_kev: float
    neighbours: tuple[str, ...] = ()
    continuum_order: int = 6
    energy_range_kev: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.elements:
            raise ValueError("elements is empty: name at least one element to fit")
        _ = self.basis  # now rather than at the first map: a wrong element is an error of whoever asks for it

    @cached_property
    def basis(self) -> FitBasis:
        """The columns of the fit."""
        return fit_basis(
            self.elements, self.neighbours, self.detector, self.energy_kev, self.continuum_order, self.energy_range_kev
        )

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """The pseudo-inverse's rows, (element, channel in the range): what a count there adds to an element's lines."""
        return np.asarray(np.linalg.pinv(self.basis.matrix)[: len(self.elements)])

    def fit(
        self,
        spectra: ArrayLike,
        *,
        live_time_s: ArrayLike,
        real_time_s: ArrayLike | None,
        i0: ArrayLike,
        i0_nominal: float,
        dwell_s: float,
        shape: tuple[int, int],
        pixel_size_nm: float,
    ) -> ElementMaps:
        """Fit every spectrum of a projection.

        Args:
            spectra: counts (row, point, detector, channel), integers or floats; a spectrum with NaN is left out.
            live_time_s: (row, point, detector); NaN or 0 where a detector element did not count.
            real_time_s: (row, point, detector), of which live_time_s is a part; None: the dwell.
            i0: (row, point) monitor counts; a point without a positive one is masked.
            i0_nominal: monitor counts per point that maps are normalised to.
            dwell_s: per point, for a detector that records no real time.
            shape: (rows, points) asked for; what spectra lack of it is masked.
            pixel_size_nm: of the maps.

        Returns:
            Maps of ``shape`` in ug/cm^2, NaN where masked.

        Raises:
            ValueError: shapes do not belong together, or spectra are not numbers.
        """
        spectra = _checked_spectra(spectra, self.detector, shape)
        if not (isfinite(i0_nominal) and i0_nominal > 0):
            raise ValueError(f"i0_nominal is {i0_nominal}: pass the positive monitor counts to normalise to")
        live = _per_point("live_time_s", live_time_s, spectra.shape[:3])
        real_given = np.full(live.shape, dwell_s) if real_time_s is None else real_time_s
        real = _per_point("real_time_s", real_given, live.shape)
        monitor = _per_point("i0", i0, spectra.shape[:2])
        counts, variance = self._line_counts(spectra)
        point = point_weights(live, real, monitor, i0_nominal, counted=np.all(np.isfinite(counts), axis=-1))
        per_unit = self.basis.counts_per_photon * i0_nominal * self.detector.photons_per_i0_count
        return ElementMaps(
            elements=tuple(self.elements),
            values=_maps(counts, point.weights, point.mask, per_unit, shape),
            variance=_maps(variance, point.weights**2, point.mask, per_unit**2, shape),
            mask=_padded(point.mask, shape, fill=False),
            pixel_size_nm=pixel_size_nm,
            counts_per_unit=(per_unit * self.detector.n_detectors).astype(np.float32),
        )

    def _line_counts(self, spectra: NDArray[np.generic]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Counts in each element's lines and their variance, both (row, point, detector, element)."""
        squared = self.weights**2
        projector = np.concatenate([self.weights, squared]).T.astype(np.float32)
        flat = spectra.reshape(-1, spectra.shape[-1])[:, self.basis.channels]
        result = np.empty((len(flat), projector.shape[1]), np.float32)
        for first in range(0, len(flat), SPECTRA_AT_ONCE):
            chunk = slice(first, first + SPECTRA_AT_ONCE)
            np.matmul(flat[chunk].astype(np.float32), projector, out=result[chunk])
        counts, variance = np.split(result.reshape(*spectra.shape[:3], projector.shape[1]), 2, axis=-1)
        # An empty spectrum is no certainty: it is worth one count, somewhere in the range.
        return counts, np.maximum(variance, squared.mean(axis=1).astype(np.float32))


def _checked_spectra(spectra: ArrayLike, detector: XrfDetector, shape: tuple[int, int]) -> NDArray[np.generic]:
    array = np.asarray(spectra)
    if array.dtype.kind not in "uif":
        raise ValueError(f"spectra have type {array.dtype}: pass counts as integers or floats")
    if array.ndim != 4 or array.shape[2:] != (detector.n_detectors, detector.n_channels):
        raise ValueError(
            f"spectra have shape {array.shape}: (row, point, detector, channel) is needed "
            f"with {detector.n_detectors} detectors of {detector.n_channels} channels"
        )
    if array.shape[0] > shape[0] or array.shape[1] > shape[1]:
        raise ValueError(
            f"spectra have {array.shape[:2]} rows and points, more than the {shape} asked for: check shape"
        )
    return array


def _per_point(name: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}: {shape}, as the spectra have, is needed")
    return array


def _maps(
    coefficients: NDArray[np.float32],
    weights: NDArray[np.float64],
    mask: NDArray[np.bool_],
    per_unit: NDArray[np.float64],
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Weighted sum over detector elements in units of areal density, (element, y, x), NaN where masked."""
    usable = np.where(weights[..., None] > 0, coefficients, 0)
    maps = np.einsum("ypde,ypd->eyp", usable, weights) / per_unit[:, None, None]
    return _padded(np.where(mask, maps, np.nan).astype(np.float32), shape, fill=np.nan)


def _padded(maps: NDArray[Pixel], shape: tuple[int, int], fill: float) -> NDArray[Pixel]:
    rows, points = maps.shape[-2:]
    padding = [(0, 0)] * (maps.ndim - 2) + [(0, shape[0] - rows), (0, shape[1] - points)]
    return np.pad(maps, padding, constant_values=fill)
