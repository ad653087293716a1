"""What training makes small."""

import torch
from torch import Tensor

from models.superres.networks.prediction import Prediction

_STAGE_WEIGHT = 0.1
_LIKELIHOOD_WEIGHT = 0.05
_LOG_SCALE_RANGE = (-9.0, 3.0)


def absolute_error(prediction: Prediction, fine: Tensor) -> Tensor:
    """Mean absolute error of the map, the loss of the papers."""
    return (prediction.values - fine).abs().mean()


def staged_error(prediction: Prediction, fine: Tensor) -> Tensor:
    """`absolute_error`, a tenth of that of each stage, and the likelihood of the error under its Laplace scale.

    The scale is fitted to the finished map, which it cannot change.
    """
    loss = absolute_error(prediction, fine)
    for stage in prediction.stages:
        loss = loss + _STAGE_WEIGHT * (stage - fine).abs().mean()
    if prediction.log_scale is not None:
        error = (prediction.values.detach() - fine).abs()
        log_scale = prediction.log_scale.clamp(*_LOG_SCALE_RANGE)
        loss = loss + _LIKELIHOOD_WEIGHT * (error * torch.exp(-log_scale) + log_scale).mean()
    return loss
