"""Measurements whitened, so that a network learns their weak modes as soon as their strong ones."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from models.singlepixel.operator import PatternOperator
from models.singlepixel.system import PatternSystem

_PIXEL_VARIANCE = 0.06
"""Of the maps that are looked for, `models.singlepixel.system`: mean square less squared mean."""
_LEAST_ALPHA = 0.01


@dataclass(frozen=True, eq=False)
class WhiteRows:
    """L^-1 A and L^-1 y with L L^T = A A^T + alpha, over the norm of L^-1 y.

    Attributes:
        rows: (row, y x).
        values: (row, element).
        shape: (y, x).
    """

    rows: Tensor
    values: Tensor
    shape: tuple[int, int]

    def misfit(self, maps: Tensor) -> Tensor:
        """|A x - y|^2 of maps (pixel, element), 1 for empty ones."""
        across = maps.T.contiguous()  # on a CPU the product of tall matrices takes ten times as long
        return (across @ self.rows.T - self.values.T).square().sum()


def binned_rows(operator: PatternOperator, bin_px: int = 1) -> tuple[Tensor, tuple[int, int]]:
    """(N + 1, y, x) the operator's rows on pixels ``bin_px`` as wide, and their shape."""
    rows = operator.row_images()
    if bin_px > 1:
        rows = avg_pool2d(rows[:, None], bin_px)[:, 0] * bin_px**2
    return rows, (rows.shape[1], rows.shape[2])


def whitened(system: PatternSystem, rows: Tensor, kept: Tensor) -> WhiteRows:
    """Whiten the measurements that are kept.

    Args:
        system: of the measurement.
        rows: (N + 1, y, x) of `binned_rows`.
        kept: (N + 1,) True for those to use.

    Source: A A^T + alpha is the covariance of the counts of a white specimen with noise: Rasmussen and Williams,
    Gaussian Processes (2006), eq. 2.20.
    """
    alpha = max(_LEAST_ALPHA, float(np.mean(system.noise**2)) / _PIXEL_VARIANCE)
    flat, values = rows.flatten(1)[kept], system.values[kept]
    gram = (flat @ flat.T).double()
    gram.diagonal().add_(alpha)
    factor = torch.linalg.cholesky(gram)
    inverse = torch.linalg.solve_triangular(
        factor, torch.eye(len(gram), device=gram.device).double(), upper=False
    ).float()
    white = inverse @ values
    size = white.norm()
    return WhiteRows(inverse @ flat / size, white / size, (rows.shape[1], rows.shape[2]))
