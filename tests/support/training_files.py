"""Files to train on, drawn for tests."""

from pathlib import Path

import h5py
import numpy as np


def write_recordings(path: Path, names: tuple[str, ...] = ("zinc",), scale: float = 4) -> Path:
    """Maps of noise, seen through a flat kernel of 6 fine pixels."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for name in names:
            group = file.create_group(f"pairs/{name}")
            group["coarse"] = 1 + rng.random((12, 14))
            group["variance"] = np.full((12, 14), 0.01)
            group["mask"] = np.ones((12, 14), np.uint8)
            group["fine"] = 1 + rng.random((48, 56))
            group["kernel"] = np.full((6, 6), 1 / 36)
            group.attrs["scale"] = scale
    return path
