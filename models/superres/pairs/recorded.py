"""Pairs that were measured: coarse maps of a specimen and the fine maps registered to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.superres.coarse import coarse_maps
from models.superres.networks.measured import Measured
from models.superres.pairs.simulate import Pairs, full_scale, stacked_kernels
from models.xrf.maps import ElementMaps

_LEAST_PX = 8  # coarse pixels along a map: less holds nothing to learn from
_ATTEMPTS = 8  # at a crop of which at least half was measured
_SAME_UNIT = 2.0  # factor by which the means of coarse and fine maps may differ
_UNIT_SUM = 0.01

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """One element of one specimen, measured with coarse steps and known on a fine grid.

    Fine pixels (s i + a, s j + b), a and b below s, lie under coarse point (i, j). Coarse and fine map have one unit.

    Attributes:
        coarse: (y, x), anything where not measured.
        variance: (y, x) of the noise of ``coarse``.
        mask: (y, x), True where measured.
        fine: (s y, s x), finite everywhere.
        kernel: (k, k), unit sum, k - s even, as `models.physics.flyscan.scan_kernel` makes it of a probe.
        scale: s, fine pixels per coarse pixel.

    Raises:
        ValueError: these do not belong together.
    """

    coarse: Map
    variance: Map
    mask: NDArray[np.bool_]
    fine: Map
    kernel: Map
    scale: int

    def __post_init__(self) -> None:
        self._check_shapes()
        if not self.mask.any():
            raise ValueError("mask is zero everywhere: it must be non-zero where coarse was measured")
        for name, values in (("coarse", self.coarse[self.mask]), ("variance", self.variance[self.mask])):
            if not np.isfinite(values).all():
                raise ValueError(f"{name} is not finite at points that mask takes as measured: put 0 into mask there")
        if (self.variance[self.mask] < 0).any():
            raise ValueError("variance is negative at measured points: pass that of the noise of coarse")
        for name, values in (("fine", self.fine), ("kernel", self.kernel)):
            if not np.isfinite(values).all():
                raise ValueError(f"{name} has NaN or infinite values: cut a part out in which it is known")
        total = float(self.kernel.sum())
        if abs(total - 1) > _UNIT_SUM:
            raise ValueError(f"kernel sums to {total:.4g}: divide it by its sum")
        coarse, fine = float(self.coarse[self.mask].mean()), float(self.fine.mean())
        if fine <= 0 or not 1 / _SAME_UNIT < coarse / fine < _SAME_UNIT:
            raise ValueError(f"the mean is {coarse:.4g} in coarse, {fine:.4g} in fine: give both in one unit")

    def _check_shapes(self) -> None:
        if self.scale < 2:
            raise ValueError(f"scale is {self.scale}: pass the number of fine pixels per coarse pixel, at least 2")
        if self.coarse.ndim != 2 or min(self.coarse.shape) < _LEAST_PX:
            raise ValueError(f"coarse has shape {self.coarse.shape}: (y, x) with at least {_LEAST_PX} each is needed")
        rows, points = self.coarse.shape
        needed = {"variance": (rows, points), "mask": (rows, points), "fine": (self.scale * rows, self.scale * points)}
        for name, shape in needed.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(
                    f"{name} has shape {found}: {shape} is needed for coarse {self.coarse.shape} at scale {self.scale}"
                )
        side = self.kernel.shape[0]
        if self.kernel.shape != (side, side) or (side - self.scale) % 2:
            parity = "odd" if self.scale % 2 else "even"
            raise ValueError(
                f"kernel has shape {self.kernel.shape}: a square with an {parity} side is needed at scale {self.scale}"
            )


@dataclass(frozen=True)
class _Patch:
    """A part of a recording, as a network is to see it; all (y, x) but ``fine`` and ``kernel``."""

    readings: Map
    variance: Map
    mask: Map
    fine: Map
    kernel: Map

    def cut(self, top: int, left: int, side: int, scale: int) -> "_Patch":
        coarse = np.s_[top : top + side, left : left + side]
        fine = np.s_[scale * top : scale * (top + side), scale * left : scale * (left + side)]
        return _Patch(self.readings[coarse], self.variance[coarse], self.mask[coarse], self.fine[fine], self.kernel)

    def turned(self, quarters: int, mirrored: bool) -> "_Patch":
        """Everything alike: the kernel, centred on a coarse point's block, turns with the specimen."""
        parts = (self.readings, self.variance, self.mask, self.fine, self.kernel)
        return _Patch(*(np.rot90(part[:, ::-1] if mirrored else part, quarters) for part in parts))


