"""The engine of torch, CPU or CUDA: the sparse matrix as sums of table rows, the penalty by blocks of image rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from models.tomo.geometry import index_to_edge
from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled
from models.tomo.likelihood import Fit, LikelihoodResult, LikelihoodSettings, Problem, Sweep, maximise
from models.tomo.projector import project
from models.tomo.system import Geometry, SparseRows, Values, system_matrix
from models.tomo.torch_pixels import BLOCK_BYTES, PixelEquations


@dataclass(frozen=True)
class TorchEngine:
    """Sparse products and elementwise torch on one device.

    Attributes:
        device: of torch, ``cpu`` or ``cuda``.
        name: in results.
    """

    device: str = "cpu"
    name: str = "torch"

    def unavailable(self) -> str | None:
        """See `models.tomo.engines.Engine`."""
        return "torch sees no CUDA device" if self.device != "cpu" and not torch.cuda.is_available() else None

    def memory_bytes(self, geometry: Geometry, n_slices: int, settings: LikelihoodSettings) -> int:
        """See `models.tomo.engines.Engine`."""
        n_pixels, n_rays = int(np.prod(geometry.padded_size)), len(geometry.angles_deg) * geometry.n_detector
        images = 4 if settings.tolerance else 3
        blocks = 10 * min(BLOCK_BYTES[torch.device(self.device).type], 4 * n_slices * n_pixels)
        return geometry.matrix_bytes + 4 * n_slices * (images * n_pixels + 2 * n_rays) + blocks

    def project(self, volume: Values, geometry: Geometry) -> Values:
        """See `models.tomo.engines.Engine`."""
        centre_px = index_to_edge(geometry.axis_index)
        return project(volume, geometry.angles_deg, centre_px, geometry.n_detector, self.device)

    def reconstruct(
        self,
        projections: Values,
        geometry: Geometry,
        settings: LikelihoodSettings,
        *,
        initial: Values | None = None,
        progress: Progress = keep_quiet,
        cancelled: Cancelled = never_cancelled,
    ) -> LikelihoodResult:
        """See `models.tomo.engines.Engine`."""

        def begin(problem: Problem, image: Values) -> Sweep:
            device = torch.device(self.device)
            equations = PixelEquations.on(device, problem.settings, geometry.size)
            return TorchSweep(
                problem, image, [SparseRays.on(device, g, equations) for g in problem.geometries], equations
            )

        return maximise(self.name, begin, projections, geometry, settings, initial, progress, cancelled)


class Rays(Protocol):
    """The rays of one subset on a device."""

    squared_chords: Tensor
    """(angle * u,) sum of the squared chords along a ray."""

    def projection(self, image: Tensor) -> Tensor:
        """(angle * u, slice) of an image (padded pixel, slice)."""

    def moved(self, image: Tensor, rays: Tensor, measured: Tensor | None) -> Tensor:
        """The image after ``rays`` are projected back; ``measured``, 1 or 0, where some were not."""


@dataclass(frozen=True)
class _Rows:
    """A sparse matrix on a device."""

    start: Tensor
    column: Tensor
    value: Tensor

    @classmethod
    def on(cls, device: torch.device, rows: SparseRows) -> "_Rows":
        return cls(*(torch.as_tensor(array, device=device) for array in (rows.start, rows.column, rows.value)))

    def times(self, table: Tensor) -> Tensor:
        return embedding_bag(
            self.column, table, self.start, mode="sum", per_sample_weights=self.value, include_last_offset=True
        )


@dataclass
class SparseRays:
    """Rays by the sparse matrix and its transpose."""

    forward: _Rows
    adjoint: _Rows
    sensitivity: Tensor
    squared_chords: Tensor
    equations: PixelEquations

    @classmethod
    def on(cls, device: torch.device, geometry: Geometry, equations: PixelEquations) -> "SparseRays":
        """Build the matrix of some angles and take it to a device."""
        matrix = system_matrix(geometry)
        return cls(
            forward=_Rows.on(device, matrix.forward),
            adjoint=_Rows.on(device, matrix.adjoint),
            sensitivity=torch.as_tensor(matrix.sensitivity, device=device),
            squared_chords=torch.as_tensor(matrix.squared_chords, device=device),
            equations=equations,
        )

    def projection(self, image: Tensor) -> Tensor:
        """See `Rays`."""
        return self.forward.times(image)

    def moved(self, image: Tensor, rays: Tensor, measured: Tensor | None) -> Tensor:
        """See `Rays`."""
        seen = self.sensitivity[:, None] if measured is None else self.adjoint.times(measured)
        return self.equations.solved(image, self.adjoint.times(rays), seen)


class TorchSweep:
    """A reconstruction whose image and data stay on the device."""

    def __init__(self, problem: Problem, image: Values, rays: Sequence[Rays], equations: PixelEquations) -> None:
        device = rays[0].squared_chords.device
        self._problem, self._rays, self._equations = problem, rays, equations
        self._image = torch.as_tensor(image, device=device)
        self._before = self._image.clone() if problem.settings.tolerance else None
        self._data = [torch.as_tensor(sinogram, device=device) for sinogram in problem.sinograms]

    def update(self, subset: int) -> Fit:
        """See `Sweep`."""
        rays, data = self._rays[subset], self._data[subset]
        projected, measured = rays.projection(self._image), torch.isfinite(data)
        difference = torch.where(measured, data - projected, 0.0)
        if self._problem.settings.method == "sirt":
            back = difference * torch.where(rays.squared_chords > 0, 1 / rays.squared_chords, 0.0)[:, None]
            likelihood = -0.5 * (back * difference).sum(dtype=torch.float64)
        else:
            crossed = measured & (projected > 0)
            back = torch.where(crossed, data / projected, 0.0)
            terms = torch.where(crossed, torch.xlogy(data, projected) - projected, 0.0)
            likelihood = terms.sum(dtype=torch.float64)
        self._image = rays.moved(self._image, back, measured.float() if self._problem.has_gaps else None)
        return Fit(float(likelihood), float(difference.square().sum(dtype=torch.float64)))

    def penalty(self) -> float:
        """See `Sweep`."""
        return self._equations.penalty(self._image)

    def change(self) -> float:
        """See `Sweep`."""
        assert self._before is not None
        norm = float(torch.linalg.vector_norm(self._image))
        moved = float(torch.linalg.vector_norm(self._image - self._before))
        self._before.copy_(self._image)
        return moved / norm if norm else 0.0

    def image(self) -> Values:
        """See `Sweep`."""
        return self._image.cpu().numpy()
