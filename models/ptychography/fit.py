"""Maximum likelihood of probe and object: counts are Poisson, the motion is known, as little as possible is free.

Source: Thibault and Guizar-Sicairos, New J. Phys. 14 (2012) 063004 (maximum likelihood); Thibault and Menzel, Nature
494 (2013) 68 (mixed states); Odstrcil et al., Opt. Express 26 (2018) 12585 (sub-positions of a fly-scan).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, cos, pi
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.ptychography.frames import Frames, Indices
from models.ptychography.incoherence import places

_FAINT = 1e-2  # photons per pixel under which a logarithm is held back
_AROUND_PX = 8
_LAST_RATE = 0.02  # of the learning rate, at the end of the cosine
_BETAS = (0.9, 0.95)  # Adam's; a short memory of squares quickens the slow, joint turns of probe and object
_PROBE_RATE = 10.0  # of the learning rate, for the probe in the far field, in units of the mean frame's amplitude
_FLOOR = 0.1  # of that unit's height
_SOURCE_RATE = 3.0  # of the learning rate, for the size of the source
_POSITION_RATE = 2.0
_LEAST_HAZE = 1e-4
_AT_ONCE = 64  # frames of an evaluation

Progress = Callable[[int, int], None]
Wave = NDArray[np.complex64]


def no_progress(_done: int, _of: int) -> None:
    """Nobody looks."""


@dataclass(frozen=True, eq=False)
class Fields:
    """Where a fit stands.

    Attributes:
        probe: (mode, n, n) without motion and source, of photons per frame; its window's middle is pixel n // 2.
        source_px: standard deviation of the source in the object's plane, y and x; zero for a coherent beam.
        obj: (Y, X) transmission; 1 everywhere where None.
        moves_px: (point, 2) corrections of the positions; none where None.
        haze: mean photons that every pixel of a frame gets beside the known background; None where nobody knows yet.
    """

    probe: Wave
    source_px: tuple[float, float] = (0.0, 0.0)
    obj: Wave | None = None
    moves_px: NDArray[np.float32] | None = None
    haze: float | None = None


@dataclass(frozen=True)
class FitSettings:
    """How a fit goes.

    Attributes:
        epochs: passes over all frames.
        batch: frames of a step; some 400 steps are needed.
        learning_rate: Adam's, down to a fiftieth by a cosine.
        fit_source: whether the size of the source is free.
        fit_positions: whether positions are.
        seed: of the order of frames.
        device: of torch.
    """

    epochs: int = 60
    batch: int = 20
    learning_rate: float = 0.02
    fit_source: bool = False
    fit_positions: bool = False
    seed: int = 0
    device: str = "cpu"


def fit(
    frames: Frames, points: Indices, start: Fields, settings: FitSettings, progress: Progress = no_progress
) -> Fields:
    """Fit some of the frames, from a start.

    Args:
        frames: of the whole scan.
        points: to fit; the others are never looked at.
        start: a probe in pixels of the object, of any power, and what is known already; a haze that is not, begins as
            the faintest part of the mean frame.
        settings: of the fit.
        progress: called with steps done and steps in all; what it raises ends the fit.
    """
    scan = _Scan(frames, settings.device)
    unknown = _Unknowns(scan, start if start.haze is not None else replace(start, haze=frames.haze()), settings)
    optimiser = torch.optim.Adam(unknown.groups(), betas=_BETAS)
    rng = np.random.default_rng(settings.seed)
    per_epoch = ceil(len(points) / settings.batch)
    total = settings.epochs * per_epoch
    for step in range(total):
        if step % per_epoch == 0:
            order = rng.permutation(points)
        some = np.sort(order[step % per_epoch * settings.batch :][: settings.batch])
        fraction = _LAST_RATE + (1 - _LAST_RATE) * (1 + cos(pi * step / total)) / 2
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * fraction
        optimiser.zero_grad()
        expected = scan.expected(some, *unknown.now(some))
        measured = scan.counts[some]
        misfit = (scan.mask * (expected - measured * torch.log(expected + _FAINT))).mean()
        misfit.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        progress(step + 1, total)
    return unknown.fields(start)


@torch.no_grad()
def expected_counts(frames: Frames, points: Indices, fields: Fields, device: str = "cpu") -> NDArray[np.float32]:
    """(point, n, n) mean photons that the outcome of a fit expects, the direct beam on pixel n // 2."""
    scan = _Scan(frames, device)
    unknown = _Unknowns(scan, fields, FitSettings(device=device))
    parts = [points[first : first + _AT_ONCE] for first in range(0, len(points), _AT_ONCE)]
    expected = torch.cat([scan.expected(part, *unknown.now(part)) for part in parts])
    return np.asarray(torch.fft.fftshift(expected, (1, 2)).cpu().numpy())


