"""What training makes small."""

import torch
from torch import Tensor

from models.superres.networks.prediction import Prediction

_STAGE_WEIGHT = 0.1
_USUAL_ERROR, _LEAST_ERROR, _MOST_WEIGHT = 0.04, 0.003, 6.0  # of a linear estimate, maps being about 1 high
_LIKELIHOOD_WEIGHT = 0.05
_LOG_SCALE_RANGE = (-9.0, 3.0)


def absolute_error(prediction: Prediction, fine: Tensor) -> Tensor:
    """Mean absolute error of the map, the loss of the papers."""
    return (prediction.values - fine).abs().mean()


def staged_error(prediction: Prediction, fine: Tensor) -> Tensor:
    """Mean absolute error, a tenth of that of each stage, and the likelihood of the error under its Laplace scale.

    Errors of a map count in proportion to that of its linear estimate: what is easy must be done as much better than
    linearly as what is hard. The Laplace scale is fitted to the finished map, which it cannot change.
    """
    weight = _difficulty_weight(prediction, fine)
    loss = (weight * (prediction.values - fine).abs()).mean()
    for stage in prediction.stages:
        loss = loss + _STAGE_WEIGHT * (weight * (stage - fine).abs()).mean()
    if prediction.log_scale is not None:
        error = (prediction.values.detach() - fine).abs()
        log_scale = prediction.log_scale.clamp(*_LOG_SCALE_RANGE)
        loss = loss + _LIKELIHOOD_WEIGHT * (error * torch.exp(-log_scale) + log_scale).mean()
    return loss


def _difficulty_weight(prediction: Prediction, fine: Tensor) -> Tensor:
    """(B, 1, 1, 1), 1 for a map of usual difficulty."""
    if prediction.linear is None:
        return fine.new_ones(())
    error = (prediction.linear - fine).abs().mean((1, 2, 3), keepdim=True)
    return (_USUAL_ERROR / (error + _LEAST_ERROR)).clamp_max(_MOST_WEIGHT)
