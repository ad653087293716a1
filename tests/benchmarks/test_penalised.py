"""Penalised likelihood beside filtered back-projection on simulated cathodes at few counts.

pytest tests/benchmarks/test_penalised.py -s -o addopts=--import-mode=importlib
"""

import numpy as np
import pytest

from models.phantoms.specimens import make_specimen
from models.quality.metrics import psnr
from models.tomo.algorithms import ALGORITHMS

WIDTH, N_ROWS, PIXEL_NM = 112, 16, 37.5
BRIGHTEST_COUNTS = 100


@pytest.mark.parametrize("seed", [5, 6])
@pytest.mark.parametrize(("n_angles", "wanted_db"), [(91, 3.0), (45, 5.0)])
def test_ospml_is_above_the_plain_ramp(seed: int, n_angles: int, wanted_db: float) -> None:
    specimen, angles_deg = make_specimen("zn-mn-cathode", seed), np.arange(n_angles) * 180 / n_angles
    stack = np.stack([specimen.areal_density_ug_cm2(angle, (N_ROWS, WIDTH), PIXEL_NM) for angle in angles_deg])
    truth = specimen.density_g_cm3((WIDTH, N_ROWS, WIDTH), PIXEL_NM)
    for index, element in enumerate(specimen.elements):
        per_count = float(stack[:, index].max()) / BRIGHTEST_COUNTS
        counts = np.random.default_rng(seed).poisson(stack[:, index] / per_count)
        data = (counts * per_count).astype(np.float32)

        def db(algorithm: str, data: np.ndarray = data, of: np.ndarray = truth[index], **parameters: str) -> float:
            return psnr(ALGORITHMS[algorithm].reconstruct(data, angles_deg, WIDTH / 2, PIXEL_NM, **parameters), of)

        ospml, ramp, hann = db("ospml_hybrid"), db("fbp"), db("fbp", window="hann")
        print(
            f"\ncathode {seed}, {element}, {n_angles} angles: OSPML {ospml:.2f} dB, "
            f"{ospml - ramp:+.2f} over the plain ramp, {ospml - hann:+.2f} over Hann"
        )
        assert ospml - ramp >= wanted_db
