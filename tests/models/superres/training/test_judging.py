"""What explains a scan has a chi^2 of one, whoever made it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.physics.flyscan import scan_kernel
from models.superres.networks.measured import Measured
from models.superres.networks.prediction import Prediction
from models.superres.pairs.recording import FineScan, Recording
from models.superres.training.judging import explained
from models.superres.training.through_scan import readings_of

SIGMA = 0.05


class Oracle(nn.Module):
    """Knows the specimen, in the unit of the coarse map."""

    def __init__(self, truth: Tensor, coarse: Tensor, offset: float = 0.0) -> None:
        super().__init__()
        self._truth, self._coarse, self._offset = truth, coarse, offset

    def forward(self, measured: Measured) -> Prediction:
        unit = self._coarse.mean() / measured.readings.mean()
        linear = torch.zeros_like(self._truth) + measured.readings.mean()
        return Prediction((self._truth + self._offset) / unit, linear=linear)


@pytest.fixture(scope="module")
def truth() -> Tensor:
    return 1 + torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def recording(truth: Tensor) -> Recording:
    torch.manual_seed(1)
    focus = np.zeros((8, 8))
    focus[3:6, 3:6] = 1.0
    read = []
    for scale in (4, 2):
        kernel = scan_kernel(focus, scale, "fly")
        readings = readings_of(truth, torch.from_numpy(kernel)[None], scale)[0, 0]
        read.append(((readings + SIGMA * torch.randn_like(readings)).numpy(), kernel))
    (coarse, kernel), (fine, fine_kernel) = read
    even = [np.full(plane.shape, SIGMA**2, np.float32) for plane in (coarse, fine)]
    scan = FineScan(even[1], np.ones(fine.shape, bool), fine_kernel, 2)
    return Recording(coarse, even[0], np.ones(coarse.shape, bool), fine, kernel, 4, scan)


def test_the_truth_has_a_chi_squared_of_one_by_both_scans(truth: Tensor, recording: Recording) -> None:
    found = explained(Oracle(truth, torch.from_numpy(recording.coarse)), [recording])
    assert found.fine == pytest.approx([1.0], abs=0.1)
    assert found.coarse == pytest.approx([1.0], abs=0.2)
    assert found.linear_fine > 2


def test_a_wrong_map_has_more(truth: Tensor, recording: Recording) -> None:
    found = explained(Oracle(truth, torch.from_numpy(recording.coarse), offset=0.1), [recording])
    assert found.fine == pytest.approx([1 + (0.1 / SIGMA) ** 2], rel=0.1)


def test_a_fine_map_that_is_the_truth_is_refused(truth: Tensor, recording: Recording) -> None:
    known = replace(recording, fine=truth[0, 0].numpy(), fine_scan=None)
    with pytest.raises(ValueError, match="is the truth"):
        explained(Oracle(truth, torch.from_numpy(recording.coarse)), [known])
