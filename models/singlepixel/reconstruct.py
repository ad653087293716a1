"""Element maps from structured illumination: one call, a table of methods, and a default that falls back by itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from models.singlepixel.baselines import pseudo_inverse, ridge
from models.singlepixel.measurement import PatternMeasurement
from models.singlepixel.phases import composition, phase_amounts, phase_shares
from models.singlepixel.setup import Progress, Setup, make_ready
from models.singlepixel.siren_methods import siren, siren_phase, siren_simplex
from models.singlepixel.uncertainty import bootstrap_sigma
from models.singlepixel.variation_methods import Found, by_variation, guided

Image = NDArray[np.float32]
Method = Callable[[Setup, float | None, Progress], Found]

AUTO = "auto"
_WORSE = 1.02
"""Misfit of measurements held out, over that of total variation alone, from which a guide is not believed."""


@dataclass(frozen=True, eq=False)
class SinglePixelResult:
    """What was found.

    Attributes:
        maps: (y, x) by element, in counts per unit of pattern: ``patterns @ map`` are counts.
        sigma: (y, x) by element, one standard deviation; maps +- 1.645 sigma hold 90 %. Empty where it was not asked
            for, or where the method has none.
        method: that was used.
        requested: that was asked for.
        lam: of its penalty; for total variation in the noise of the counts. None where it has none.
        notes: what was left out, where it fell back, and why.
        quality: ``held_out_misfit`` in noise variances (one is perfect), ``txm_explained``, ``txm_shift_y_px``,
            ``txm_shift_x_px``, ``sampling_ratio``.
        phase_fractions: share of the whole field by phase, where phases were given.
        phase_maps: (y, x) amount by phase, likewise.
    """

    maps: Mapping[str, Image]
    sigma: Mapping[str, Image]
    method: str
    requested: str
    lam: float | None
    notes: tuple[str, ...]
    quality: Mapping[str, float] = field(default_factory=dict)
    phase_fractions: Mapping[str, float] | None = None
    phase_maps: Mapping[str, Image] | None = None

    @property
    def elements(self) -> tuple[str, ...]:
        """In the order of the measurement."""
        return tuple(self.maps)


def _pinv(setup: Setup, _lam: float | None, _progress: Progress) -> Found:
    return Found(_tensor(setup, pseudo_inverse(setup.operator, setup.signals.double().cpu().numpy())), None)


def _ridge(setup: Setup, lam: float | None, _progress: Progress) -> Found:
    alpha = (lam if lam is not None else 1.0) * setup.noise**2 * setup.operator.n_patterns
    return Found(_tensor(setup, ridge(setup.operator, setup.signals.double().cpu().numpy(), alpha)), alpha)


METHODS: Mapping[str, Method] = {
    "guided": guided,
    "tv": by_variation,
    "siren": siren,
    "siren-simplex": siren_simplex,
    "siren-phase": siren_phase,
    "ridge": _ridge,
    "pinv": _pinv,
}
"""By name; `auto` takes the first, or the second where the picture in transmission is none or misleads."""


def reconstruct(
    measurement: PatternMeasurement,
    method: str = AUTO,
    *,
    lam: float | None = None,
    uncertainty: bool = True,
    phases: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> SinglePixelResult:
    """Find the maps of all elements together.

    Args:
        measurement: see `pattern_measurement`.
        method: of `METHODS`, or ``auto``.
        lam: of the penalty; chosen by measurements held out unless given.
        uncertainty: whether to find sigma, which takes about as long again.
        phases: amount of each element by phase, in counts per unit of the phase; fractions are found where given.
        seed: of what is held out and drawn; the same seed gives the same maps.
        device: of torch.
        progress: told the stage and the share of it that is done.

    Raises:
        ValueError: no such method; or it needs a TXM image and there is none.
    """
    if method != AUTO and method not in METHODS:
        raise ValueError(f"there is no method {method!r}: take {AUTO}, {', '.join(METHODS)}")
    tell = progress or _silent
    tell("patterns", 0.0)
    known = None if phases is None else composition(measurement.elements, phases)
    setup = make_ready(measurement, seed, device, None if known is None else known.T)
    name, found, notes = _automatic(setup, lam, tell) if method == AUTO else _asked(setup, method, lam, tell)
    maps = setup.counted(found.maps)
    sigma = bootstrap_sigma(setup, found, tell) if uncertainty else None
    widths = {} if sigma is None else _by_element(measurement, setup.counted(torch.from_numpy(sigma)))
    shares, amounts = _phases(setup, found, maps, phases)
    tell("done", 1.0)
    return SinglePixelResult(
        _by_element(measurement, maps),
        widths,
        name,
        method,
        found.lam,
        (*measurement.notes, *notes, *found.notes),
        _quality(setup, found),
        shares,
        amounts,
    )


def _asked(setup: Setup, method: str, lam: float | None, tell: Progress) -> tuple[str, Found, tuple[str, ...]]:
    return method, METHODS[method](setup, lam, tell), ()


def _automatic(setup: Setup, lam: float | None, tell: Progress) -> tuple[str, Found, tuple[str, ...]]:
    """Guided where the picture helps to foretell measurements that were held out, else by total variation alone."""
    told = _why_not_guided(setup)
    if not told:
        name, found, notes = _asked(setup, "guided", lam, tell)
        alone = _asked(setup, "tv", lam, tell)[1]
        if not found.misfit > _WORSE * alone.misfit:
            return name, found, notes
        told = (
            f"guided by the TXM image, held-out measurements are missed by {found.misfit:.2f} of their noise variance, "
            f"without it by {alone.misfit:.2f}: total variation alone"
        )
        return "tv", alone, (told,)
    name, found, notes = _asked(setup, "tv", lam, tell)
    return name, found, (*notes, told)


def _why_not_guided(setup: Setup) -> str:
    if not setup.pictures:
        return "there is no TXM image that shows anything: total variation alone"
    best = setup.pictures[-1]
    if best.tells:
        return ""
    return (
        f"the counts explain {best.explained:.0%} of the TXM image's signals, {best.by_chance:.0%} were chance: it "
        "shows something else; total variation alone"
    )


def _phases(
    setup: Setup, found: Found, maps: NDArray[np.float32], phases: Mapping[str, Mapping[str, float]] | None
) -> tuple[dict[str, float] | None, dict[str, Image] | None]:
    """Share of the field and map of each known phase."""
    if phases is None or setup.phases is None:
        return None, None
    amounts = phase_amounts(setup.phases.T, maps, setup.units) if found.phase_maps is None else found.phase_maps
    of_field = phase_shares(setup.phases.T, maps)
    shares = {name: float(share) for name, share in zip(phases, of_field, strict=True)}
    return shares, dict(zip(phases, amounts, strict=True))


def _quality(setup: Setup, found: Found) -> dict[str, float]:
    n, pixels = setup.operator.n_patterns, setup.operator.shape[0] * setup.operator.shape[1]
    figures = {"held_out_misfit": found.misfit, "sampling_ratio": n / pixels}
    if found.picture is not None:
        shift_y, shift_x = found.picture.shift_px
        figures |= {"txm_explained": found.picture.explained, "txm_shift_y_px": shift_y, "txm_shift_x_px": shift_x}
    return figures


def _by_element(measurement: PatternMeasurement, stack: NDArray[np.float32]) -> dict[str, Image]:
    return {name: np.asarray(image, np.float32) for name, image in zip(measurement.elements, stack, strict=True)}


def _tensor(setup: Setup, maps: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(maps).to(setup.operator.device)


def _silent(_stage: str, _fraction: float) -> None: ...
