"""What a specimen takes from a beam that passes through it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.physics.templates import G_PER_UG
from models.physics.xray import attenuation_cm2_g


def optical_depth(
    areal_density_ug_cm2: NDArray[np.floating], elements: Sequence[str], energy_kev: float
) -> NDArray[np.float32]:
    """Minus the logarithm of the share of photons that gets through, (y, x).

    Args:
        areal_density_ug_cm2: (element, y, x).
        elements: symbols in the order of the first axis.
        energy_kev: of the photons.

    Raises:
        ValueError: there is no such element, or not one for each plane.

    Source: Beer and Lambert's law; Als-Nielsen & McMorrow, Elements of Modern X-ray Physics (2011), ch. 1.
    """
    if len(areal_density_ug_cm2) != len(elements):
        raise ValueError(f"areal_density_ug_cm2 has {len(areal_density_ug_cm2)} planes for {', '.join(elements)}")
    per_ug = np.array([attenuation_cm2_g(element, energy_kev) * G_PER_UG for element in elements])
    return np.asarray(np.tensordot(per_ug, areal_density_ug_cm2, axes=1), np.float32)
