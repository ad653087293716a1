"""The enhancers by name."""

from collections.abc import Callable
from pathlib import Path

from models.superres.baselines.least_squares import LeastSquaresEnhancer
from models.superres.baselines.poisson_tv import PoissonTvEnhancer
from models.superres.baselines.richardson_lucy import RichardsonLucyEnhancer
from models.superres.bicubic import BicubicEnhancer
from models.superres.enhancer import Enhancer
from models.superres.lmmse import LmmseEnhancer
from models.superres.network import NetworkEnhancer

ENHANCERS: dict[str, Callable[[str], Enhancer]] = {
    "lmmse": lambda _device: LmmseEnhancer(),
    "bicubic": lambda _device: BicubicEnhancer(),
    "unrolled": lambda device: NetworkEnhancer("unrolled", device),
    "dual_branch_small": lambda device: NetworkEnhancer("dual_branch_small", device),
    "rdn_small": lambda device: NetworkEnhancer("rdn_small", device),
    "residual_small": lambda device: NetworkEnhancer("residual_small", device),
    "richardson-lucy": lambda _device: RichardsonLucyEnhancer(),
    "poisson-tv": lambda _device: PoissonTvEnhancer(),
    "least-squares": lambda _device: LeastSquaresEnhancer(),
}
"""Each takes the torch device to compute on; all but the networks need none and run on the CPU."""


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
