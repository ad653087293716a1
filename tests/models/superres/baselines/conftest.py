"""Tiny procedural specimens and the scans of them; `tune.py` takes seeds 0 to 99, tests take 1000 and above."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.physics.flyscan import FlyScanOperator
from models.physics.probe import Probe, gaussian_probe

Array = NDArray[np.float64]


def draw(seed: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A fine map (y, x) up to 1 of discs, bars or overlapping rectangles, on nothing or on a film."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape, np.float32)
    side = min(shape)
    kind = ("discs", "bars", "leaves")[seed % 3]
    film = rng.uniform(0.02, 0.2) if rng.random() < 0.5 else 0.0
    image = np.full(shape, rng.uniform(0, 0.5) if kind == "leaves" else film, np.float32)
    sizes = {
        "discs": rng.uniform(0.03, 0.18, 14),
        "bars": rng.uniform(0.02, 0.06, 16),
        "leaves": 0.01 + 0.3 * rng.uniform(0.1, 1, 120) ** 2,
    }
    for size in side * sizes[kind]:
        angle, row, column = rng.uniform(0, np.pi), rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        u = np.abs(np.cos(angle) * (y - row) + np.sin(angle) * (x - column))
        v = np.abs(np.cos(angle) * (x - column) - np.sin(angle) * (y - row))
        distance = {
            "discs": np.hypot(u, v) - size,
            "bars": np.maximum(u - size / 2, v - 0.3 * side),
            "leaves": np.maximum(u - size, v - size * rng.uniform(0.3, 1)),
        }[kind]
        cover, level = np.clip(0.5 - distance, 0, 1), rng.uniform(0.2, 1)
        image = image + cover * (level - image) if kind == "leaves" else np.maximum(image, cover * level)
    return np.asarray(image / image.max(), np.float32)


def poisson_readings(truth: NDArray[np.float32], operator: FlyScanOperator, peak_counts: float, seed: int) -> Array:
    """Poisson readings (y, x) of a fine map with its margin, in the map's unit: ``peak_counts`` make one unit."""
    expected = np.maximum(operator.forward(torch.from_numpy(truth)).numpy(), 0).astype(np.float64)
    return np.asarray(np.random.default_rng(seed).poisson(peak_counts * expected) / peak_counts)


@pytest.fixture(scope="session")
def probe() -> Probe:
    return gaussian_probe(40, n=32)


@pytest.fixture(scope="session")
def operator(probe: Probe) -> FlyScanOperator:
    """16 x 20 points of 30 nm, four fine pixels each."""
    return FlyScanOperator(probe, (16, 20), 4, "fly")


@pytest.fixture(scope="session")
def specimen() -> Callable[[int, tuple[int, int]], NDArray[np.float32]]:
    return draw


@pytest.fixture(scope="session")
def scan() -> Callable[[NDArray[np.float32], FlyScanOperator, float, int], Array]:
    return poisson_readings
