"""One element's volume, with all that is to be said of how it came about."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.tomo.algorithms import ALGORITHMS, Provenance
from models.tomo.interruption import Progress
from services.offline.projection_files import ProjectionFile
from services.offline.tilt_geometry import TiltGeometry

_AREAL_DENSITY = frozenset({"ug/cm^2", "ug/cm2", "ug cm^-2", "ug/cm²", "µg/cm^2", "µg/cm²"})


@dataclass(frozen=True)
class Recipe:
    """What holds for every element.

    Attributes:
        algorithm: by name.
        parameters: of the algorithm; None: chosen from the data.
        source: the projections.
        geometry: of the projections.
        voxel_nm: None where it is not known.
        is_centre_given: by the user.
    """

    algorithm: str
    parameters: Mapping[str, Any]
    source: ProjectionFile
    geometry: TiltGeometry
    voxel_nm: float | None
    is_centre_given: bool


@dataclass(frozen=True, eq=False)
class ElementVolume:
    """What came out.

    Attributes:
        volume: (z, y, x); NaN everywhere for an element that was measured nowhere.
        units: of the volume.
        provenance: None for such an element.
        unmeasured_pixels: of the projections used.
        computed_s: how long it took.
    """

    volume: NDArray[np.float32]
    units: str
    provenance: Provenance | None
    unmeasured_pixels: int
    computed_s: float


def reconstruct_element(recipe: Recipe, element: str, progress: Progress) -> ElementVolume:
    """In g/cm^3 from projections in ug/cm^2 with a pixel size, else in their own unit per pixel."""
    source, geometry = recipe.source, recipe.geometry
    units = source.units[element]
    is_density = units in _AREAL_DENSITY and recipe.voxel_nm is not None
    units_of_volume = "g/cm^3" if is_density else f"{units} per pixel".strip()
    _, n_y, n_x = source.shape
    if element in geometry.unmeasured:
        return ElementVolume(np.full((n_x, n_y, n_x), np.nan, np.float32), units_of_volume, None, 0, 0.0)
    began = time.monotonic()
    stack = geometry.placed(source.read(element))
    accounts: list[Provenance] = []
    volume = ALGORITHMS[recipe.algorithm].reconstruct(
        stack,
        source.angles_deg[geometry.used],
        geometry.centre.value_px,
        recipe.voxel_nm if is_density else None,
        progress=progress,
        account=accounts.append,
        **recipe.parameters,
    )
    unmeasured = int(np.count_nonzero(~np.isfinite(stack)))
    return ElementVolume(volume, units_of_volume, accounts[-1], unmeasured, time.monotonic() - began)


def attributes_of(recipe: Recipe, done: ElementVolume) -> dict[str, Any]:
    """Every parameter as it was used, also those that nobody gave, and how they were found."""
    chosen = dict(done.provenance.chosen) if done.provenance else {}
    automatic = [name for name in chosen if recipe.parameters.get(name, chosen[name]) is None]
    used = {name: value for name, value in {**recipe.parameters, **chosen}.items() if name != "engine"}
    centre = recipe.geometry.centre
    return {
        "units": done.units,
        "voxel_size_nm": recipe.voxel_nm,
        "algorithm": recipe.algorithm,
        **used,
        "chosen_from_data": ", ".join(automatic if recipe.is_centre_given else [*automatic, "centre_px"]),
        "engine": done.provenance.engine if done.provenance else None,
        "engine_fallback": done.provenance.fallback if done.provenance else None,
        "centre_px": centre.value_px,
        "centre_sigma_px": centre.sigma_px,
        "centre_method": centre.method,
        "centre_reason": centre.reason,
        "aligned": recipe.geometry.alignment is not None,
        "n_angles": len(recipe.geometry.used),
        "unmeasured_pixels": done.unmeasured_pixels,
        "computed_s": round(done.computed_s, 3),
    }


def summary(element: str, recipe: Recipe, done: ElementVolume) -> str:
    """One line for people."""
    if done.provenance is None:
        return f"{element} was measured nowhere: it is written as NaN"
    shape = " x ".join(map(str, done.volume.shape))
    words = [f"{shape} by {recipe.algorithm} ({done.provenance.engine})"]
    for name, value in done.provenance.chosen.items():
        words.append(f"{name} {value:.4g}")
    if done.provenance.history:
        history = done.provenance.history
        words.append(f"{len(history.misfit)} iterations, misfit {history.misfit[-1]:.2%}")
    if done.unmeasured_pixels:
        words.append(f"{done.unmeasured_pixels} pixels not measured")
    return f"{', '.join(words)}; maximum {np.nanmax(done.volume):.4g} {done.units}; {done.computed_s:.1f} s"
