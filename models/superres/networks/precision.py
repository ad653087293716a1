"""In which numbers a network computes here: bfloat16 where a device has it and it changes nothing that counts."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.superres.networks.measured import Measured

PrecisionName = Literal["auto", "float32", "bfloat16"]

_SIDE_PX = 32
_ALLOWED_RMS = 2e-3  # of full scale; measured on the unrolled network: 1e-3
_AMPERE = (8, 0)  # the first of NVIDIA's with bfloat16
_CPU_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")  # the last is ARM's


@dataclass(frozen=True)
class Precision:
    """Of a network's convolutions; what is computed in Fourier space stays in float32.

    Attributes:
        bfloat16: use it.
        reason: in words, with what was measured.
    """

    bfloat16: bool
    reason: str

    def __str__(self) -> str:
        return f"{'bfloat16' if self.bfloat16 else 'float32'} ({self.reason})"


def run_network(network: nn.Module, measured: Measured, *, bfloat16: bool) -> tuple[Tensor, Tensor | None]:
    """Values and log of the Laplace scale, both float32."""
    with torch.autocast(measured.readings.device.type, torch.bfloat16, enabled=bfloat16):
        prediction = network(measured)
    return prediction.values.float(), None if prediction.log_scale is None else prediction.log_scale.float()


@torch.inference_mode()
def choose_precision(network: nn.Module, scale: int, device: str, wish: PrecisionName = "auto") -> Precision:
    """Take bfloat16 where the device computes with it, and it changes a small map by less than noise.

    Never by how long something took: the same machine always gives the same map.

    Args:
        network: ready on its device.
        scale: that the network can enhance by.
        device: of torch.
        wish: anything but ``auto`` is taken as it is.
    """
    if wish != "auto":
        return Precision(wish == "bfloat16", "as asked for")
    if not has_bfloat16(device):
        return Precision(False, f"{device} has no instructions for bfloat16")
    measured = _test_map(scale, device)
    exact, rough = (run_network(network, measured, bfloat16=narrow)[0] for narrow in (False, True))
    change = float((rough - exact).square().mean().sqrt())
    if not change <= _ALLOWED_RMS:
        return Precision(False, f"bfloat16 would change maps by {change:.1e} of full scale")
    return Precision(True, f"changes maps by {change:.1e} of full scale")


def has_bfloat16(device: str) -> bool:
    """Whether a device computes with bfloat16, rather than imitating it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= _AMPERE
    said = torch.cpu.get_capabilities()
    return device == "cpu" and any(bool(said.get(name)) for name in _CPU_INSTRUCTIONS)


def _test_map(scale: int, device: str) -> Measured:
    """A few soft grains with noise: the same each time."""
    generator = torch.Generator().manual_seed(1)
    places = torch.arange(_SIDE_PX, dtype=torch.float32)
    clean = torch.zeros(_SIDE_PX, _SIDE_PX)
    for y, x, radius in (torch.rand((12, 3), generator=generator) * torch.tensor([_SIDE_PX, _SIDE_PX, 8.0])).tolist():
        squared = (places[:, None] - y) ** 2 + (places[None, :] - x) ** 2
        clean = torch.maximum(clean, torch.sigmoid(radius + 1 - squared.sqrt()))
    readings = (clean + 0.03 * torch.randn(clean.shape, generator=generator))[None, None].to(device)
    variance = torch.full_like(readings, 0.03**2)
    reach = torch.arange(-12 * scale, 12 * scale, dtype=torch.float32, device=device) + 0.5
    beam = torch.exp(-((reach / scale) ** 2))
    kernel = (beam[:, None] * beam[None, :] / beam.sum() ** 2)[None]
    return Measured(readings, variance, torch.ones_like(readings), kernel, scale)
