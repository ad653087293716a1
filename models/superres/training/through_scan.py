"""A fine map held against what a scan read of it: the comparison when the truth is not known."""

from torch import Tensor
from torch.nn import functional

from models.superres.networks.data_step import read_by_scan, transfer
from models.superres.networks.measured import Measured
from models.superres.networks.prediction import Prediction

_LEAST_WITHIN = 0.95  # of a point's beam, as in `models.superres.consistency`
_STAGE_WEIGHT = 0.1
_WEIGHT = 0.05  # both as in `models.superres.training.losses.staged_error`


def readings_of(fine: Tensor, kernel: Tensor, scale: int) -> Tensor:
    """What a scan reads of fine maps (B, 1, Y, X) that go on beyond their border as they end: (B, 1, Y/s, X/s).

    Args:
        fine: maps whose sides are multiples of ``scale``.
        kernel: (B, k, k), see `models.physics.flyscan.scan_kernel`; one that is moved by a shift will do too.
        scale: fine pixels per reading.
    """
    return _read(fine, kernel, scale, "replicate")


def judged_points(scan: Measured) -> Tensor:
    """(B, 1, y, x): 1 where a reading was measured and its beam falls within the map, else 0."""
    rows, points = scan.readings.shape[-2:]
    inside = scan.readings.new_ones((len(scan.kernel), 1, scan.scale * rows, scan.scale * points))
    share = _read(inside, scan.kernel, scan.scale, "constant")
    return scan.mask * (share >= _LEAST_WITHIN)


def chi_squared(fine: Tensor, scan: Measured, judged: Tensor) -> Tensor:
    """(B,): mean over the judged points of the squared residual over the variance; 1 for the truth.

    Args:
        fine: (B, 1, s y, s x) in the unit of the readings.
        scan: of these maps.
        judged: see `judged_points`.
    """
    residual = readings_of(fine, scan.kernel, scan.scale) - scan.readings
    weighted = judged * residual.square() / scan.variance
    total: Tensor = weighted.sum((1, 2, 3)) / judged.sum((1, 2, 3)).clamp_min(1)
    return total


def seen_error(prediction: Prediction, scan: Measured) -> Tensor:
    """Chi^2 of the fine scan over that of the linear estimate, and a tenth of that of each stage.

    The twin of `models.superres.training.losses.staged_error` where the truth is not known but was read by a fine
    scan, blurred and with noise: Gaussian likelihood, each map in units of what is easily had. A map that is exact
    has chi^2 = 1, so where noise is all that is left there is nothing to gain by following it. What no reading shows
    has no gradient, and the scale of the error has none at all: it is learnt where the truth is known.
    """
    judged = judged_points(scan)
    linear = prediction.values if prediction.linear is None else prediction.linear
    usual = chi_squared(linear.detach(), scan, judged).clamp_min(1.0)
    loss = (chi_squared(prediction.values, scan, judged) / usual).mean()
    for stage in prediction.stages:
        loss = loss + _STAGE_WEIGHT * (chi_squared(stage, scan, judged) / usual).mean()
    return _WEIGHT * loss


def seen_difference(prediction: Prediction, scan: Measured) -> Tensor:
    """Mean absolute difference between what the fine scan read and what it would read of the map."""
    judged = judged_points(scan)
    difference = (readings_of(prediction.values, scan.kernel, scan.scale) - scan.readings).abs()
    total: Tensor = (judged * difference).sum() / judged.sum().clamp_min(1)
    return total


def _read(fine: Tensor, kernel: Tensor, scale: int, beyond: str) -> Tensor:
    margin = (kernel.shape[-1] - scale) // 2
    around = scale * -(-margin // scale)
    continued = functional.pad(fine.float(), (around,) * 4, mode=beyond)
    spectrum = transfer(kernel.float(), scale, (continued.shape[-2], continued.shape[-1]))
    readings = read_by_scan(continued, spectrum, scale)
    edge = around // scale
    return readings[..., edge : readings.shape[-2] - edge, edge : readings.shape[-1] - edge] if edge else readings
