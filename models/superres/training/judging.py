"""How well a network explains recordings that it was not trained on, through the scans that made them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.superres.networks.measured import Measured
from models.superres.pairs.recorded import whole_pair
from models.superres.pairs.recording import Map, Recording
from models.superres.training.through_scan import chi_squared, judged_points, readings_of

Figures = NDArray[np.float64]


@dataclass(frozen=True)
class Explained:
    """Chi^2 per reading, (recording,) each; 1 for the truth, or below where a fit says more noise than there is.

    Attributes:
        fine: of the fine scan, which the network did not see.
        coarse: of the coarse scan, which it did: below 1 where it follows the noise.
        linear_fine, linear_coarse: the same of the linear estimate that the network starts from; NaN where it has none.
    """

    fine: Figures
    coarse: Figures
    linear_fine: Figures
    linear_coarse: Figures


@torch.inference_mode()
def explained(network: nn.Module, recordings: Sequence[Recording], device: str = "cpu") -> Explained:
    """Enhance each coarse map in one piece and read it again by both scans.

    Raises:
        ValueError: a recording has a fine map and no fine scan.
    """
    training = network.training
    network.eval()
    rows = [_figures(network, recording, device) for recording in recordings]
    network.train(training)
    return Explained(*np.array(rows, np.float64).reshape(len(rows), 4).T)


@torch.inference_mode()
def map_and_residual(network: nn.Module, recording: Recording, device: str = "cpu") -> tuple[Map, Map]:
    """The enhanced map (s y, s x) as the network gives it, and what it leaves of the fine readings, in sigma.

    The residual is NaN where nothing was measured or the beam leaves the map.

    Raises:
        ValueError: the recording has a fine map and no fine scan.
    """
    network.eval()
    measured, scan = _both_scans(recording, device)
    values = network(measured).values
    left = (scan.readings - readings_of(values, scan.kernel, scan.scale)) / scan.variance.sqrt()
    left[judged_points(scan) == 0] = torch.nan
    fine_map, residual = (plane[0, 0].float().cpu().numpy() for plane in (values, left))
    return fine_map, residual


def _figures(network: nn.Module, recording: Recording, device: str) -> tuple[float, float, float, float]:
    measured, scan = _both_scans(recording, device)
    prediction = network(measured)
    fine, coarse = _chi_squared(prediction.values, scan), _chi_squared(prediction.values, measured)
    if prediction.linear is None:
        return fine, coarse, float("nan"), float("nan")
    return fine, coarse, _chi_squared(prediction.linear, scan), _chi_squared(prediction.linear, measured)


def _both_scans(recording: Recording, device: str) -> tuple[Measured, Measured]:
    """Coarse and fine."""
    pairs = whole_pair(recording, device)
    if pairs.fine_scan is None:
        raise ValueError("the recording has no fine scan: its fine map is the truth, compare with that")
    return pairs.measured, pairs.fine_scan


def _chi_squared(values: Tensor, scan: Measured) -> float:
    return float(chi_squared(values, scan, judged_points(scan)))