class _Scan:
    """Frames on a device, the direct beam in the corner, and the way from fields to them."""

    def __init__(self, frames: Frames, device: str) -> None:
        self.frames = frames
        self.device = torch.device(device)
        seen = frames.seen()
        self.mask = self._cornered(seen.astype(np.float32))
        self.counts = self._cornered(np.where(seen, frames.counts, 0).astype(np.float32))
        self.background = None if frames.background is None else self._cornered(frames.background)
        origin = np.floor(frames.positions_px.min(0)).astype(int) - _AROUND_PX
        relative = frames.positions_px - origin
        self.whole = np.floor(relative).astype(int)
        self.rest = torch.tensor(relative - self.whole, dtype=torch.float32, device=self.device)
        self.object_shape = tuple(int(n) for n in self.whole.max(0) + frames.side_px + _AROUND_PX + 1)
        self.frequency = torch.fft.fftfreq(frames.side_px, device=self.device)

    def _cornered(self, planes: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.fft.ifftshift(planes, axes=(-2, -1))).to(self.device)

    def expected(
        self, some: Indices, spectrum: Tensor, obj: Tensor, source_px: Tensor, moves_px: Tensor, haze: Tensor
    ) -> Tensor:
        """(frame, n, n): the probe of that spectrum at each place of the blur, moved by fractions of a pixel."""
        offsets, shares = places(self.frames.fly_px, source_px)
        at = (self.rest[some] + moves_px)[:, None, :] + offsets
        along_y, along_x = (torch.exp(-2j * pi * at[..., axis, None] * self.frequency) for axis in (0, 1))
        ramp = torch.sqrt(shares)[:, None, None] * along_y[..., :, None] * along_x[..., None, :]
        corners = [(int(y), int(x)) for y, x in self.whole[some]]
        windows: Tensor = _Windows.apply(obj, corners, self.frames.side_px)  # type: ignore[no-untyped-call]
        counts: Tensor = FarField.apply(spectrum, ramp, windows)  # type: ignore[no-untyped-call]
        return counts + (haze if self.background is None else haze + self.background)


