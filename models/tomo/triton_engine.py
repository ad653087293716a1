"""The engine of CUDA: two matrix-free kernels per subset, trusted only after they agreed with the sparse matrix."""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled
from models.tomo.likelihood import (
    LikelihoodResult,
    LikelihoodSettings,
    Method,
    Problem,
    Regularisation,
    Sweep,
    maximise,
)
from models.tomo.system import Geometry, Values
from models.tomo.torch_engine import TorchEngine, TorchSweep
from models.tomo.torch_pixels import PixelEquations

_WIDEST = 256
"""Slices per program."""
_AGREEMENT = 1e-4
"""Of the self-check, norm of the difference over norm; chords differ by their last bits."""


@dataclass(frozen=True)
class TritonEngine:
    """Kernels that compute chords as they go: no matrix, and slices of any number side by side.

    Attributes:
        device: of torch.
        name: in results.
    """

    device: str = "cuda"
    name: str = "triton"

    def unavailable(self) -> str | None:
        """See `models.tomo.engines.Engine`; the first answer takes a self-check of a second or so."""
        if find_spec("triton") is None:
            return "triton is not installed"
        return TorchEngine(self.device).unavailable() or disagreement(self.device)

    def memory_bytes(self, geometry: Geometry, n_slices: int, settings: LikelihoodSettings) -> int:
        """See `models.tomo.engines.Engine`."""
        without = TorchEngine(self.device).memory_bytes(geometry, n_slices, settings)
        return without - geometry.matrix_bytes

    def project(self, volume: Values, geometry: Geometry) -> Values:
        """See `models.tomo.engines.Engine`."""
        return TorchEngine(self.device).project(volume, geometry)

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
            rays = [MatrixFreeRays.on(device, subset, problem.settings) for subset in problem.geometries]
            return TorchSweep(problem, image, rays, PixelEquations.on(device, problem.settings, geometry.size))

        return maximise(self.name, begin, projections, geometry, settings, initial, progress, cancelled)


@dataclass
class MatrixFreeRays:
    """Rays of one subset, whose chords the kernels find anew each time.

    Attributes:
        directions: (angle, 3) cosine, sine and place of the axis, float64.
        squared_chords: see `models.tomo.torch_engine.Rays`; empty unless the method needs it.
    """

    directions: Tensor
    geometry: Geometry
    settings: LikelihoodSettings
    squared_chords: Tensor

    @classmethod
    def on(cls, device: torch.device, geometry: Geometry, settings: LikelihoodSettings) -> "MatrixFreeRays":
        """Put some angles on a device."""
        axis = np.full((len(geometry.angles_deg), 1), geometry.axis_index)
        directions = torch.as_tensor(np.concatenate([geometry.directions(), axis], axis=1), device=device)
        rays = cls(directions, geometry, settings, torch.zeros(0, device=device))
        if settings.method == "sirt":
            inside = torch.zeros(*geometry.padded_size, device=device)
            inside[1:-1, 1:-1] = 1
            rays.squared_chords = rays.projection(inside.reshape(-1, 1), squared=True)[:, 0]
        return rays

    def projection(self, image: Tensor, squared: bool = False) -> Tensor:
        """See `models.tomo.torch_engine.Rays`; ``squared``: with squared chords."""
        from models.tomo.triton_kernels import project_rays  # triton is there only on machines with CUDA

        geometry, n_slices = self.geometry, image.shape[1]
        n_rays = len(self.directions) * geometry.n_detector
        rays = torch.empty(n_rays, n_slices, device=image.device)
        width = _width(n_slices)
        project_rays[(n_rays, -(-n_slices // width))](
            image, rays, self.directions, n_slices, *geometry.size, geometry.n_detector, SQUARED=squared, WIDTH=width
        )
        return rays

    def moved(self, image: Tensor, rays: Tensor, measured: Tensor | None) -> Tensor:
        """See `models.tomo.torch_engine.Rays`."""
        from models.tomo.triton_kernels import ADD, RATIO, ROOT, move_pixels

        (n_z, n_x), n_slices, settings = self.geometry.size, image.shape[1], self.settings
        penalised = settings.beta > 0 and n_z * n_x > 1
        mode = ADD if settings.method == "sirt" else ROOT if penalised else RATIO
        updated, width = torch.zeros_like(image), _width(n_slices)
        move_pixels[(n_z * n_x, -(-n_slices // width))](
            image,
            updated,
            rays,
            rays if measured is None else measured,
            self.directions,
            n_slices,
            n_z,
            n_x,
            len(self.directions),
            self.geometry.n_detector,
            2 * settings.beta,
            settings.inverse_delta,
            MODE=mode,
            GAPS=measured is not None,
            WIDTH=width,
        )
        return updated


def _width(n_slices: int) -> int:
    """Slices per program: a power of two that holds them all, or the widest."""
    return min(_WIDEST, 1 << (n_slices - 1).bit_length())


@cache
def disagreement(device: str) -> str | None:
    """Why not to trust the kernels on a device: they fail, or differ from the sparse matrix on a small case."""
    rng = np.random.default_rng(0)
    geometry = Geometry(np.linspace(-20, 250, 10), 9.3, 19, (21, 18))
    projections = rng.poisson(20, (10, 5, 19)).astype(np.float32)
    projections[3, 1, 4:7] = np.nan
    methods: tuple[Method, ...] = ("ospml_hybrid", "osem", "sirt")
    for method in methods:
        regularisation = Regularisation(0.01, 2.0) if method == "ospml_hybrid" else None
        settings = LikelihoodSettings(method, 3, 1 if method == "sirt" else 3, regularisation)
        try:
            ours = TritonEngine(device).reconstruct(projections, geometry, settings).volume
        except Exception as error:  # a compiler and a driver may fail in any way, and the matrix still works
            return f"the triton kernels failed: {type(error).__name__}: {error}"
        sparse = TorchEngine(device).reconstruct(projections, geometry, settings).volume
        apart = float(np.linalg.norm(ours - sparse) / np.linalg.norm(sparse))
        if not apart < _AGREEMENT:
            return f"the triton kernels differ from the sparse matrix by {apart:.1e} in {method}"
    return None
