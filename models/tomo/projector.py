"""Parallel projector and back-projector in torch, CPU or CUDA: every pixel meets two detector elements per angle.

Both are gathers of whole rows of slices, `torch.nn.functional.embedding_bag`: no system matrix is kept, and slices ride
along for free on the last, contiguous axis.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from models.tomo.geometry import Array, edge_to_index
from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled, step_done

_GATHERS_PER_BATCH = 2_000_000
"""Pixel-angle pairs at a time: 16 MB of indices."""


def back_project(
    projections: Tensor,
    angles_deg: Array,
    centre_px: float,
    size: tuple[int, int],
    progress: Progress = keep_quiet,
    cancelled: Cancelled = never_cancelled,
) -> Tensor:
    """The sum over angles of each projection, linearly interpolated at every pixel; nothing outside the detector.

    Args:
        projections: (angle, u, slice).
        angles_deg: one per projection.
        centre_px: rotation axis on the detector, edge coordinates.
        size: (z, x) pixels of a slice.
        progress, cancelled: between batches of rows.

    Returns:
        (z, slice, x).
    """
    n_angles, n_detector, n_slices = projections.shape
    (nz, nx), device = size, projections.device
    volume = torch.empty((nz, n_slices, nx), dtype=projections.dtype, device=device)
    table = projections.reshape(n_angles * n_detector, n_slices)
    rows = max(1, _GATHERS_PER_BATCH // (nx * n_angles))
    for start in range(0, nz, rows):
        stop = min(start + rows, nz)
        x, z = _pixel_coordinates(size, slice(start, stop), device)
        element, weight = _along_all_angles(x, z, angles_deg, centre_px, n_detector)
        summed = embedding_bag(element, table, per_sample_weights=weight.to(projections.dtype), mode="sum")
        volume[start:stop] = summed.reshape(stop - start, nx, n_slices).transpose(1, 2)
        step_done(stop / nz, progress, cancelled)
    return volume


def project(
    volume: NDArray[np.float32], angles_deg: Array, centre_px: float, n_detector: int, device: str = "cpu"
) -> NDArray[np.float32]:
    """Line integrals through a volume: the exact chord of each detector element's central ray in every square pixel.

    Args:
        volume: (z, y, x), its middle on the rotation axis.
        angles_deg: any.
        centre_px: rotation axis on the detector, edge coordinates.
        n_detector: width of the detector in pixels as large as the volume's.
        device: of torch.

    Returns:
        (angle, y, u) in the volume's unit times pixels.

    Source: the closed form of a ray's chord in a unit square; equal to ASTRA's line projector.
    """
    nz, ny, nx = volume.shape
    table = torch.as_tensor(volume, device=device).permute(0, 2, 1).reshape(nz * nx, ny).contiguous()
    x, z = _pixel_coordinates((nz, nx), slice(0, nz), table.device)
    projections = np.empty((len(angles_deg), ny, n_detector), dtype=np.float32)
    for image, angle in zip(projections, np.deg2rad(angles_deg), strict=True):
        cosine, sine = float(np.cos(angle)), float(np.sin(angle))
        first, weights = chords(x * cosine + z * sine + edge_to_index(centre_px), cosine, sine)
        element = torch.stack([first, first + 1], dim=1).reshape(-1)
        weight = torch.where((element >= 0) & (element < n_detector), weights.reshape(-1), 0.0).to(torch.float32)
        order = torch.argsort(element.clamp_(0, n_detector - 1), stable=True)
        offsets = torch.searchsorted(element[order], torch.arange(n_detector, device=table.device))
        sums = embedding_bag(order // 2, table, offsets, per_sample_weights=weight[order], mode="sum")
        image[:] = sums.T.cpu().numpy()
    return projections


def chords(position: Tensor, cosine: float, sine: float) -> tuple[Tensor, Tensor]:
    """Paths of the two nearest rays through unit squares: clamp((h - |d|) / B, 0, 1) / A.

    d is the distance from ray to middle, A and B the larger and the smaller of |cos| and |sin|, h = (A + B) / 2.

    Args:
        position: (pixel,) of the squares' middles, in detector indices.
        cosine, sine: of the angle.

    Returns:
        First detector element (pixel,) and the paths of it and of the next, (pixel, 2).
    """
    long, short = max(abs(cosine), abs(sine)), min(abs(cosine), abs(sine))
    half = (long + short) / 2
    first = torch.ceil(position - half)
    distance = torch.stack([position - first, first + 1 - position], dim=1).abs()
    # A ray along the pixels' sides: the ramp of no width becomes a step.
    return first.long(), torch.clamp((half - distance) / max(short, 1e-9), 0.0, 1.0) / long


def _along_all_angles(
    x: Tensor, z: Tensor, angles_deg: Array, centre_px: float, n_detector: int
) -> tuple[Tensor, Tensor]:
    """Rows of the (angle * u) table that each pixel gathers and their weights, (pixel, 2 * angle) each."""
    angles = torch.as_tensor(np.deg2rad(angles_deg), device=x.device)
    position = torch.outer(x, torch.cos(angles)) + torch.outer(z, torch.sin(angles)) + edge_to_index(centre_px)
    first = torch.floor(position)
    fraction = position - first
    element = torch.stack([first, first + 1], dim=2).long()
    weight = torch.stack([1 - fraction, fraction], dim=2)
    weight = torch.where((element >= 0) & (element < n_detector), weight, 0.0)
    element = element.clamp_(0, n_detector - 1) + n_detector * torch.arange(len(angles), device=x.device)[:, None]
    return element.reshape(len(x), -1), weight.reshape(len(x), -1)


def _pixel_coordinates(size: tuple[int, int], rows: slice, device: torch.device) -> tuple[Tensor, Tensor]:
    """(x, z) of the pixels of some rows from the rotation axis, in pixels, flat with x fastest."""
    nz, nx = size
    z = torch.arange(rows.start, rows.stop, dtype=torch.float64, device=device) + 0.5 - nz / 2
    x = torch.arange(nx, dtype=torch.float64, device=device) + 0.5 - nx / 2
    return x.repeat(len(z)), z.repeat_interleave(nx)