class _Unknowns:
    """What a fit may change, in units in which one learning rate suits all."""

    def __init__(self, scan: _Scan, start: Fields, settings: FitSettings) -> None:
        probe = np.asarray(start.probe, np.complex64)
        if start.obj is None:  # a start, of any power
            probe = probe * np.float32(np.sqrt(scan.frames.photons() / np.sum(np.abs(probe) ** 2)))
        haze = start.haze or 0.0
        amplitude = np.sqrt(np.fft.ifftshift(scan.frames.mean_frame(haze))) * scan.frames.side_px
        self._settings = settings
        device = scan.device
        self._unit = torch.tensor(np.maximum(amplitude, _FLOOR * amplitude.max()), dtype=torch.float32, device=device)
        self._spectrum = torch.fft.fft2(torch.tensor(probe, device=device)) / self._unit
        obj = np.ones(scan.object_shape, np.complex64) if start.obj is None else start.obj
        self._obj = torch.tensor(obj, device=device)
        self._source = torch.tensor(start.source_px, dtype=torch.float32, device=device)
        n_points = len(scan.frames.counts)
        moves = np.zeros((n_points, 2), np.float32) if start.moves_px is None else start.moves_px
        self._moves = torch.tensor(moves, device=device)
        self._haze_unit = max(haze, _LEAST_HAZE)
        self._haze = torch.tensor(haze / self._haze_unit, dtype=torch.float32, device=device)

    def groups(self) -> list[dict[str, Any]]:
        """Of the optimiser."""
        rate = self._settings.learning_rate
        free = [(self._spectrum, _PROBE_RATE * rate), (self._obj, rate), (self._haze, rate)]
        if self._settings.fit_source:
            free.append((self._source, _SOURCE_RATE * rate))
        if self._settings.fit_positions:
            free.append((self._moves, _POSITION_RATE * rate))
        return [{"params": [values.requires_grad_()], "base": base, "lr": base} for values, base in free]

    def now(self, some: Indices) -> tuple[Tensor, ...]:
        """Spectrum of the probe, object, source, moves of some frames, haze."""
        moves, haze = self._moves[torch.from_numpy(some)], self._haze.abs() * self._haze_unit
        return self._spectrum * self._unit, self._obj, self._source, moves, haze

    def fields(self, start: Fields) -> Fields:
        """As they are now."""
        source_y, source_x = self._source.detach().abs().tolist()
        return replace(
            start,
            probe=torch.fft.ifft2(self._spectrum.detach() * self._unit).cpu().numpy(),
            source_px=(source_y, source_x),
            obj=self._obj.detach().cpu().numpy(),
            moves_px=self._moves.detach().cpu().numpy() if self._settings.fit_positions else start.moves_px,
            haze=float(self._haze.detach().abs()) * self._haze_unit,
        )


class FarField(torch.autograd.Function):
    """Photons (frame, n, n) of a probe of spectrum (mode, n, n), moved by ramps (frame, place, n, n), through windows
    (frame, n, n) of the object.

    A gradient by hand, for torch's own keeps and passes over twice as many arrays: about a quarter less time.
    """

    @staticmethod
    def forward(ctx: Any, spectrum: Tensor, ramp: Tensor, windows: Tensor) -> Tensor:
        moved = torch.fft.ifft2(spectrum * ramp[:, :, None])
        field = torch.fft.fft2(moved * windows[:, None, None], norm="ortho")
        ctx.save_for_backward(spectrum, ramp, windows, moved, field)
        photons: Tensor = (field.real**2 + field.imag**2).sum((1, 2))
        return photons

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        spectrum, ramp, windows, moved, field = ctx.saved_tensors
        passed = torch.fft.ifft2(field * (2 * gradients[0][:, None, None]), norm="ortho")
        of_windows = (passed * moved.conj()).sum((1, 2))
        of_moved = torch.fft.fft2(passed.mul_(windows.conj()[:, None, None]), norm="forward")
        of_ramp = (of_moved * spectrum.conj()).sum(2) if ctx.needs_input_grad[1] else None
        return of_moved.mul_(ramp.conj()[:, :, None]).sum((0, 1)), of_ramp, of_windows


class _Windows(torch.autograd.Function):
    """Windows of the object; slicing under autograd would make a gradient of the object's size for each."""

    @staticmethod
    def forward(ctx: Any, obj: Tensor, corners: list[tuple[int, int]], side: int) -> Tensor:
        ctx.corners, ctx.shape = corners, obj.shape
        return torch.stack([obj[y : y + side, x : x + side] for y, x in corners])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (windows,) = gradients
        side = windows.shape[-1]
        gradient = windows.new_zeros(ctx.shape)
        for (y, x), window in zip(ctx.corners, windows, strict=True):
            gradient[y : y + side, x : x + side] += window
        return gradient, None, None
