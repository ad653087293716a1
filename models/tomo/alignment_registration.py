"""By how much one image stands beside another, to a hundredth of a pixel."""

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from models.correlation_peak import peaks
from models.tomo.geometry import Array

Stack = NDArray[np.float32]

_UPSAMPLING = 10
"""Points per pixel around the peak."""


def offsets_px(references: Stack, images: Stack, most_px: float) -> tuple[Array, Array]:
    """Shifts (y, u) that bring each image onto its reference, (image,) each: the peak of their cross-correlation.

    The spectrum is not normalised, so that frequencies count by their signal; borders never meet.

    Args:
        references, images: (image, y, u), finite, on an empty background.
        most_px: largest shift looked for, along either axis.
    """
    shape = references.shape[1:]
    reach = [min(int(np.ceil(most_px)), n - 1) for n in shape]
    padded = [scipy.fft.next_fast_len(n + r + 1, real=True) for n, r in zip(shape, reach, strict=True)]
    spectrum = scipy.fft.rfft2(references, padded) * np.conj(scipy.fft.rfft2(images, padded))
    y, x = peaks(spectrum, padded, reach, _UPSAMPLING)
    return np.clip(y, -most_px, most_px), np.clip(x, -most_px, most_px)
