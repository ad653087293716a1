"""The enhancers by name."""

from collections.abc import Callable
from pathlib import Path

from models.superres.bicubic import BicubicEnhancer
from models.superres.enhancer import Enhancer
from models.superres.lmmse import LmmseEnhancer
from models.superres.network import NetworkEnhancer

ENHANCERS: dict[str, Callable[[str], Enhancer]] = {
    "lmmse": lambda _device: LmmseEnhancer(),
    "bicubic": lambda _device: BicubicEnhancer(),
}
"""Each takes the torch device to compute on; the two linear ones need none and run on the CPU."""


def make_enhancer(name: str, device: str = "cpu") -> Enhancer:
    """The enhancer of that name, or the network whose weights are in a file.

    Args:
        name: of `ENHANCERS`, or the path of a ``.safetensors`` file with its card beside it.
        device: of torch.

    Raises:
        ValueError: there is none of that name.
    """
    if Path(name).suffix == ".safetensors":
        return NetworkEnhancer(name, device)
    if name not in ENHANCERS:
        raise ValueError(f"there is no enhancer {name!r}: choose one of {', '.join(sorted(ENHANCERS))}")
    return ENHANCERS[name](device)
