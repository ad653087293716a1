"""The object as people want to see it."""

import numpy as np
from numpy.typing import NDArray

from models.ptychography.fit import Wave
from models.ptychography.frames import Frames


def flat_phase(obj: Wave, frames: Frames) -> NDArray[np.float64]:
    """(y, x) phase in radians where the beam was, without the ramp and the offset that no frame can tell.

    The ramp is that of the mean turn from pixel to pixel.
    """
    height, width = np.ptp(frames.positions_px, axis=0).astype(int)
    margin = frames.side_px // 2
    lit = obj[margin : margin + height + margin // 2, margin : margin + width + margin // 2]
    turn_y = np.angle(np.sum(np.conj(lit[:-1]) * lit[1:]))
    turn_x = np.angle(np.sum(np.conj(lit[:, :-1]) * lit[:, 1:]))
    flat = lit * np.exp(-1j * (turn_y * np.arange(len(lit))[:, None] + turn_x * np.arange(lit.shape[1])))
    return np.asarray(np.angle(flat * np.exp(-1j * np.angle(flat.sum()))))
