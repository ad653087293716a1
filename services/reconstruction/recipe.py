"""One volume, purely: element maps at many angles in, densities with their quality out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.tomo.algorithms import G_CM3_PER_UG_CM2_NM, Algorithm, Provenance
from models.tomo.centre import find_centre_px
from models.tomo.interruption import Cancelled, ReconstructionCancelledError, never_cancelled

Stack = NDArray[np.float32]
Volume = NDArray[np.float32]
Progress = Callable[[float, str], None]

MOST_FILLED = 0.05
"""Of an angle's points; one with more of them unmeasured is left out instead of being filled from neighbours."""
_AXIS_SHARE = 0.05  # of the progress
_RECONSTRUCT_SHARE = 0.9  # of an element's; the rest is its quality


@dataclass(frozen=True)
class Axis:
    """Where the rotation axis was taken to be, in pixels from the left edge of the grid."""

    centre_px: float
    sigma_px: float | None
    """One standard deviation; None where the centre was given."""
    method: str


@dataclass(frozen=True)
class Quality:
    """What the data themselves say of one element's volume.

    Attributes:
        reprojection_residual: ||A x - p|| / ||p|| over the angles used; noise is in it, so it is no error.
        mass_spread: standard deviation over mean of the mass seen at each angle; drifts show here.
        negative_fraction: mass of the negative voxels over the positive; noise, streaks, a wrong axis raise it.
    """

    reprojection_residual: float
    mass_spread: float
    negative_fraction: float


@dataclass(frozen=True)
class AngleChoice:
    """Which of the angles asked for can be used."""

    used: tuple[int, ...]
    excluded: tuple[int, ...]
    """Not done, or with too many points that were not measured in one of the elements."""
    filled_points: int
    """Unmeasured points of the used angles, over all elements: the algorithm fills them from their neighbours."""


@dataclass(frozen=True)
class Reconstruction:
    """Volumes on one grid, with how they came about."""

    volumes: Mapping[str, Volume]
    """(z, y, x) in g/cm^3 for each element."""
    axis: Axis
    choice: AngleChoice
    voxel_size_nm: float
    angular_sampling_limit_nm: float
    quality: Mapping[str, Quality]
    provenance: Mapping[str, Provenance]
    """How each element's volume was computed."""


def reconstruct_elements(
    stacks: Mapping[str, Stack],
    angles_deg: Sequence[float],
    done_angles: Sequence[int],
    pixel_size_nm: float,
    algorithm: Algorithm,
    parameters: Mapping[str, Any],
    centre_px: float | None = None,
    progress: Progress = lambda _fraction, _doing: None,
    cancelled: Cancelled = never_cancelled,
) -> Reconstruction:
    """Reconstruct every element about one rotation axis.

    Args:
        stacks: (angle, y, x) of each element in ug/cm^2; NaN where not measured.
        angles_deg: of the stacks; NaN where not known.
        done_angles: indices of the angles that are measured.
        pixel_size_nm: of the maps, and so of the voxels.
        algorithm: does the tomography.
        parameters: of the algorithm.
        centre_px: of the rotation axis in edge coordinates; None: found from the data.
        progress: told a fraction of the whole and what is being done.
        cancelled: asked often; True stops.

    Raises:
        ValueError: there is nothing to reconstruct from, or the axis cannot be found.
        ReconstructionCancelledError: ``cancelled`` said so.
    """
    choice = choose_angles(stacks, angles_deg, done_angles, algorithm.capabilities.fills_missing_pixels)
    angles = np.asarray(angles_deg, np.float64)[list(choice.used)]
    projections = {element: stack[list(choice.used)] for element, stack in stacks.items()}
    progress(0.0, "finding the rotation axis")
    axis = find_axis(projections, angles) if centre_px is None else Axis(centre_px, None, "given")
    volumes: dict[str, Volume] = {}
    quality: dict[str, Quality] = {}
    provenance: dict[str, Provenance] = {}
    for index, (element, stack) in enumerate(projections.items()):
        if cancelled():
            raise ReconstructionCancelledError(f"stopped before {element}, as asked")
        tell = _part_of(progress, index, len(projections), f"reconstructing {element}")
        volumes[element] = algorithm.reconstruct(
            stack,
            angles,
            axis.centre_px,
            pixel_size_nm,
            progress=tell,
            cancelled=cancelled,
            account=partial(provenance.__setitem__, element),
            **parameters,
        )
        reprojected = algorithm.project(volumes[element], angles, axis.centre_px, stack.shape[-1])
        quality[element] = assess(volumes[element], reprojected * (pixel_size_nm / G_CM3_PER_UG_CM2_NM), stack)
    width_nm = pixel_size_nm * next(iter(stacks.values())).shape[-1]
    return Reconstruction(
        volumes, axis, choice, pixel_size_nm, angular_sampling_limit(angles, width_nm), quality, provenance
    )


