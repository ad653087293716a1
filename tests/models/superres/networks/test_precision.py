"""bfloat16 is taken only where it is tried, faster and harmless."""

import pytest
import torch

from models.superres.networks import precision
from models.superres.networks.precision import choose_precision
from models.superres.networks.table import build


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(1)
    return build("unrolled", {"n_stages": 1, "n_blocks": 1, "channels": 8}).eval()


def test_a_wish_is_not_questioned(network: torch.nn.Module) -> None:
    assert choose_precision(network, 4, "cpu", "bfloat16").bfloat16
    assert not choose_precision(network, 4, "cpu", "float32").bfloat16


def test_bfloat16_changes_a_map_by_less_than_its_noise(
    network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_WORTH_IT", 0.0)
    chosen = choose_precision(network, 4, "cpu")
    assert chosen.bfloat16, chosen.reason
    assert "of full scale" in str(chosen)


@pytest.mark.parametrize(
    ("name", "value", "said"), [("_ALLOWED_RMS", 0.0, "would change"), ("_WORTH_IT", 1e9, "as fast")]
)
def test_what_harms_or_gains_nothing_is_left(
    network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, name: str, value: float, said: str
) -> None:
    monkeypatch.setattr(precision, name, value)
    chosen = choose_precision(network, 4, "cpu")
    assert not chosen.bfloat16
    assert said in chosen.reason
