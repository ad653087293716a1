"""The algorithms' contract: projector, progress, cancelling, refusals that say what is allowed."""

import numpy as np
import pytest

from models.tomo.algorithms import ALGORITHMS
from models.tomo.interruption import ReconstructionCancelledError

FBP = ALGORITHMS["fbp"]
STACK = np.ones((5, 3, 8), dtype=np.float32)
ANGLES = np.arange(5) * 36.0
TWO_BATCHES = np.ones((150, 1, 120), dtype=np.float32)
"""Just more pixel-angle pairs than FBP gathers at a time."""


def test_every_algorithm_tells_its_name() -> None:
    for name, algorithm in ALGORITHMS.items():
        assert algorithm.name == name
        assert algorithm.description.endswith(".")


def test_projection_at_zero_degrees_is_the_sum_along_the_beam() -> None:
    volume = np.random.default_rng(0).random((12, 5, 12)).astype(np.float32)
    assert FBP.project(volume, [0.0], 6.0, 12)[0] == pytest.approx(volume.sum(axis=0), rel=1e-5)


def test_projection_at_ninety_degrees_sees_z_as_u() -> None:
    volume = np.random.default_rng(0).random((12, 5, 12)).astype(np.float32)
    assert FBP.project(volume, [90.0], 6.0, 12)[0] == pytest.approx(volume.sum(axis=2).T, rel=1e-5)


def test_the_projector_agrees_with_exact_projections(full_scan) -> None:
    in_px = full_scan.truth * np.float32(full_scan.pixel_size_nm / 10)
    exact = full_scan.projections[::5]
    projected = FBP.project(in_px, full_scan.angles_deg[::5], 30.0, 60)
    error = np.linalg.norm(projected - exact) / np.linalg.norm(exact)
    assert error < 0.02


def test_the_projector_moves_with_the_centre(make_scan) -> None:
    moved = make_scan(np.arange(12) * 15.0, 27.3)
    in_px = moved.truth * np.float32(moved.pixel_size_nm / 10)
    errors = {
        c: np.linalg.norm(FBP.project(in_px, moved.angles_deg, c, 60) - moved.projections) for c in (26.8, 27.3, 27.8)
    }
    assert min(errors, key=errors.__getitem__) == 27.3


def test_projections_keep_the_mass_of_what_is_in_view() -> None:
    volume = np.zeros((16, 4, 16), dtype=np.float32)
    volume[4:12, :, 4:12] = np.random.default_rng(0).random((8, 4, 8))
    projected = FBP.project(volume, np.linspace(0, 170, 18), 10.0, 20)
    assert projected.sum(axis=(1, 2)) == pytest.approx(volume.sum(), rel=0.02)


def test_progress_rises_to_one() -> None:
    told: list[float] = []
    FBP.reconstruct(TWO_BATCHES, np.arange(150) * 1.2, 60.0, progress=told.append)
    assert told == sorted(told)
    assert len(told) > 1
    assert told[-1] == 1.0


def test_cancelling_stops_between_batches() -> None:
    told: list[float] = []
    with pytest.raises(ReconstructionCancelledError, match="as asked"):
        FBP.reconstruct(TWO_BATCHES, np.arange(150) * 1.2, 60.0, progress=told.append, cancelled=lambda: len(told) == 1)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": "hamming"}, "choose one of ramp, shepp-logan, cosine, hann"),
        ({"cutoff": 0.0}, "above 0 and at most 1"),
        ({"cutoff": 1.5}, "above 0 and at most 1"),
        ({"pixel_size_nm": -1.0}, "positive length"),
        ({"angles_deg": ANGLES[:3]}, r"shape \(3,\) for 5 projections"),
        ({"angles_deg": [0, 1, 2, 3, np.nan]}, "not finite"),
        ({"centre_px": 9.0}, "from 0 to 8, where 4.0 is the middle"),
        ({"centre_px": np.nan}, "from 0 to 8"),
        ({"projections": STACK[0]}, "pass \\(angle, y, x\\)"),
        ({"projections": STACK[:, :0]}, "each at least 1"),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_allowed(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FBP.reconstruct(**({"projections": STACK, "angles_deg": ANGLES, "centre_px": 4.0} | arguments))


def test_a_projection_that_was_not_measured_at_all_is_refused() -> None:
    stack = STACK.copy()
    stack[2] = np.nan
    with pytest.raises(ValueError, match="projection 2 has no measured pixel"):
        FBP.reconstruct(stack, ANGLES, 4.0)


def test_one_angle_is_enough_not_to_fail() -> None:
    assert np.isfinite(FBP.reconstruct(STACK[:1], [10.0], 4.0)).all()
