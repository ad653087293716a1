"""What training makes small."""

import torch
from torch import Tensor

from models.superres.networks.prediction import Prediction

_STAGE_WEIGHT = 0.1
_SQUARE_WEIGHT = 0.05
_USUAL_SQUARE, _LEAST_SQUARE = 2e-3, 1e-5  # of a linear estimate, maps being about 1 high
_LIKELIHOOD_WEIGHT = 0.05
_LOG_SCALE_RANGE = (-9.0, 3.0)


def absolute_error(prediction: Prediction, fine: Tensor) -> Tensor:
    """Mean absolute error of the map, the loss of the papers."""
    return (prediction.values - fine).abs().mean()


def staged_error(prediction: Prediction, fine: Tensor) -> Tensor:
    """Squared error over that of the linear estimate, a tenth of that of each stage, and the likelihood of the error.

    What is easy must be done as much better than linearly as what is hard. The squared error makes a map the mean of
    what the readings allow; the absolute one its median, which at few counts is dimmer wherever grains may or may not
    be. The Laplace scale is fitted to the finished map, which it cannot change.
    """
    usual = fine.new_tensor(_USUAL_SQUARE) if prediction.linear is None else _square(prediction.linear, fine)
    loss = (_square(prediction.values, fine) / (usual + _LEAST_SQUARE)).mean()
    for stage in prediction.stages:
        loss = loss + _STAGE_WEIGHT * (_square(stage, fine) / (usual + _LEAST_SQUARE)).mean()
    loss = _SQUARE_WEIGHT * loss
    if prediction.log_scale is not None:
        error = (prediction.values.detach() - fine).abs()
        log_scale = prediction.log_scale.clamp(*_LOG_SCALE_RANGE)
        loss = loss + _LIKELIHOOD_WEIGHT * (error * torch.exp(-log_scale) + log_scale).mean()
    return loss


def _square(values: Tensor, fine: Tensor) -> Tensor:
    """(B,)"""
    return (values - fine).square().mean((1, 2, 3))