def choose_angles(
    stacks: Mapping[str, Stack], angles_deg: Sequence[float], done_angles: Sequence[int], may_fill: bool
) -> AngleChoice:
    """Take the angles that are done and measured nearly everywhere in every element.

    Raises:
        ValueError: there is none.
    """
    unmeasured = np.stack([~np.isfinite(stack) for stack in stacks.values()])
    worst = unmeasured.mean(axis=(2, 3)).max(axis=0)
    allowed = MOST_FILLED if may_fill else 0.0
    good = (worst <= allowed) & np.isfinite(angles_deg)
    used = [index for index in sorted(done_angles) if good[index]]
    if not used:
        raise ValueError(
            f"none of the {len(done_angles)} angles that are done is measured well enough in {', '.join(stacks)}: "
            f"each lacks its angle or more than {allowed:.0%} of the points of a map"
        )
    excluded = sorted(set(range(len(angles_deg))) - set(used))
    return AngleChoice(tuple(used), tuple(excluded), int(np.count_nonzero(unmeasured[:, used])))


def find_axis(projections: Mapping[str, Stack], angles_deg: NDArray[np.float64]) -> Axis:
    """The rotation axis as all the elements together show it."""
    estimate = find_centre_px(np.stack(list(projections.values())), angles_deg)
    return Axis(estimate.value_px, estimate.sigma_px, estimate.method)


def assess(volume: Volume, reprojected: Stack, projections: Stack) -> Quality:
    """What the projections say of a volume, where they are measured; both in ug/cm^2."""
    measured = np.isfinite(projections)
    misfit = np.linalg.norm((reprojected - projections)[measured])
    mass = np.where(measured, projections, 0).sum(axis=(1, 2), dtype=np.float64)
    positive, negative = (float(np.clip(sign * volume, 0, None).sum(dtype=np.float64)) for sign in (1, -1))
    return Quality(
        reprojection_residual=_ratio(float(misfit), float(np.linalg.norm(projections[measured]))),
        mass_spread=_ratio(float(mass.std()), abs(float(mass.mean()))),
        negative_fraction=_ratio(negative, positive),
    )


def angular_sampling_limit(angles_deg: NDArray[np.float64], width_nm: float) -> float:
    """Finest detail in nm that the angles support throughout a field of view: its width times the widest gap.

    Source: Crowther, DeRosier, Klug, Proc. R. Soc. A 317 (1970) 319: d = pi D / N for N even angles over half a turn.
    """
    half_turn = np.sort(np.mod(angles_deg, 180.0))
    gaps = np.diff(half_turn, append=half_turn[0] + 180.0)
    return float(width_nm * np.deg2rad(gaps.max()))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _part_of(progress: Progress, index: int, count: int, doing: str) -> Callable[[float], None]:
    share = (1 - _AXIS_SHARE) / count

    def tell(fraction: float) -> None:
        progress(_AXIS_SHARE + share * (index + _RECONSTRUCT_SHARE * fraction), doing)

    return tell
