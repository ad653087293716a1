"""Element maps: what the fit of spectra gives and everything after it takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ElementMaps:
    """Areal density of each element with the variance of its fit.

    Attributes:
        elements: names in the order of the first axis.
        values: (element, y, x) in ug/cm^2, float32; negative where noise makes it so; NaN where not measured.
        variance: (element, y, x) in (ug/cm^2)^2, of the fit; NaN where not measured.
        mask: (y, x), True where measured.
        pixel_size_nm: side of a pixel.
        counts_per_unit: (element,) detected counts of an element's lines per ug/cm^2 at nominal I0 and dwell.
    """

    elements: tuple[str, ...]
    values: NDArray[np.float32]
    variance: NDArray[np.float32]
    mask: NDArray[np.bool_]
    pixel_size_nm: float
    counts_per_unit: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = (len(self.elements), *self.mask.shape)
        for name in ("values", "variance"):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} has shape {getattr(self, name).shape}: {shape} is needed for {self.elements} over the mask"
                )
