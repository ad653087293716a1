"""Pairs that were measured: coarse maps of a specimen, and its fine maps or what a fine scan read of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.superres.coarse import coarse_maps
from models.superres.networks.measured import Measured
from models.superres.pairs.recording import Map, Recording
from models.superres.pairs.simulate import Pairs, full_scale, stacked_kernels
from models.xrf.maps import ElementMaps

_ATTEMPTS = 8  # at a crop of which at least half was measured


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
        self._kinds = np.array([_kind(recording) for recording in recordings])
        self._areas = np.array([float(recording.coarse.size) for recording in recordings])
        self._wholes = [_prepared(recording) for recording in recordings]
        self._coarse_px = coarse_px
        self._digest = _digest(recordings)

    @property
    def description(self) -> str:
        """How many there are, and a digest of every number in them."""
        return f"{len(self._wholes)} recorded pairs of maps (digest {self._digest})"

    def draw(self, batch: int, seed: int, step: int, device: str = "cpu") -> Pairs:
        """The pairs of one training step; one scale, one size, one kind of fine map."""
        rng = np.random.default_rng([seed, step])
        kind = self._kinds[_any(rng, self._areas)]
        alike = (self._kinds == kind).all(1)
        chosen = [self._wholes[_any(rng, self._areas * alike)] for _ in range(batch)]
        side = min(self._coarse_px, *(min(whole.coarse.values.shape) for whole in chosen))
        return _batch([_random_part(rng, whole, side) for whole in chosen], device)


def whole_pair(recording: Recording, device: str = "cpu") -> Pairs:
    """A recording in one piece and as it stands, prepared as `RecordedPairs` does: a batch of one."""
    return _batch([_prepared(recording)], device)


@dataclass(frozen=True)
class _View:
    """Readings of one scan; all (y, x) but the kernel. A true map is its own reading through one pixel."""

    values: Map
    variance: Map
    mask: Map
    kernel: Map
    scale: int

    def cut(self, top: int, left: int, side: int) -> "_View":
        part = np.s_[top : top + side, left : left + side]
        return _View(self.values[part], self.variance[part], self.mask[part], self.kernel, self.scale)

    def turned(self, quarters: int, mirrored: bool) -> "_View":
        """Everything alike: the kernel, centred on a point's block, turns with the specimen, and so does its shift."""
        planes = (self.values, self.variance, self.mask, self.kernel)
        values, variance, mask, kernel = (np.rot90(plane[:, ::-1] if mirrored else plane, quarters) for plane in planes)
        return _View(values, variance, mask, kernel, self.scale)


@dataclass(frozen=True)
class _Patch:
    """A part of a recording, as a network is to see it."""

    coarse: _View
    fine: _View
    is_truth: bool

    def cut(self, top: int, left: int, side: int) -> "_Patch":
        ratio = self.coarse.scale // self.fine.scale
        fine = self.fine.cut(ratio * top, ratio * left, ratio * side)
        return _Patch(self.coarse.cut(top, left, side), fine, self.is_truth)

    def turned(self, quarters: int, mirrored: bool) -> "_Patch":
        return _Patch(self.coarse.turned(quarters, mirrored), self.fine.turned(quarters, mirrored), self.is_truth)


def _kind(recording: Recording) -> tuple[int, int]:
    """What all pairs of a batch share: scale, and that of the fine scan, 0 for none."""
    return recording.scale, 0 if recording.fine_scan is None else recording.fine_scan.scale


def _any(rng: np.random.Generator, weights: NDArray[np.float64]) -> int:
    return int(rng.choice(len(weights), p=weights / weights.sum()))


def _prepared(recording: Recording) -> _Patch:
    coarse = _view(recording.coarse, recording.variance, recording.mask, recording.kernel, recording.scale)
    scan, fine = recording.fine_scan, recording.fine.astype(np.float32)
    if scan is not None:
        return _Patch(coarse, _view(fine, scan.variance, scan.mask, scan.kernel, scan.scale), is_truth=False)
    one = np.ones((1, 1), np.float32)
    return _Patch(coarse, _View(fine, np.zeros_like(fine), np.ones_like(fine), one, 1), is_truth=True)


def _view(values: Map, variance: Map, mask: NDArray[np.bool_], kernel: Map, scale: int) -> _View:
    """Holes filled and variance smoothed as `models.superres.network` does for maps that are to be enhanced."""
    maps = ElementMaps(
        elements=("recorded",),
        values=values[None],
        variance=variance[None],
        mask=mask,
        pixel_size_nm=1.0,
        counts_per_unit=np.ones(1, np.float32),
    )
    (ready,) = coarse_maps(maps)
    planes = (ready.values, ready.variance, ready.measured, kernel)
    known, noise, measured, seen_through = (plane.astype(np.float32) for plane in planes)
    return _View(known, noise, measured, seen_through, scale)


def _random_part(rng: np.random.Generator, whole: _Patch, side: int) -> _Patch:
    for _ in range(_ATTEMPTS):
        top, left = (int(rng.integers(n - side + 1)) for n in whole.coarse.values.shape)
        if whole.coarse.mask[top : top + side, left : left + side].mean() >= 0.5:
            break
    return whole.cut(top, left, side).turned(int(rng.integers(4)), bool(rng.integers(2)))


def _batch(patches: list[_Patch], device: str) -> Pairs:
    coarse = _measured([patch.coarse for patch in patches], device)
    unit = full_scale(coarse.readings, coarse.variance)
    fine = _measured([patch.fine for patch in patches], device)
    measured, seen = (_divided(scan, unit) for scan in (coarse, fine))
    return Pairs(measured, seen.readings, None if patches[0].is_truth else seen)


def _measured(views: list[_View], device: str) -> Measured:
    values, variance, mask = (
        torch.from_numpy(np.stack([getattr(view, name) for view in views])[:, None]).to(device)
        for name in ("values", "variance", "mask")
    )
    return Measured(values, variance, mask, stacked_kernels([view.kernel for view in views]).to(device), views[0].scale)


def _divided(scan: Measured, unit: Tensor) -> Measured:
    return Measured(scan.readings / unit, scan.variance / unit**2, scan.mask, scan.kernel, scan.scale)


def _digest(recordings: Sequence[Recording]) -> str:
    digest = sha256()
    for recording in recordings:
        planes = [recording.coarse, recording.variance, recording.mask, recording.fine, recording.kernel]
        scales = str(recording.scale)
        if (scan := recording.fine_scan) is not None:
            planes += [scan.variance, scan.mask, scan.kernel]
            scales += f" {scan.scale}"
        for plane in planes:
            digest.update(f"{plane.shape} {scales}".encode())
            digest.update(np.ascontiguousarray(plane).tobytes())
    return digest.hexdigest()[:16]
