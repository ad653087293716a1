"""The probe: the partially coherent wavefield that lights the specimen, from optics or from a file."""

import zipfile
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.physics.focus import check_positive, focus_modes
from models.physics.xray import FWHM_PER_SIGMA

_OFF_CENTRE_PX = 0.02  # tolerated by the record: a tenth of what costs 0.01 dB
_CENTRED_PX = 1e-4  # below this, centring again would only change the last bits
_ALIASED_POWER = 1e-3
_PROFILE_UPSAMPLING = 32


@dataclass(frozen=True, eq=False)
class Probe:
    """Incoherent modes of the beam in the specimen's plane; two probes are the same when their `digest` is.

    Attributes:
        modes: (mode, y, x) complex64, square, even side; the centroid of the intensity lies on pixel side // 2.
            The power of a mode is its sum of squares.
        pixel_size_nm: side of a pixel.
        energy_kev: of the photons.
        description: for people.
        moved_nm: way of the stage along x that the intensity holds already, as of a probe that was found from a
            fly-scan by a program that knew nothing of the motion; a fly-scan's kernel adds only what is missing.
    """

    modes: NDArray[np.complex64]
    pixel_size_nm: float
    energy_kev: float
    description: str = ""
    moved_nm: float = 0.0

    def __post_init__(self) -> None:
        check_positive(pixel_size_nm=self.pixel_size_nm, energy_kev=self.energy_kev)
        if not (np.isfinite(self.moved_nm) and self.moved_nm >= 0):
            raise ValueError(f"moved_nm is {self.moved_nm}: pass 0, or the way of the stage that is in the probe")
        _check_modes(self.modes)
        offset = np.abs(centroid_offset_px(self.modes))
        if offset.max() > _OFF_CENTRE_PX:
            raise ValueError(
                f"the intensity is {offset[0]:.3f}, {offset[1]:.3f} px (y, x) off the window's centre: "
                f"build the probe with Probe.centred"
            )

    @classmethod
    def centred(
        cls,
        modes: NDArray[np.complexfloating],
        pixel_size_nm: float,
        energy_kev: float,
        description: str = "",
        moved_nm: float = 0.0,
    ) -> "Probe":
        """A probe from modes that may lie off the middle of their window; shifts them, by fractions of a pixel."""
        _check_modes(modes)
        offset = centroid_offset_px(modes)
        if np.abs(offset).max() > _CENTRED_PX:
            modes = shifted(modes, -offset)
        return cls(np.ascontiguousarray(modes, np.complex64), pixel_size_nm, energy_kev, description, moved_nm)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Probe) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @cached_property
    def digest(self) -> str:
        """Of everything that changes a measurement with this probe."""
        content = sha256(np.ascontiguousarray(self.modes).tobytes())
        moved = f" {self.moved_nm!r}" if self.moved_nm else ""
        content.update(f"{self.modes.shape} {self.pixel_size_nm!r} {self.energy_kev!r}{moved}".encode())
        return content.hexdigest()[:16]

    def intensity(self) -> NDArray[np.float32]:
        """(y, x), summed over modes, unit sum: where a photon of this beam falls."""
        intensity = np.sum(np.abs(self.modes.astype(np.complex128)) ** 2, axis=0)
        return np.asarray(intensity / intensity.sum(), np.float32)

    def mode_power(self) -> NDArray[np.float64]:
        """(mode,), each mode's share of the photons."""
        power = np.sum(np.abs(self.modes.astype(np.complex128)) ** 2, axis=(1, 2))
        return np.asarray(power / power.sum())

    def fwhm_nm(self) -> tuple[float, float]:
        """Full width at half maximum (y, x) of the cuts through the brightest pixel."""
        intensity = self.intensity()
        row, column = np.unravel_index(np.argmax(intensity), intensity.shape)
        return _fwhm_px(intensity[:, column]) * self.pixel_size_nm, _fwhm_px(intensity[row]) * self.pixel_size_nm

    def extent_nm(self, share: float = 0.9) -> float:
        """Diameter of the disc about the window's middle that holds this share of the photons."""
        intensity = self.intensity()
        y, x = np.indices(intensity.shape) - len(intensity) // 2
        radius = np.hypot(y, x).ravel()
        order = np.argsort(radius, kind="stable")
        within = np.searchsorted(np.cumsum(intensity.ravel()[order]), share)
        return float(2 * radius[order][min(int(within), len(order) - 1)] * self.pixel_size_nm)

    def resampled(self, pixel_size_nm: float) -> "Probe":
        """The same band-limited wavefield, with the same power, sampled at other pixels over (nearly) the same window.

        Raises:
            ValueError: the intensity has structure finer than two of the new pixels.
        """
        check_positive(pixel_size_nm=pixel_size_nm)
        if pixel_size_nm == self.pixel_size_nm:
            return self
        self._check_sampling(pixel_size_nm)
        n = self.modes.shape[-1]
        n_new = 2 * int(n * self.pixel_size_nm / (2 * pixel_size_nm) + 1e-9)
        positions_px = (np.arange(n_new) - n_new // 2) * (pixel_size_nm / self.pixel_size_nm)
        spectra = np.fft.fft2(np.fft.ifftshift(self.modes.astype(np.complex128), axes=(-2, -1)))
        waves = np.exp(2j * np.pi * positions_px[:, None] * np.fft.fftfreq(n))
        modes = waves @ spectra @ waves.T
        modes *= np.linalg.norm(self.modes) / np.linalg.norm(modes)
        return Probe.centred(modes, pixel_size_nm, self.energy_kev, self.description, self.moved_nm)

    def _check_sampling(self, pixel_size_nm: float) -> None:
        intensity = self.intensity()
        power = np.abs(np.fft.fft2(intensity)) ** 2
        frequencies = np.abs(np.fft.fftfreq(len(intensity), self.pixel_size_nm))
        lost = np.maximum(frequencies[:, None], frequencies) > 0.5 / pixel_size_nm * (1 + 1e-9)
        share = float(power[lost].sum() / power.sum())
        if share > _ALIASED_POWER:
            raise ValueError(
                f"pixels of {pixel_size_nm:g} nm would alias {share:.1%} of the probe's structure: "
                f"pass smaller pixels (it has {self.pixel_size_nm:g} nm now)"
            )


def zone_plate_probe(
    *,
    outermost_zone_nm: float = 30.0,
    diameter_um: float = 250.0,
    central_stop_um: float = 85.0,
    energy_kev: float = 10.0,
    defocus_um: float = 0.0,
    astigmatism_um: float = 0.0,
    source_fwhm_nm: float = 29.5,
    n: int = 128,
    pixel_size_nm: float = 7.5,
    n_modes: int = 12,
) -> Probe:
    """The first-order focus of a Fresnel zone plate with a central stop; the defaults give 40 nm at half maximum.

    Args:
        outermost_zone_nm: dr; the numerical aperture is wavelength / (2 dr), so no structure of the intensity has a
            period below dr.
        diameter_um: of the zone plate.
        central_stop_um: diameter of the disc that takes the unfocused light; 0 for none.
        energy_kev: of the photons.
        defocus_um: how far behind the focus the specimen stands.
        astigmatism_um: the horizontal focus lies this far upstream of the vertical one.
        source_fwhm_nm: of the demagnified source; it blurs the intensity and makes the modes.
        n: pixels along a side of the window, even.
        pixel_size_nm: of the window.
        n_modes: strongest orthogonal modes to keep (of the default probe, 1 keeps 50 %, 12 keep 99.8 % of the power).

    Raises:
        ValueError: a length makes no sense, or the window cannot hold or sample the beam.

    Source: Attwood, Soft X-Rays and Extreme Ultraviolet Radiation (1999), ch. 9; see `focus_modes`.
    """
    check_positive(outermost_zone_nm=outermost_zone_nm, diameter_um=diameter_um)
    if not 0 <= central_stop_um < diameter_um:
        raise ValueError(f"central_stop_um is {central_stop_um}: pass 0 to less than diameter_um ({diameter_um:g})")
    edge = 0.5 / outermost_zone_nm
    stop = edge * central_stop_um / diameter_um

    def annulus(fy: NDArray[np.float64], fx: NDArray[np.float64]) -> NDArray[np.float64]:
        radius = np.hypot(fy, fx)
        return np.asarray((radius <= edge) & (radius >= stop), np.float64)

    focus_um = (defocus_um - astigmatism_um / 2, defocus_um + astigmatism_um / 2)
    _check_beam(energy_kev, source_fwhm_nm, pixel_size_nm, n_modes, focus_um)
    modes = focus_modes(annulus, edge, focus_um, energy_kev, source_fwhm_nm, (n, pixel_size_nm), n_modes)
    described = f"zone plate, outermost zone {outermost_zone_nm:g} nm, diameter {diameter_um:g} um"
    return Probe.centred(modes, pixel_size_nm, energy_kev, f"{described}, defocus {defocus_um:g} um")


def mll_probe(
    *,
    outermost_zone_nm: float = 20.0,
    energy_kev: float = 12.0,
    defocus_um: float = 0.0,
    astigmatism_um: float = 0.0,
    source_fwhm_nm: float = 18.5,
    n: int = 128,
    pixel_size_nm: float = 7.5,
    n_modes: int = 12,
) -> Probe:
    """The focus of a crossed pair of multilayer Laue lenses, a square pupil; the defaults give 25 nm at half maximum.

    Arguments are those of `zone_plate_probe`. Source: Nazaretski et al., J. Synchrotron Rad. 24 (2017) 1113.
    """
    check_positive(outermost_zone_nm=outermost_zone_nm)
    edge = 0.5 / outermost_zone_nm

    def square(fy: NDArray[np.float64], fx: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((np.abs(fy) <= edge) & (np.abs(fx) <= edge), np.float64)

    focus_um = (defocus_um - astigmatism_um / 2, defocus_um + astigmatism_um / 2)
    _check_beam(energy_kev, source_fwhm_nm, pixel_size_nm, n_modes, focus_um)
    modes = focus_modes(square, edge, focus_um, energy_kev, source_fwhm_nm, (n, pixel_size_nm), n_modes)
    described = f"multilayer Laue lenses, outermost zone {outermost_zone_nm:g} nm, defocus {defocus_um:g} um"
    return Probe.centred(modes, pixel_size_nm, energy_kev, described)


def gaussian_probe(fwhm_nm: float, *, energy_kev: float = 10.0, n: int = 128, pixel_size_nm: float = 7.5) -> Probe:
    """A coherent beam whose intensity is a round Gaussian."""
    check_positive(fwhm_nm=fwhm_nm, pixel_size_nm=pixel_size_nm)
    if not 2 * pixel_size_nm <= fwhm_nm <= n * pixel_size_nm / 4:
        raise ValueError(
            f"fwhm_nm is {fwhm_nm:g}: this window holds {2 * pixel_size_nm:g} to {n * pixel_size_nm / 4:g} nm"
        )
    x_nm = (np.arange(n) - n // 2) * pixel_size_nm
    amplitude = np.exp(-((x_nm * FWHM_PER_SIGMA / (2 * fwhm_nm)) ** 2))
    modes = np.outer(amplitude, amplitude)[None].astype(np.complex128)
    return Probe.centred(modes / np.linalg.norm(modes), pixel_size_nm, energy_kev, f"Gaussian, {fwhm_nm:g} nm")


def save_probe(path: Path | str, probe: Probe) -> None:
    """Write a probe as ``.npz``."""
    with Path(path).open("wb") as file:
        np.savez(
            file,
            modes=probe.modes,
            pixel_size_nm=probe.pixel_size_nm,
            energy_kev=probe.energy_kev,
            description=probe.description,
            moved_nm=probe.moved_nm,
        )


def load_probe(path: Path) -> Probe:
    """Read a probe that `save_probe`, or any program that writes the same keys, has written; centres it where needed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an ``.npz``, a key is missing, or what it holds is no probe; the message says which.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = {key: archive[key] for key in ("modes", "pixel_size_nm", "energy_kev")}
            description = str(archive["description"]) if "description" in archive else ""
            moved_nm = archive.get("moved_nm", 0.0)
    except KeyError as error:
        raise ValueError(
            f"{path} is no probe: {error.args[0]}; modes, pixel_size_nm and energy_kev are needed"
        ) from None
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no .npz archive of plain arrays ({error}): write it with save_probe") from error
    try:
        return Probe.centred(
            content["modes"],
            float(content["pixel_size_nm"]),
            float(content["energy_kev"]),
            description,
            float(moved_nm),
        )
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} holds no valid probe: {error}") from error


def _check_beam(
    energy_kev: float, source_fwhm_nm: float, pixel_size_nm: float, n_modes: int, focus_um: tuple[float, float]
) -> None:
    check_positive(energy_kev=energy_kev, pixel_size_nm=pixel_size_nm)
    if not (np.isfinite(source_fwhm_nm) and source_fwhm_nm >= 0):
        raise ValueError(f"source_fwhm_nm is {source_fwhm_nm}: pass 0 for a point source, or a positive number")
    if n_modes < 1:
        raise ValueError(f"n_modes is {n_modes}: pass at least 1")
    if not np.all(np.isfinite(focus_um)):
        raise ValueError(f"defocus and astigmatism give focal distances {focus_um} um: pass finite numbers")


def _check_modes(modes: NDArray[np.generic]) -> None:
    if modes.ndim != 3 or modes.shape[1] != modes.shape[2] or modes.shape[1] % 2 or not modes.size:
        raise ValueError(f"modes has shape {modes.shape}: (mode, y, x) is needed, square with an even side")
    if not np.iscomplexobj(modes):
        raise ValueError(f"modes has type {modes.dtype}: the complex wavefield is needed, not its amplitude")
    if not np.isfinite(modes).all() or not np.any(modes):
        raise ValueError("modes holds no finite, non-zero wavefield")


def centroid_offset_px(modes: NDArray[np.generic]) -> NDArray[np.float64]:
    """(y, x) of the intensity's circular centroid from pixel side // 2.

    The phase of the lowest frequency stands for the mean position: it moves exactly with the probe, and noise at the
    window's edge, which a mean would weigh most, does not pull it.
    """
    intensity = np.sum(np.abs(modes.astype(np.complex128)) ** 2, axis=0)
    n = len(intensity)
    turn = np.exp(2j * np.pi * (np.arange(n) - n // 2) / n)
    lowest = np.array([np.sum(intensity.sum(axis=1) * turn), np.sum(intensity.sum(axis=0) * turn)])
    return np.asarray(np.angle(lowest) * n / (2 * np.pi))


def shifted(planes: NDArray[np.generic], shift_px: ArrayLike) -> NDArray[np.complex128]:
    """Planes (..., y, x) moved by (y, x) pixels towards higher ones, exactly where they are band-limited.

    Source: the Fourier shift theorem.
    """
    shift_y, shift_x = np.asarray(shift_px, np.float64)
    f = np.fft.fftfreq(planes.shape[-1])
    ramp = np.exp(-2j * np.pi * (f[:, None] * shift_y + f[None, :] * shift_x))
    return np.asarray(np.fft.ifft2(np.fft.fft2(planes) * ramp))


def _fwhm_px(profile: NDArray[np.float32]) -> float:
    """Width at half maximum of the main lobe, on the band-limited profile sampled finely."""
    n = len(profile)
    fine = np.fft.irfft(np.fft.rfft(profile), n * _PROFILE_UPSAMPLING)
    peak = int(np.argmax(fine))
    lobe = np.roll(fine, len(fine) // 2 - peak) > fine[peak] / 2
    left, right = np.flatnonzero(~lobe[: len(fine) // 2]), np.flatnonzero(~lobe[len(fine) // 2 :])
    if not len(left) or not len(right):
        raise ValueError("the probe never falls to half of its peak in its window: it has no width to measure")
    return float(len(fine) // 2 + right[0] - left[-1] - 1) / _PROFILE_UPSAMPLING
