"""Print PSNR by strength of regularisation and counts, on procedural images of seeds 0 to 2, to tune the baselines.

Run from the repository's root, at most a minute of one core each, by method, step in nm and peak counts:
``OMP_NUM_THREADS=1 PYTHONPATH=. python tests/models/superres/baselines/tune.py poisson-tv 30 1000``.
"""

import sys
from collections.abc import Callable

import numpy as np
from conftest import Array, draw, poisson_readings

from models.physics.flyscan import FlyScanOperator, matched_probe
from models.physics.probe import gaussian_probe
from models.superres.baselines.least_squares import least_squares
from models.superres.baselines.poisson_tv import poisson_tv
from models.superres.baselines.readings import typical_counts
from models.superres.baselines.richardson_lucy import richardson_lucy
from models.superres.bicubic import cubic_weights

SEEDS = range(3)
SHAPE, SCALE = (20, 20), 4
WHOLE = np.ones(SHAPE, bool)
Method = Callable[[float, Array, float, FlyScanOperator], Array]


def bicubic(_strength: float, readings: Array, _peak: float, _operator: FlyScanOperator) -> Array:
    weights = cubic_weights(SHAPE[0], SCALE)
    return weights @ readings @ weights.T


def lucy(strength: float, readings: Array, peak: float, operator: FlyScanOperator) -> Array:
    return richardson_lucy(readings, peak, WHOLE, operator, deviance_level=strength, most_iterations=1000).values


def tv(strength: float, readings: Array, peak: float, operator: FlyScanOperator) -> Array:
    weight = strength * typical_counts(peak * readings) ** -0.5 / SCALE
    return poisson_tv(readings, peak, WHOLE, operator, weight, tolerance=3e-2, most_iterations=1000).values


def damped(strength: float, readings: Array, _peak: float, operator: FlyScanOperator) -> Array:
    return least_squares(readings, WHOLE, operator, strength / SCALE, tolerance=1e-4, most_iterations=1000).values


METHODS: dict[str, tuple[Method, tuple[float, ...]]] = {
    "bicubic": (bicubic, (0,)),
    "richardson-lucy": (lucy, (0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1)),
    "poisson-tv": (tv, (0.06, 0.12, 0.24, 0.48)),
    "least-squares": (damped, (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)),
}


def main(name: str, step_nm: float, peak: float) -> None:
    method, strengths = METHODS[name]
    probe, binning = matched_probe(gaussian_probe(40, n=32), step_nm, SCALE)
    operator = FlyScanOperator(probe, SHAPE, SCALE, "fly", binning)
    inside = (slice(operator.margin_px, -operator.margin_px),) * 2
    truths = [draw(seed, operator.fine_shape) for seed in SEEDS]
    scans = [poisson_readings(truth, operator, peak, seed) for seed, truth in enumerate(truths)]
    counts = np.mean([typical_counts(peak * readings) for readings in scans])
    print(f"{name}, {step_nm:g} nm, peak {peak:g}, typical {counts:.0f} counts")
    for strength in strengths:
        maps = [method(strength, readings, peak, operator) for readings in scans]
        errors = [np.mean((fine - truth[inside]) ** 2) for fine, truth in zip(maps, truths, strict=True)]
        print(f"{strength:g}: {np.mean(-10 * np.log10(errors)):.2f} dB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
