"""The resolution that the data show: two volumes of every other angle each, and how they correlate."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.quality.correlation import FourierCorrelation, bit_threshold, fourier_correlation
from models.quality.criteria import ONE_SEVENTH, HalvesResolution, effective_share, halves_resolution
from models.quality.halves import SHARED_PRIOR_NOTE, odd_even_split
from models.quality.masks import cylindrical_mask
from services.catalog.records import MapSource

Stack = NDArray[np.float32]
Volume = NDArray[np.float32]
Array = NDArray[np.float64]

LEAST_ANGLES = 4
"""Two in each half."""
INDEPENDENT_NOTE = (
    "The angles were split first; the halves share the rotation axis, the shifts and the mask only. Half of the angles "
    "make a half noisier and poorer in directions than the volume, so this is what the data show at least."
)
_SOFT = 1 / 8
"""Of the shortest side: width of the mask's edge."""


@dataclass(frozen=True, eq=False)
class HalvesComparison:
    """How two halves of the angles agree.

    Attributes:
        source: of the maps.
        is_independent: False where the halves went through one prior: the curve then tells no resolution.
        note: to stand beside the curve wherever it is shown.
        pixel_size_nm: of the halves.
        curve: by shells.
        found: by each criterion.
    """

    source: MapSource
    is_independent: bool
    note: str
    pixel_size_nm: float
    curve: FourierCorrelation
    found: HalvesResolution

    @property
    def frequency_per_nm(self) -> Array:
        """(shell,)."""
        return self.curve.frequency_per_px / self.pixel_size_nm

    @property
    def thresholds(self) -> dict[str, Array]:
        """(shell,) of each criterion."""
        n_effective = self.found.n_eff_factor * self.curve.n_voxels
        return {
            "half_bit": bit_threshold(n_effective, 0.5),
            "one_bit": bit_threshold(n_effective, 1.0),
            "one_seventh": np.full(len(self.curve.values), ONE_SEVENTH),
        }

    @property
    def words(self) -> dict[str, str]:
        """The resolution by each criterion as it may be quoted; "<=" where two pixels are the limit."""
        return {name: str(getattr(self.found, name)) for name in ("half_bit", "one_bit", "one_seventh")}


def compare_halves(
    stack: Stack,
    angles_deg: Array,
    source: MapSource,
    pixel_size_nm: float,
    reconstruct: Callable[[Stack, Array], Volume],
) -> HalvesComparison:
    """Reconstruct every other angle and the others, and correlate the volumes within a soft cylinder.

    Args:
        stack: (angle, y, x), in place.
        angles_deg: one per projection, at least `LEAST_ANGLES`.
        source: enhanced maps share the enhancer's prior, and their comparison says so.
        pixel_size_nm: of the maps.
        reconstruct: projections and their angles to a volume (z, y, x).
    """
    split = odd_even_split(angles_deg)
    one, other = (reconstruct(stack[half], angles_deg[half]) for half in (split.even, split.odd))
    depth, height, width = one.shape
    edge = _SOFT * min(height, width)
    mask = cylindrical_mask((depth, height, width), (width - edge) / 2, height - edge, edge)
    curve = fourier_correlation(one, other, mask)
    found = halves_resolution(curve, pixel_size_nm, effective_share(mask))
    is_independent = source == "fitted"
    note = INDEPENDENT_NOTE if is_independent else SHARED_PRIOR_NOTE
    return HalvesComparison(source, is_independent, note, pixel_size_nm, curve, found)
