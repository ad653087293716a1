"""The iterative algorithms as services call them: densities, defaults from the data, and an account of it all."""

import numpy as np
import pytest

from models.quality.metrics import psnr
from models.tomo.algorithms import ALGORITHMS, Provenance
from models.tomo.interruption import ReconstructionCancelledError
from models.tomo.likelihood import LikelihoodSettings, Regularisation
from models.tomo.numba_engine import NumbaEngine
from models.tomo.system import Geometry

ITERATIVE = ["ospml_hybrid", "ospml_quad", "osem", "mlem", "sirt"]
PIXEL_NM = 25.0


@pytest.fixture(scope="module")
def few(make_scan):
    """24 angles of some rows, the axis off the middle."""
    return make_scan(np.arange(24) * 7.5, 28.3, (8, 60))


def counted(projections: np.ndarray, peak_counts: float) -> np.ndarray:
    per_count = float(projections.max()) / peak_counts
    return (np.random.default_rng(0).poisson(projections / per_count) * per_count).astype(np.float32)


@pytest.mark.parametrize("name", ITERATIVE)
def test_densities_are_right_about_an_axis_off_the_middle(few, name: str) -> None:
    volume = ALGORITHMS[name].reconstruct(few.projections, few.angles_deg, few.centre_px, PIXEL_NM)
    assert volume.shape == few.truth.shape
    assert volume.dtype == np.float32
    assert volume.sum(dtype=float) == pytest.approx(few.truth.sum(dtype=float), rel=0.02)
    assert psnr(volume, few.truth) > 24


def test_counts_from_few_angles_are_reconstructed_better_than_by_fbp(few) -> None:
    noisy = counted(few.projections, 100)
    scores = {
        name: psnr(ALGORITHMS[name].reconstruct(noisy, few.angles_deg, few.centre_px, PIXEL_NM), few.truth)
        for name in ("fbp", "ospml_hybrid")
    }
    assert scores["ospml_hybrid"] > scores["fbp"] + 5


def test_beta_and_delta_are_those_of_the_data_not_of_the_density(few) -> None:
    geometry = Geometry(few.angles_deg, few.centre_px, 60, (60, 60))
    settings = LikelihoodSettings("ospml_hybrid", 3, 4, Regularisation(0.02, 5.0))
    expected = NumbaEngine().reconstruct(few.projections, geometry, settings).volume * np.float32(10 / PIXEL_NM)
    given = {"n_iterations": 3, "n_subsets": 4, "beta": 0.02, "delta": 5.0, "engine": "numba"}
    volume = ALGORITHMS["ospml_hybrid"].reconstruct(few.projections, few.angles_deg, few.centre_px, PIXEL_NM, **given)
    assert volume == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["ospml_hybrid", "ospml_quad"])
def test_the_default_strength_knows_no_unit(few, name: str) -> None:
    one, other = (
        ALGORITHMS[name].reconstruct(few.projections * np.float32(k), few.angles_deg, few.centre_px) for k in (1, 1024)
    )
    assert np.linalg.norm(other / 1024 - one) < 1e-3 * np.linalg.norm(one)


def test_what_was_chosen_is_accounted_for(few) -> None:
    told: list[Provenance] = []
    arguments = few.projections, few.angles_deg, few.centre_px
    first = ALGORITHMS["ospml_hybrid"].reconstruct(*arguments, n_iterations=3, engine="numba", account=told.append)
    (provenance,) = told
    assert (provenance.engine, provenance.fallback) == ("numba", None)
    assert set(provenance.chosen) == {"n_subsets", "beta", "delta"}
    assert provenance.history is not None
    assert len(provenance.history.objective) == len(provenance.history.misfit) == 3
    chosen = dict(provenance.chosen) | {"n_subsets": int(provenance.chosen["n_subsets"])}
    again = ALGORITHMS["ospml_hybrid"].reconstruct(*arguments, n_iterations=3, engine="numba", **chosen)
    assert np.array_equal(first, again)


def test_fbp_accounts_for_itself_too(few) -> None:
    told: list[Provenance] = []
    ALGORITHMS["fbp"].reconstruct(few.projections, few.angles_deg, few.centre_px, account=told.append)
    assert (told[0].engine, told[0].history) == ("torch", None)


def test_empty_projections_make_an_empty_volume() -> None:
    for name in ITERATIVE:
        volume = ALGORITHMS[name].reconstruct(np.zeros((4, 2, 9), np.float32), np.arange(4) * 45.0, 4.5)
        assert np.abs(volume).max() < 1e-6


@pytest.mark.parametrize("name", ITERATIVE)
def test_cancelling_stops_it(few, name: str) -> None:
    with pytest.raises(ReconstructionCancelledError):
        ALGORITHMS[name].reconstruct(few.projections, few.angles_deg, few.centre_px, cancelled=lambda: True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"centre_px": 61.0}, "from 0 to 60"),
        ({"angles_deg": [1.0, 2.0]}, "for 24 projections"),
        ({"pixel_size_nm": 0.0}, "positive length"),
        ({"n_subsets": 25}, "at most one subset per angle"),
        ({"beta": -1.0}, "beta is -1"),
        ({"engine": "magic"}, "no engine 'magic'"),
    ],
)
def test_wrong_arguments_are_refused(few, arguments: dict, message: str) -> None:
    given = {"projections": few.projections, "angles_deg": few.angles_deg, "centre_px": few.centre_px} | arguments
    with pytest.raises(ValueError, match=message):
        ALGORITHMS["ospml_hybrid"].reconstruct(**given)


def test_an_angle_without_any_measured_pixel_is_refused(few) -> None:
    projections = few.projections.copy()
    projections[3] = np.nan
    with pytest.raises(ValueError, match="projection 3 has no measured pixel"):
        ALGORITHMS["osem"].reconstruct(projections, few.angles_deg, few.centre_px)
