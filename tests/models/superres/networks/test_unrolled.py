"""The unrolled network keeps the laws of the measurement whatever its weights are."""

import pytest
import torch

from models.physics.flyscan import scan_kernel
from models.physics.probe import zone_plate_probe
from models.superres.networks import unrolled
from models.superres.networks.data_step import read_by_scan, transfer
from models.superres.networks.measured import Measured
from models.superres.networks.unrolled import Unrolled, UnrolledConfig

CONFIG = UnrolledConfig(n_stages=2, n_blocks=1, channels=16)


def _measured(shape: tuple[int, int], scale: int = 4, seed: int = 0, batch: int = 1) -> Measured:
    generator = torch.Generator().manual_seed(seed)
    readings = torch.rand((batch, 1, *shape), generator=generator)
    kernel = torch.from_numpy(scan_kernel(zone_plate_probe(n=64).intensity(), scale, "fly"))[None]
    variance, mask = torch.full_like(readings, 1e-3), torch.ones_like(readings)
    return Measured(readings, variance, mask, kernel.repeat(batch, 1, 1), scale)


@pytest.fixture(scope="module")
def network() -> Unrolled:
    torch.manual_seed(3)
    return Unrolled(CONFIG).eval()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shape", [(5, 5), (9, 14), (1, 3)])
def test_map_and_its_uncertainty_cover_the_fine_grid(network: Unrolled, shape: tuple[int, int], scale: int) -> None:
    prediction = network(_measured(shape, scale))
    assert prediction.values.shape == (1, 1, scale * shape[0], scale * shape[1])
    assert prediction.log_scale.shape == prediction.values.shape
    assert torch.isfinite(prediction.values).all()
    assert torch.isfinite(prediction.log_scale).all()


def test_default_size_is_as_documented() -> None:
    assert sum(weights.numel() for weights in Unrolled(UnrolledConfig()).parameters()) == 1_037_447


def test_scale_without_layers_is_refused(network: Unrolled) -> None:
    with pytest.raises(ValueError, match=r"scale is 5.*\(2, 3, 4\)"):
        network(_measured((6, 6), scale=5))


def test_what_stands_in_a_hole_hardly_matters(network: Unrolled) -> None:
    """It only starts the iteration and has a share in the prior: a filling off by 0.2 moves pixels by much less."""
    drawn = _measured((12, 12))
    smooth = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(drawn.readings, (2, 2, 2, 2), "reflect"), 5, 1)
    whole = Measured(smooth, drawn.variance, drawn.mask, drawn.kernel, 4)
    mask = whole.mask.clone()
    mask[..., 6, 6] = 0
    other = whole.readings.clone()
    other[..., 6, 6] += 0.2
    with torch.no_grad():
        results = [
            network(Measured(readings, whole.variance, mask, whole.kernel, 4)).values
            for readings in (whole.readings, other)
        ]
    assert (results[0] - results[1]).abs().max() < 0.1


def test_constant_map_keeps_its_value(network: Unrolled) -> None:
    flat = _measured((10, 10))
    measured = Measured(torch.full_like(flat.readings, 0.7), flat.variance, flat.mask, flat.kernel, 4)
    with torch.no_grad():
        values = network(measured).values
    assert values.mean().item() == pytest.approx(0.7, abs=0.01)


def test_mean_residual_vanishes() -> None:
    """Flux: over the mirrored map the re-blurred result and the readings have the same mean."""
    torch.manual_seed(4)
    network = Unrolled(UnrolledConfig(n_stages=1, n_blocks=1, channels=16, pad=0)).eval()
    measured = _measured((8, 8))
    with torch.no_grad():
        values = network(measured).values
    blurred = read_by_scan(values, transfer(measured.kernel, 4, (32, 32)), 4)
    assert blurred.mean().item() == pytest.approx(measured.readings.mean().item(), abs=1e-5)


def test_maps_of_a_batch_do_not_touch(network: Unrolled) -> None:
    both = _measured((9, 9), batch=2)
    alone = Measured(both.readings[:1], both.variance[:1], both.mask[:1], both.kernel[:1], 4)
    with torch.no_grad():
        torch.testing.assert_close(network(both).values[:1], network(alone).values, atol=1e-5, rtol=0)


def test_tiles_give_what_the_whole_map_gives(network: Unrolled, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = _measured((30, 41))
    with torch.no_grad():
        whole = network(measured).values
        monkeypatch.setattr(unrolled, "_TILE_PX", 13)
        tiled = network(measured).values
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)