class RecordedPairs:
    """Random parts of recordings, in any of the eight turns and mirror images, divided by their full scale.

    Args:
        recordings: at least one; large ones are drawn from more often.
        coarse_px: side of a patch; smaller where a recording of the batch is.

    Raises:
        ValueError: there is no recording.
    """

    def __init__(self, recordings: Sequence[Recording], coarse_px: int) -> None:
        if not recordings:
            raise ValueError("there are no recordings: pass at least one")
        self._scales = np.array([recording.scale for recording in recordings])
        self._areas = np.array([float(recording.coarse.size) for recording in recordings])
        self._wholes = [_prepared(recording) for recording in recordings]
        self._coarse_px = coarse_px
        self._digest = _digest(recordings)

    @property
    def description(self) -> str:
        """How many there are, and a digest of every number in them."""
        return f"{len(self._wholes)} recorded pairs of maps (digest {self._digest})"

    def draw(self, batch: int, seed: int, step: int, device: str = "cpu") -> Pairs:
        """The pairs of one training step; one scale, one size."""
        rng = np.random.default_rng([seed, step])
        scale = int(self._scales[self._any(rng, self._areas)])
        chosen = [self._wholes[self._any(rng, self._areas * (self._scales == scale))] for _ in range(batch)]
        side = min(self._coarse_px, *(min(whole.readings.shape) for whole in chosen))
        patches = [_random_part(rng, whole, side, scale) for whole in chosen]
        readings, variance, mask, fine = (
            _stacked([getattr(patch, name) for patch in patches], device)
            for name in ("readings", "variance", "mask", "fine")
        )
        kernel = stacked_kernels([patch.kernel for patch in patches]).to(device)
        unit = full_scale(readings, variance)
        return Pairs(Measured(readings / unit, variance / unit**2, mask, kernel, scale), fine / unit)

    @staticmethod
    def _any(rng: np.random.Generator, weights: NDArray[np.float64]) -> int:
        return int(rng.choice(len(weights), p=weights / weights.sum()))


def _prepared(recording: Recording) -> _Patch:
    """Holes filled and variance smoothed as `models.superres.network` does for maps that are to be enhanced."""
    maps = ElementMaps(
        elements=("recorded",),
        values=recording.coarse[None],
        variance=recording.variance[None],
        mask=recording.mask,
        pixel_size_nm=1.0,
        counts_per_unit=np.ones(1, np.float32),
    )
    (ready,) = coarse_maps(maps)
    planes = (ready.values, ready.variance, ready.measured, recording.fine, recording.kernel)
    return _Patch(*(plane.astype(np.float32) for plane in planes))


def _random_part(rng: np.random.Generator, whole: _Patch, side: int, scale: int) -> _Patch:
    for _ in range(_ATTEMPTS):
        top, left = (int(rng.integers(n - side + 1)) for n in whole.readings.shape)
        if whole.mask[top : top + side, left : left + side].mean() >= 0.5:
            break
    return whole.cut(top, left, side, scale).turned(int(rng.integers(4)), bool(rng.integers(2)))


def _stacked(planes: list[Map], device: str) -> Tensor:
    return torch.from_numpy(np.stack(planes)[:, None]).to(device)


def _digest(recordings: Sequence[Recording]) -> str:
    digest = sha256()
    for recording in recordings:
        for plane in (recording.coarse, recording.variance, recording.mask, recording.fine, recording.kernel):
            digest.update(f"{plane.shape} {recording.scale}".encode())
            digest.update(np.ascontiguousarray(plane).tobytes())
    return digest.hexdigest()[:16]
