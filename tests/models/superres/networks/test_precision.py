"""bfloat16 is taken only where the device has it and it is harmless; never by a clock."""

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
    monkeypatch.setattr(precision, "has_bfloat16", lambda _device: True)
    chosen = choose_precision(network, 4, "cpu")
    assert chosen.bfloat16, chosen.reason
    assert "of full scale" in str(chosen)


def test_what_harms_is_left(network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda _device: True)
    monkeypatch.setattr(precision, "_ALLOWED_RMS", 0.0)
    chosen = choose_precision(network, 4, "cpu")
    assert not chosen.bfloat16
    assert "would change" in chosen.reason


@pytest.mark.parametrize(("instructions", "has"), [({"avx512_bf16": True}, True), ({"avx512_f": True}, False)])
def test_a_cpu_needs_instructions_for_it(
    network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, instructions: dict[str, bool], has: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    chosen = choose_precision(network, 4, "cpu")
    assert chosen.bfloat16 == has
    assert has or "no instructions" in chosen.reason
