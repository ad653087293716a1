"""Patterns and counts in, element maps with their uncertainty out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.singlepixel.estimate import Estimate, Task, Told, keep_quiet
from models.singlepixel.measurement import PatternMeasurement
from models.singlepixel.methods import ANY_PIXELS, method_named
from models.singlepixel.phases import Stoichiometry, phase_amounts, phase_fractions, stoichiometry_of
from models.singlepixel.uncertainty import FACTORS, sigma_of

_RESAMPLE = 2


@dataclass(frozen=True, eq=False)
class SinglePixelResult:
    """Element maps of one measurement.

    Attributes:
        elements: in the order of the measurement.
        maps: (y, x) by element, float32, in counts per the patterns' unit: patterns times maps are the counts.
        sigma: (y, x) by element, one standard deviation: +-1.645 of it hold nine tenths; empty if not asked for.
        method: that made the maps.
        requested: that was asked for.
        lam: weight of the penalty, in the units of `models.singlepixel.system`; None where there is none.
        notes: measurements left out, fall-backs and why.
        quality: figures by name: ``held_out_misfit`` (rms, over what the counts vary by), ``txm_explained`` ...
        phase_fractions: share of the whole by phase; None where no phases were given.
        phase_maps: (y, x) amounts by phase; None where no phases were given.
    """

    elements: tuple[str, ...]
    maps: Mapping[str, NDArray[np.float32]]
    sigma: Mapping[str, NDArray[np.float32]]
    method: str
    requested: str
    lam: float | None
    notes: tuple[str, ...]
    quality: Mapping[str, float]
    phase_fractions: Mapping[str, float] | None = None
    phase_maps: Mapping[str, NDArray[np.float32]] | None = None

    def told(self) -> dict[str, Any]:
        """All but the arrays: how the maps were made and how good they are."""
        return {
            "method": self.method,
            "requested": self.requested,
            "lam": self.lam,
            "notes": list(self.notes),
            "quality": dict(self.quality),
            "phase_fractions": None if self.phase_fractions is None else dict(self.phase_fractions),
        }


def reconstruct(
    measurement: PatternMeasurement,
    method: str = "auto",
    *,
    seed: int = 0,
    progress: Told | None = None,
    phases: Stoichiometry | None = None,
    lam: float | None = None,
    uncertainty: bool = True,
    shape: tuple[int, int] | None = None,
    device: str = "cpu",
) -> SinglePixelResult:
    """Element maps of a single-pixel measurement.

    Args:
        measurement: built by `models.singlepixel.measurement.checked`.
        method: a name in `models.singlepixel.methods.METHODS`, or auto: guided by the TXM image if that helps, else tv.
        seed: of held-out measurements, resampling and networks.
        progress: told what is being done and the fraction of it that is.
        phases: by phase, the amount of each of its elements in the unit of the maps; adds fractions and maps of phases.
        lam: weight of the penalty; None: chosen by held-out measurements.
        uncertainty: also sigma.
        shape: (y, x) pixels of the maps over the same field, for the networks; None: those of the patterns.
        device: of torch.

    Raises:
        ValueError: no such method, or one whose needs the measurement does not meet.
    """
    run = method_named(method)
    if shape is not None and tuple(shape) != measurement.shape and method not in ANY_PIXELS:
        raise ValueError(
            f"{method} makes maps of {measurement.shape} pixels, as the patterns have: only the networks "
            f"{', '.join(ANY_PIXELS)} make others"
        )
    task = Task(measurement, seed, progress or keep_quiet, lam, phases, shape, uncertainty, device)
    if phases is not None:
        stoichiometry_of(phases, measurement.elements)
    found = run(task)
    elements = measurement.elements
    maps = dict(zip(elements, task.system.maps(found.images), strict=True))
    sigma = _sigma(task, found) if uncertainty else {}
    of_phases = _phase_maps(task, found, maps)
    return SinglePixelResult(
        elements,
        maps,
        sigma,
        found.method,
        method,
        found.lam,
        (*measurement.notes, *found.notes),
        found.quality,
        None if phases is None else phase_fractions(maps, phases),
        of_phases,
    )


def _sigma(task: Task, found: Estimate) -> dict[str, NDArray[np.float32]]:
    """(y, x) by element in the unit of the maps."""
    sigma = found.sigma
    if sigma is None:
        assert found.prior is not None
        told = partial(task.told, "resampling")
        sigma = sigma_of(task.system, found.prior, found.lam or 0.0, found.images, task.rng(_RESAMPLE), told)
    scaled = FACTORS[found.method] * sigma * task.system.units[:, None, None]
    return dict(zip(task.measurement.elements, scaled.astype(np.float32), strict=True))


def _phase_maps(
    task: Task, found: Estimate, maps: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]] | None:
    if task.phases is None:
        return None
    if found.phase_maps is None:
        return phase_amounts(maps, task.phases)
    return {name: values.astype(np.float32) for name, values in zip(task.phases, found.phase_maps, strict=True)}
