"""How well a network explains recordings that it was not trained on, through the scans that made them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.superres.networks.measured import Measured
from models.superres.pairs.recorded import whole_pair
from models.superres.pairs.recording import Recording
from models.superres.training.through_scan import chi_squared, judged_points

Figures = NDArray[np.float64]


@dataclass(frozen=True)
class Explained:
    """Chi^2 per reading, (recording,) each; 1 for the truth.

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


def _figures(network: nn.Module, recording: Recording, device: str) -> tuple[float, float, float, float]:
    pairs = whole_pair(recording, device)
    if pairs.fine_scan is None:
        raise ValueError("the recording has no fine scan: its fine map is the truth, compare with that")
    prediction = network(pairs.measured)
    fine, coarse = (_chi_squared(prediction.values, scan) for scan in (pairs.fine_scan, pairs.measured))
    if prediction.linear is None:
        return fine, coarse, float("nan"), float("nan")
    linear = (_chi_squared(prediction.linear, scan) for scan in (pairs.fine_scan, pairs.measured))
    return fine, coarse, *linear  # type: ignore[return-value]


def _chi_squared(values: Tensor, scan: Measured) -> float:
    return float(chi_squared(values, scan, judged_points(scan)))
