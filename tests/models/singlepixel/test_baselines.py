import numpy as np
import pytest
from singlepixel import Simulated, speckle

from models.singlepixel.baselines import pseudo_inverse, ridge
from models.singlepixel.measurement import checked


def test_the_pseudo_inverse_is_numpys() -> None:
    for n_patterns in (20, 90):
        patterns = speckle(n_patterns, 8, seed=1, grits_px=(0.0,), contrasts=(0.6,))
        counts = np.random.default_rng(0).uniform(1, 2, n_patterns)
        found = pseudo_inverse(checked(patterns, {"Ni": counts}))[0]
        expected = np.linalg.pinv(patterns.reshape(n_patterns, -1).astype(np.float64), rcond=1e-6) @ counts
        np.testing.assert_allclose(found.ravel(), expected, atol=2e-3 * np.abs(expected).max())


def test_ridge_solves_its_normal_equations() -> None:
    patterns, counts = speckle(20, 8, seed=1), np.random.default_rng(0).uniform(1, 2, 20)
    found = ridge(checked(patterns, {"Ni": counts}), alpha=3.0)
    rows = patterns.reshape(20, -1).astype(np.float64)
    expected = np.linalg.solve(rows.T @ rows + 3.0 * np.eye(64), rows.T @ counts)
    np.testing.assert_allclose(found.maps[0].ravel(), expected, atol=1e-4 * np.abs(expected).max())


def test_the_counts_choose_a_ridge_that_noise_does_not_ruin(scan: Simulated) -> None:
    m = scan.measurement
    rng = np.random.default_rng(1)
    noisy = {e: c + 0.1 * c.std() * rng.standard_normal(len(c)) for e, c in m.counts.items()}
    measurement = checked(m.patterns, noisy)
    truth = np.stack(list(scan.truth.values()))
    chosen, inverse = ridge(measurement).maps, pseudo_inverse(measurement)
    assert np.linalg.norm(chosen - truth) < np.linalg.norm(inverse - truth)


def test_the_posterior_of_ridge_narrows_with_every_pattern(scan: Simulated) -> None:
    m = scan.measurement
    few = checked(m.patterns[:40], {"Ni": m.counts["Ni"][:40]})
    many = checked(m.patterns, {"Ni": m.counts["Ni"]})
    alpha = 1.0
    narrow, wide = (ridge(x, alpha=alpha, uncertainty=True) for x in (many, few))
    assert narrow.sigma is not None
    assert wide.sigma is not None
    relative = [r.sigma.mean() / np.abs(r.maps).mean() for r in (narrow, wide) if r.sigma is not None]
    assert np.isfinite(relative).all()
    assert (ridge(many, alpha=1e9, uncertainty=True).sigma > 0).all()


@pytest.mark.parametrize("method", [pseudo_inverse])
def test_one_pattern_lights_the_map_where_it_is_bright(method) -> None:
    patterns = speckle(1, 12, seed=2)
    found = method(checked(patterns, {"Ni": [100.0]}))[0]
    np.testing.assert_allclose(found / found.max(), patterns[0] / patterns[0].max(), atol=1e-5)
