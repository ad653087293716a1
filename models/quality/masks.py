"""Soft masks: 1 inside, 0 outside, half a cosine between, so that the mask's own edge does not correlate."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

Array = NDArray[np.float64]
Mask = NDArray[np.float32]


def spherical_mask(shape: tuple[int, ...], radius_px: float, edge_px: float) -> Mask:
    """A ball, or a disc in 2D, in the middle of the array.

    Args:
        shape: (y, x) or (z, y, x).
        radius_px: to where the mask is 1/2.
        edge_px: over which it falls from 1 to 0.

    Raises:
        ValueError: a length makes no sense.
    """
    _check(radius_px, edge_px)
    return _soft(np.sqrt(sum(axis**2 for axis in _from_middle(shape))) - radius_px, edge_px)


def cylindrical_mask(shape: tuple[int, int, int], radius_px: float, height_px: float, edge_px: float) -> Mask:
    """A cylinder about the rotation axis y in the middle of the volume.

    Args:
        shape: (z, y, x).
        radius_px, height_px: to where the mask is 1/2.
        edge_px: over which it falls from 1 to 0.

    Raises:
        ValueError: a length makes no sense.
    """
    _check(min(radius_px, height_px), edge_px)
    z, y, x = _from_middle(shape)
    return _soft(np.hypot(z, x) - radius_px, edge_px) * _soft(np.abs(y) - height_px / 2, edge_px)


def box_mask(shape: tuple[int, ...], sides_px: tuple[float, ...], edge_px: float) -> Mask:
    """A box in the middle of the array.

    Args:
        shape: (y, x) or (z, y, x).
        sides_px: to where the mask is 1/2, one for each axis.
        edge_px: over which it falls from 1 to 0.

    Raises:
        ValueError: a length makes no sense, or there is not one side for each axis.
    """
    if len(sides_px) != len(shape):
        raise ValueError(f"sides_px has {len(sides_px)} entries for {len(shape)} axes: pass one side for each")
    _check(min(sides_px), edge_px)
    mask = np.ones(shape, dtype=np.float32)
    for axis, side in zip(_from_middle(shape), sides_px, strict=True):
        mask *= _soft(np.abs(axis) - side / 2, edge_px)
    return mask


def support_mask(support: NDArray[np.bool_], edge_px: float) -> Mask:
    """1 on the support and a soft edge around it.

    Args:
        support: True where the specimen is; any number of axes.
        edge_px: over which the mask falls from 1, on the support, to 0.

    Raises:
        ValueError: the support is empty, or the edge makes no sense.
    """
    if not support.any():
        raise ValueError("the support is empty: pass one that is True where the specimen is")
    _check(1.0, edge_px)
    return _soft(np.asarray(distance_transform_edt(~support), dtype=np.float64) - edge_px / 2, edge_px)


def _from_middle(shape: tuple[int, ...]) -> tuple[Array, ...]:
    """Distances of pixel middles from the middle of the array, one broadcastable array for each axis."""
    return tuple(np.meshgrid(*(np.arange(n) + 0.5 - n / 2 for n in shape), indexing="ij", sparse=True))


def _soft(beyond_px: Array, edge_px: float) -> Mask:
    """Half a cosine across the zero of a signed distance."""
    if edge_px == 0:
        return np.asarray(np.where(beyond_px > 0, 0.0, 1.0), dtype=np.float32)
    return np.asarray((1 - np.sin(np.pi * np.clip(beyond_px / edge_px, -0.5, 0.5))) / 2, dtype=np.float32)


def _check(length_px: float, edge_px: float) -> None:
    if not length_px > 0 or not edge_px >= 0:
        raise ValueError(
            f"a length of {length_px} px with an edge of {edge_px} px came: pass lengths above 0, an edge >= 0"
        )
