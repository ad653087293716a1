import numpy as np
import pytest
import torch
from singlepixel import PHASES, Simulated, mean_psnr

from models.singlepixel.heads import element_simplex
from models.singlepixel.networks import LAMBDAS
from models.singlepixel.reconstruct import reconstruct
from models.singlepixel.siren import Siren, places


@pytest.fixture(scope="module")
def pinv_db(small: Simulated) -> float:
    return mean_psnr(reconstruct(small.measurement, "pinv", uncertainty=False).maps, small.truth)


@pytest.mark.parametrize(("method", "least_db"), [("siren", 7), ("siren-simplex", 10), ("siren-phase", 12)])
def test_a_network_beats_the_pseudo_inverse(small: Simulated, pinv_db: float, method: str, least_db: float) -> None:
    found = reconstruct(small.measurement, method, phases=PHASES, lam=0.25, uncertainty=False)
    assert mean_psnr(found.maps, small.truth) > pinv_db + least_db
    assert found.method == method


@pytest.mark.long
def test_a_lambda_by_held_out_measurements_is_near_the_best_of_the_table(small: Simulated) -> None:
    def psnr(lam: float | None) -> float:
        return mean_psnr(reconstruct(small.measurement, "siren", lam=lam, uncertainty=False).maps, small.truth)

    table = [psnr(lam) for lam in LAMBDAS]
    assert psnr(None) > max(table) - 1.5
    assert psnr(None) > sum(table) / len(table)


def test_maps_come_on_pixels_of_any_size(small: Simulated) -> None:
    native = reconstruct(small.measurement, "siren-simplex", uncertainty=False)
    fine = reconstruct(small.measurement, "siren-simplex", shape=(64, 64))
    assert fine.maps["Ni"].shape == fine.sigma["Ni"].shape == (64, 64)
    binned = fine.maps["Ni"].reshape(32, 2, 32, 2).mean((1, 3))
    assert np.corrcoef(binned.ravel(), native.maps["Ni"].ravel())[0, 1] > 0.99


def test_shares_never_exceed_what_the_txm_image_absorbs() -> None:
    absorption = torch.rand(6, 7)
    head = element_simplex(np.array([0.5, 2.0]), absorption)
    maps = head(torch.randn(42, head.channels), (6, 7))
    absorbed = (maps @ torch.tensor([0.5, 2.0])).reshape(6, 7)
    assert (absorbed <= absorption + 1e-6).all()
    assert (maps >= 0).all()


def test_a_network_starts_the_same_from_the_same_seed() -> None:
    where = places((4, 4), torch.device("cpu"))
    one, other = (Siren(2, 20.0, torch.Generator().manual_seed(3))(where) for _ in range(2))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
