"""TomoPy as an engine, where conda has installed it: for comparisons with what a beamline already runs."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from models.tomo.interruption import Cancelled, Progress, keep_quiet, never_cancelled, step_done
from models.tomo.likelihood import START, History, LikelihoodResult, LikelihoodSettings
from models.tomo.system import Geometry, Values


@dataclass(frozen=True)
class TomopyEngine:
    """The same arguments as the other engines, with TomoPy's defects kept away from them.

    The order of the angles is always given, ``reg_par`` always a pair, negative values are clipped, the start image is
    copied, beta = 0 runs `osem`. What was not measured is refused, and there is no history beyond the change.
    """

    name: str = "tomopy"

    def unavailable(self) -> str | None:
        """See `models.tomo.engines.Engine`."""
        return None if find_spec("tomopy") else "TomoPy is not installed: conda install -c conda-forge tomopy"

    def memory_bytes(self, geometry: Geometry, n_slices: int, settings: LikelihoodSettings) -> int:
        """See `models.tomo.engines.Engine`."""
        images = 4 if settings.tolerance else 3
        n_pixels, n_rays = geometry.size[0] * geometry.size[1], len(geometry.angles_deg) * geometry.n_detector
        return 4 * n_slices * (images * n_pixels + 2 * n_rays)

    def project(self, volume: Values, geometry: Geometry) -> Values:
        """See `models.tomo.engines.Engine`."""
        if geometry.size != (geometry.n_detector, geometry.n_detector):
            raise ValueError(
                f"tomopy projects {geometry.size} pixels onto as wide a detector, not {geometry.n_detector}"
            )
        tomopy = import_module("tomopy")  # only where conda has it
        angles = np.deg2rad(geometry.angles_deg).astype(np.float32)
        projections = tomopy.project(
            _theirs(volume), angles, center=geometry.centre_px, pad=False, sinogram_order=False
        )
        return np.asarray(projections, np.float32)

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
        if projections.ndim != 3 or not np.isfinite(projections).all():
            raise ValueError("tomopy takes (angle, y, u) without missing values: choose another engine for these data")
        tomopy = import_module("tomopy")
        options = _options(geometry, settings)
        angles = np.deg2rad(geometry.angles_deg).astype(np.float32)
        data = projections if settings.method == "sirt" else np.maximum(projections, 0)
        n_z, n_x = geometry.size
        volume = np.full((n_z, projections.shape[1], n_x), START) if initial is None else initial
        change = list[float]()
        for iteration in range(settings.n_iterations):
            # Each iteration from the one before: progress and cancelling between them, and nobody's array overwritten.
            raw = tomopy.recon(data, angles, init_recon=_theirs(volume), sinogram_order=False, **options)
            before, volume = volume, _ours(np.asarray(raw, np.float32))
            step_done((iteration + 1) / settings.n_iterations, progress, cancelled)
            if settings.tolerance:
                change.append(float(np.linalg.norm(volume - before) / np.linalg.norm(volume)))
                if change[-1] < settings.tolerance:
                    break
        return LikelihoodResult(volume, settings, History((), (), tuple(change)), self.name)


def _options(geometry: Geometry, settings: LikelihoodSettings) -> dict[str, Any]:
    """Keyword arguments of `tomopy.recon` for one iteration."""
    method = "osem" if settings.method.startswith("ospml") and not settings.beta else settings.method
    options: dict[str, Any] = {
        "algorithm": method,
        "center": geometry.centre_px,
        "num_iter": 1,
        "num_gridx": geometry.size[0],
        "num_gridy": geometry.size[1],
    }
    if method not in ("mlem", "sirt"):
        order = np.concatenate(settings.subsets(geometry.angles_deg)).astype(np.int32)
        options |= {"num_block": settings.n_subsets, "ind_block": order}
    if settings.regularisation and method != "osem":
        options["reg_par"] = np.array([settings.regularisation.beta, settings.regularisation.delta], np.float32)
    return options


def _theirs(volume: Values) -> Values:
    """(y, n, m) of (z, y, x): their n runs against our z. Always a copy."""
    return np.array(volume[::-1].transpose(1, 0, 2), dtype=np.float32, order="C")


def _ours(volume: Values) -> Values:
    return np.ascontiguousarray(volume.transpose(1, 0, 2)[::-1])
