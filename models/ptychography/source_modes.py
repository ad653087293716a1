"""A probe and the size of its source as orthogonal incoherent modes."""

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import shifted
from models.ptychography.fit import Wave

_NODES = 7  # Gauss-Hermite along an axis; exact for what varies as a polynomial of degree 13 over the source
_KEPT = 0.9995  # of the power
_MOST = 16


def with_source(probe: Wave, source_px: tuple[float, float]) -> NDArray[np.complex64]:
    """(mode, n, n) strongest first: the probe at each point of a Gaussian source, made orthogonal.

    Args:
        probe: (mode, n, n) of a point source.
        source_px: standard deviation, y and x.

    Source: Thibault and Menzel, Nature 494 (2013) 68: mutual coherence as a sum of orthogonal modes.
    """
    n = probe.shape[-1]
    moved = [
        np.sqrt(weight_y * weight_x) * shifted(probe.astype(np.complex128), (y, x))
        for y, weight_y in _places(source_px[0])
        for x, weight_x in _places(source_px[1])
    ]
    states = np.concatenate(moved).reshape(-1, n * n)
    powers, mixtures = np.linalg.eigh(states @ states.conj().T)
    order = np.argsort(powers)[::-1]
    share = np.cumsum(powers[order]) / powers.sum()
    kept = min(int(np.searchsorted(share, _KEPT)) + 1, _MOST)
    modes = mixtures[:, order[:kept]].conj().T @ states
    return np.asarray(modes.reshape(kept, n, n), np.complex64)


def _places(sigma_px: float) -> list[tuple[float, float]]:
    if not sigma_px:
        return [(0.0, 1.0)]
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    return [(sigma_px * float(x), float(w)) for x, w in zip(nodes, weights / weights.sum(), strict=True)]
