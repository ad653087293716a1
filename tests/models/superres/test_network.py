"""A network behind the enhancer's contract: units, elements, holes and odd maps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.physics.probe import Probe, zone_plate_probe
from models.superres.enhancer import Calibration
from models.superres.lmmse import LmmseEnhancer
from models.superres.network import NetworkEnhancer
from models.superres.networks.table import build
from models.superres.networks.weights import Card, load_weights, save_weights
from models.xrf.maps import ElementMaps

TINY = {
    "unrolled": {"n_stages": 1, "n_blocks": 1, "channels": 8},
    "residual": {"n_blocks": 1, "channels": 8},
}


def _card(network: str, **changes: object) -> Card:
    return replace(Card(network, TINY[network], "nothing", "none", 1, 0, 1, "none"), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    for network, config in TINY.items():
        torch.manual_seed(1)
        save_weights(folder, network, build(network, config), _card(network))
    return folder


@pytest.fixture(scope="module")
def probe() -> Probe:
    return zone_plate_probe(n=64)


@pytest.fixture(scope="module")
def enhancer(weights: Path) -> NetworkEnhancer:
    return NetworkEnhancer(str(weights / "unrolled.safetensors"))


def _maps(shape: tuple[int, int] = (9, 12), elements: int = 2, seed: int = 0) -> ElementMaps:
    values = np.random.default_rng(seed).uniform(0, 50, (elements, *shape)).astype(np.float32)
    mask, per_unit = np.ones(shape, bool), np.ones(elements, np.float32)
    return ElementMaps(tuple("ABC"[:elements]), values, np.maximum(values, 1), mask, 30.0, per_unit)


def test_name_and_digest_follow_the_weights(enhancer: NetworkEnhancer, weights: Path, tmp_path: Path) -> None:
    assert enhancer.name == "unrolled"
    torch.manual_seed(2)
    save_weights(tmp_path, "other", build("unrolled", TINY["unrolled"]), _card("unrolled"))
    assert NetworkEnhancer(str(tmp_path / "other.safetensors")).digest != enhancer.digest
    assert NetworkEnhancer(str(weights / "unrolled.safetensors")).digest == enhancer.digest


def test_a_map_in_other_units_gives_the_same_map_in_those_units(enhancer: NetworkEnhancer, probe: Probe) -> None:
    maps = _maps()
    larger = replace(maps, values=1000 * maps.values, variance=1e6 * maps.variance)
    one, other = (enhancer.enhance(m, probe, "fly", 4) for m in (maps, larger))
    np.testing.assert_allclose(other.values, 1000 * one.values, rtol=1e-3, atol=0.5)
    # Where the processor convolves in bfloat16, another last bit going in moves single pixels by a rounding, 2^-8.
    np.testing.assert_allclose(other.sigma, 1000 * one.sigma, rtol=1e-2)


def test_elements_do_not_leak_into_each_other(enhancer: NetworkEnhancer, probe: Probe) -> None:
    both = _maps()
    alone = replace(
        both,
        elements=("A",),
        values=both.values[:1],
        variance=both.variance[:1],
        counts_per_unit=np.ones(1, np.float32),
    )
    together, by_itself = (enhancer.enhance(maps, probe, "fly", 4) for maps in (both, alone))
    np.testing.assert_allclose(together.values[0], by_itself.values[0], atol=1e-3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_scale_has_its_grid(enhancer: NetworkEnhancer, probe: Probe, scale: int) -> None:
    enhanced = enhancer.enhance(_maps((6, 7), 1), probe, "step", scale)
    assert enhanced.values.shape == enhanced.sigma.shape == (1, 6 * scale, 7 * scale)
    assert enhanced.consistency.shape == (1, 6, 7)
    assert enhanced.pixel_size_nm == pytest.approx(30 / scale)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("constant", lambda values: np.full_like(values, 7)),
        ("zero counts", np.zeros_like),
        ("hot pixel", lambda values: np.where(np.arange(values.size).reshape(values.shape) == 30, 1e5, values)),
        ("negative fits", lambda values: values - 60),
    ],
)
def test_odd_maps_have_finite_answers(enhancer: NetworkEnhancer, probe: Probe, name: str, change: object) -> None:
    maps = _maps(elements=1)
    values = change(maps.values).astype(np.float32)  # type: ignore[operator]
    enhanced = enhancer.enhance(replace(maps, values=values, variance=np.maximum(values, 1)), probe, "fly", 4)
    assert np.isfinite(enhanced.values).all(), name
    assert (enhanced.sigma > 0).all(), name
    if name in ("constant", "zero counts"):
        assert enhanced.values.mean() == pytest.approx(values.mean(), abs=0.3)


def test_a_scale_that_was_not_learned_is_enhanced_linearly_and_says_so(enhancer: NetworkEnhancer, probe: Probe) -> None:
    coarse = _maps()
    enhanced, linear = (e.enhance(coarse, probe, "fly", 8) for e in (enhancer, LmmseEnhancer()))
    np.testing.assert_array_equal(enhanced.values, linear.values)
    assert "not by 8: this is the linear estimate" in enhanced.remarks[0]


def test_holes_of_any_content_give_one_answer(enhancer: NetworkEnhancer, probe: Probe) -> None:
    maps = _maps(elements=1)
    mask = maps.mask.copy()
    mask[3:5, 4] = False
    answers = []
    for filling in (np.nan, 1e6):
        values = maps.values.copy()
        values[0, ~mask] = filling
        answers.append(enhancer.enhance(replace(maps, values=values, mask=mask), probe, "fly", 4).values)
    np.testing.assert_array_equal(*answers)


def test_a_map_measured_nowhere_is_refused(enhancer: NetworkEnhancer, probe: Probe) -> None:
    maps = _maps(elements=1)
    with pytest.raises(ValueError, match="A was measured at none"):
        enhancer.enhance(replace(maps, mask=np.zeros_like(maps.mask)), probe, "fly", 4)


def test_a_5x5_map_under_a_larger_probe_works(enhancer: NetworkEnhancer, probe: Probe) -> None:
    assert np.isfinite(enhancer.enhance(_maps((5, 5), 1), probe, "fly", 4).values).all()


def test_a_network_without_uncertainty_gets_that_of_interpolation(weights: Path, probe: Probe) -> None:
    enhanced = NetworkEnhancer(str(weights / "residual.safetensors")).enhance(_maps((8, 8), 1), probe, "fly", 4)
    assert (enhanced.sigma > 0).all()


def test_calibration_widens_sigma_at_its_counts(weights: Path, probe: Probe, tmp_path: Path) -> None:
    trained = load_weights(str(weights / "unrolled.safetensors"))
    doubled = Calibration(sigma=((1.0, 2.0), (1e5, 2.0)))
    save_weights(tmp_path, "wide", trained.module, _card("unrolled", calibration=doubled))
    narrow, wide = (
        NetworkEnhancer(str(path)).enhance(_maps(elements=1), probe, "fly", 4).sigma
        for path in (weights / "unrolled.safetensors", tmp_path / "wide.safetensors")
    )
    np.testing.assert_allclose(wide, 2 * narrow, rtol=1e-5)


def test_two_devices_give_what_one_gives(weights: Path, probe: Probe) -> None:
    """The same one twice, as this machine has no other: elements are shared among them and come back in order."""
    path = str(weights / "unrolled.safetensors")
    one, two = (
        NetworkEnhancer(path, device, "float32").enhance(_maps(), probe, "fly", 4) for device in ("cpu", "cpu,cpu")
    )
    np.testing.assert_allclose(two.values, one.values, atol=1e-5 * np.abs(one.values).max())
    assert two.computed_on == "cpu,cpu, float32 (as asked for)"


def test_a_probe_outside_of_the_training_is_remarked_upon(weights: Path, probe: Probe, tmp_path: Path) -> None:
    trained = load_weights(str(weights / "unrolled.safetensors"))
    remarks = []
    for name, known in (("unknown", None), ("met", ((0.5, 3.0), (0.5, 4.0))), ("new", ((3.0, 4.0), (3.0, 4.0)))):
        save_weights(tmp_path, name, trained.module, _card("unrolled", probe_range=known))
        enhancer = NetworkEnhancer(str(tmp_path / f"{name}.safetensors"))
        remarks.append(enhancer.enhance(_maps((8, 8), 1), probe, "fly", 4).remarks)
    assert remarks[:2] == [(), ()]
    assert "probe outside the training range" in remarks[2][0]


def test_weights_that_are_nowhere_are_refused_by_name() -> None:
    with pytest.raises(FileNotFoundError, match=r"no weights at .*nothing\.safetensors: pass"):
        load_weights("nothing")


def test_weights_without_their_card_or_with_another_are_refused(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "moved.safetensors"
    path.write_bytes((weights / "unrolled.safetensors").read_bytes())
    with pytest.raises(FileNotFoundError, match="no card"):
        load_weights(str(path))
    card = path.with_suffix(".json")
    card.write_text('{"hello": 1}')
    with pytest.raises(ValueError, match="is no card of weights"):
        load_weights(str(path))
    card.write_text((weights / "residual.json").read_text())
    with pytest.raises(ValueError, match="does not fit its card, a residual"):
        load_weights(str(path))
