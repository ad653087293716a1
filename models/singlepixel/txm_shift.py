"""Where the TXM image lies on the patterns, told by the counts alone."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import shift
from torch import Tensor

from models.singlepixel.absorption import CONSISTENT, Agreement, agreement
from models.singlepixel.guide import Guide, guide_from
from models.singlepixel.system import PatternSystem

MOST_SHIFT_PX = 8
"""Searched along either axis: an image that stands further off was taken of another place."""
_BATCH = 64
_ROUNDS = 6
_LEAST_PX = 0.05
_SURE = 3.0  # standard deviations
_BETTER = 0.02  # of the variance, that a whole-pixel shift must explain more


@dataclass(frozen=True, eq=False)
class PlacedTxm:
    """A TXM image on the patterns' pixels.

    Attributes:
        image: (y, x), moved.
        guide: its edges.
        agreement: with the counts.
        shift_px: (y, x) by which it was moved.
    """

    image: Tensor
    guide: Guide
    agreement: Agreement
    shift_px: tuple[float, float]


def placed(system: PatternSystem, txm: NDArray[np.float32]) -> PlacedTxm:
    """Move a TXM image to where the counts say that it belongs: whole pixels where it disagrees, then parts of one.

    Args:
        system: of the measurement.
        txm: (y, x) absorption, any unit.

    Raises:
        ValueError: the image is constant.
    """
    start = _moved(system, txm, np.zeros(2))
    if start.agreement.chi_squared > CONSISTENT:
        whole = _best_whole_shift(system, start.image)
        there = _moved(system, txm, whole)
        if there.agreement.explained > start.agreement.explained + _BETTER:
            start = there
    found = start
    for _ in range(_ROUNDS):
        step, sigma = found.agreement.shift_px, found.agreement.shift_sigma_px
        if np.all(np.abs(step) < np.maximum(_SURE * sigma, _LEAST_PX)):
            break
        tried = _moved(system, txm, np.array(found.shift_px) + np.clip(step, -0.7, 0.7))
        if tried.agreement.chi_squared >= found.agreement.chi_squared:
            break
        found = tried
    return found


def _moved(system: PatternSystem, txm: NDArray[np.float32], by: NDArray[np.float64]) -> PlacedTxm:
    image = shift(txm, by, order=3, mode="nearest") if by.any() else txm
    guide = guide_from(image, system.operator.device.type)
    tensor = torch.from_numpy(np.ascontiguousarray(image)).to(system.operator.device)
    return PlacedTxm(tensor, guide, agreement(system, tensor, guide), (float(by[0]), float(by[1])))


def _best_whole_shift(system: PatternSystem, image: Tensor) -> NDArray[np.float64]:
    """The shift at which the elements' counts explain most of what the patterns would count of the image."""
    reach = min(MOST_SHIFT_PX, min(image.shape) // 4)
    steps = np.arange(-reach, reach + 1)
    shifts = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    padded = torch.nn.functional.pad(image[None], (reach,) * 4, mode="replicate")[0]
    basis, _ = torch.linalg.qr(system.values[:-1])
    explained = []
    for first in range(0, len(shifts), _BATCH):
        rows, columns = (reach - shifts[first : first + _BATCH]).T
        height, width = image.shape
        batch = torch.stack([padded[y : y + height, x : x + width] for y, x in zip(rows, columns, strict=True)])
        seen = system.operator.forward(batch)[:, :-1]
        explained.append((seen @ basis).square().sum(1) / seen.square().sum(1).clamp_min(1e-30))
    best: NDArray[np.float64] = shifts[int(torch.cat(explained).argmax())].astype(np.float64)
    return best
