"""How well maps are known: what becomes of them with other measurements of the same kind.

Pairs bootstrap: measurements, patterns and counts together, are drawn anew with replacement, the transmission picture
gets its noise once more, and the maps are found again. Measurements alone would tell half: edges come from the picture.
What the penalty does to all of them alike does not show in their spread; so it is widened by a factor, found once on
simulated specimens (`tests/benchmarks/singlepixel.py`), for which 90 % intervals of map +- 1.645 sigma hold 90 %.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from models.singlepixel.setup import Progress, Setup
from models.singlepixel.variation_methods import Found

N_DRAWS = 8
_N_ITERATIONS = 50
_SMOOTHED_PX = 3
"""Eight draws know a variance to half of itself; neighbours have nearly the same."""
WIDENING = 1.05
"""Specimens 30 to 35 of `tests/support/singlepixel.py`, 5 %, 1e6 to 1e4 counts: 0.78 to 1.41 each, in the mean this."""
_LEAST = 0.05
"""Of the mean sigma: where a map is nought in every draw it is still not known without error."""


def bootstrap_sigma(setup: Setup, found: Found, progress: Progress) -> NDArray[np.float32] | None:
    """(E, y, x) one standard deviation, in the units of the setup; None where the method cannot be drawn again."""
    n = setup.operator.n_patterns
    if found.again is None or n < 2:
        return None
    progress("uncertainty", 0.0)
    rng = np.random.default_rng(setup.seed + 1)
    drawn = rng.multinomial(n, np.full(n, 1 / n), N_DRAWS).astype(np.float32)
    weights = torch.from_numpy(drawn).to(setup.operator.device)
    draws = found.again(weights, _N_ITERATIONS).cpu().numpy()
    variance = ((draws - found.maps.cpu().numpy()[None]) ** 2).mean(0)
    smooth = uniform_filter(variance.astype(np.float64), (0, _SMOOTHED_PX, _SMOOTHED_PX), mode="nearest")
    sigma = WIDENING * np.sqrt(np.maximum(smooth, 0))
    return np.asarray(np.maximum(sigma, _LEAST * sigma.mean((1, 2), keepdims=True)), np.float32)
