"""The enhancers by name."""

from collections.abc import Callable

from models.superres.bicubic import BicubicEnhancer
from models.superres.enhance import Enhancer
from models.superres.lmmse import LmmseEnhancer

ENHANCERS: dict[str, Callable[[str], Enhancer]] = {
    "lmmse": lambda _device: LmmseEnhancer(),
    "bicubic": lambda _device: BicubicEnhancer(),
}
"""Each takes the torch device to compute on; the two linear ones need none and run on the CPU."""


def make_enhancer(name: str, device: str = "cpu") -> Enhancer:
    """The enhancer of that name.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in ENHANCERS:
        raise ValueError(f"there is no enhancer {name!r}: choose one of {', '.join(sorted(ENHANCERS))}")
    return ENHANCERS[name](device)
