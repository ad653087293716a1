"""The loss that came with the residual network."""

import torch
from torch import Tensor
from torch.nn import functional

from models.superres.networks.prediction import Prediction

_EDGE_WEIGHT = 0.1


def sobel_error(prediction: Prediction, fine: Tensor) -> Tensor:
    """Mean absolute error of the map, and a tenth of that of its Sobel gradients along y and x.

    The gradients are Sobel's sums, 8 times the slope per pixel. Border pixels are repeated: a border is no edge.

    Args:
        prediction: of maps (B, 1, Y, X).
        fine: the true maps, of the same shape.

    Source: Sobel's operator as in Gonzalez and Woods, Digital Image Processing, ch. 10.
    """
    difference = prediction.values - fine
    along_x = difference.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    filters = torch.stack([along_x, along_x.T])[:, None]
    gradients = functional.conv2d(functional.pad(difference, (1, 1, 1, 1), mode="replicate"), filters)
    return difference.abs().mean() + _EDGE_WEIGHT * gradients.abs().mean()
