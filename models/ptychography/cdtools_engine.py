"""cdtools-py (MIT) as another engine: the same start and motion, an object and an optimiser that are not ours.

Optional: ``pip install cdtools-py``. It fits one coherent probe; focus, halves and warnings are those of our search.
"""

from dataclasses import replace
from math import pi
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.physics.photon import wavelength_nm
from models.ptychography.fit import Fields
from models.ptychography.frames import Frames, Indices
from models.ptychography.incoherence import places
from models.ptychography.judging import deviance_of
from models.ptychography.recover import Progress, Recovery, RecoverySettings, centred_probe, divided, recover
from models.ptychography.starts import focus_at

_STAGES = ((0.5, 0.02), (0.25, 0.008), (0.15, 0.003), (0.1, 0.001))  # share of the epochs, learning rate
_PASSES = 3  # epochs for each of ours: its optimiser takes that many more
_PADDING_PX = 10
_DISTANCE_M = 1.0  # any: pixels and wavelength are what counts


def recover_with_cdtools(
    frames: Frames, settings: RecoverySettings | None = None, progress: Progress = lambda _stage, _fraction: None
) -> Recovery:
    """`recover` with the last fit by cdtools.

    Raises:
        ValueError: cdtools is not installed, or frames have a background, which it would fit.
    """
    settings = settings or RecoverySettings()
    _check(frames, settings)
    own = recover(frames, replace(settings, models=("coherent",)), progress)
    held_out, *halves = divided(len(frames.counts), settings.seed)
    start = focus_at(frames, min(own.starts, key=own.starts.__getitem__))
    points = np.sort(np.concatenate(halves))
    fitted = _fitted(frames.of(points), start, settings, progress)
    expected = _expected(fitted, frames, held_out)
    modes = (fitted.probe.detach() * fitted.probe_norm).cpu().numpy()
    probe, shift_px = centred_probe(frames, Fields(modes), "ptychography by cdtools")
    return replace(
        own,
        probe=probe,
        shift_px=shift_px,
        obj=fitted.obj.detach().cpu().numpy().astype(np.complex64),
        deviance=float(deviance_of(frames, held_out, expected).mean()),
    )


def _check(frames: Frames, settings: RecoverySettings) -> None:
    try:
        import cdtools  # noqa: F401
    except ImportError:
        raise ValueError(
            "cdtools is not installed here: pip install cdtools-py, or take the engine 'constrained'"
        ) from None
    if frames.background is not None or settings.refine_positions:
        raise ValueError("the engine cdtools takes no background and refines no positions here: take 'constrained'")


def _fitted(frames: Frames, start: NDArray[np.complex64], settings: RecoverySettings, progress: Progress) -> Any:
    torch.manual_seed(settings.seed)
    dataset = _dataset(frames)
    model = _model(frames, dataset)
    probe = torch.tensor(start * np.float32(np.sqrt(frames.photons() / np.sum(np.abs(start) ** 2))))
    model.probe_norm.fill_(float(probe.abs().max()))
    model.probe.data = probe / probe.abs().max()
    model.to(settings.device)
    dataset.get_as(settings.device)
    total, done = _PASSES * settings.epochs, 0
    for share, rate in _STAGES:
        epochs = max(1, round(share * total))
        for _ in model.Adam_optimize(epochs, dataset, batch_size=settings.batch, lr=rate, thread=False):
            done += 1
            progress("all frames, cdtools", min(1.0, done / total))
    return model


def _dataset(frames: Frames) -> Any:
    from cdtools.datasets import Ptycho2DDataset

    wavelength_m, pixel_m = wavelength_nm(frames.energy_kev) * 1e-9, frames.pixel_size_nm * 1e-9
    n = frames.side_px
    pitch_m = wavelength_m * _DISTANCE_M / (n * pixel_m)
    geometry = {
        "distance": _DISTANCE_M,
        "basis": np.array([[0, pitch_m], [pitch_m, 0], [0, 0]], np.float32),
        "corner": np.array([-n * pitch_m / 2, -n * pitch_m / 2, _DISTANCE_M], np.float32),
    }
    y, x = frames.positions_px.T * pixel_m
    return Ptycho2DDataset(
        np.stack([x, y, 0 * y], 1).astype(np.float32),
        torch.tensor(frames.counts),
        wavelength=torch.tensor(wavelength_m),
        detector_geometry=geometry,
        mask=frames.seen(),
    )


def _model(frames: Frames, dataset: Any) -> Any:
    from cdtools.models import FancyPtycho
    from cdtools.tools import interactions

    class FlyPtycho(FancyPtycho):  # type: ignore[misc]
        """One still probe in as many places as the motion asks for."""

        def interaction(self, index: Any, translations: Any, *_: Any) -> Any:
            pixels = interactions.translations_to_pixel(
                self.obj_basis, translations, surface_normal=self.surface_normal
            )
            moved = torch.fft.ifft2(torch.fft.fft2(self.probe * self.probe_support)[:, None] * self.ramp)
            weighted = self.weights[index][..., None, None, None] * moved.flatten(0, 1)
            return self.probe_norm * interactions.ptycho_2D_sinc(
                weighted, self.obj, pixels - self.min_translation, shift_probe=True, multiple_modes=True
            )

    model = FlyPtycho.from_dataset(dataset, n_modes=1, obj_padding=_PADDING_PX, loss="poisson nll", plot_level=0)
    for known in (model.weights, model.background, model.translation_offsets):
        known.requires_grad = False
    offsets, shares = places(frames.fly_px, torch.zeros(2))
    f = torch.fft.fftfreq(frames.side_px)
    turn = offsets[:, 0, None, None] * f[:, None] + offsets[:, 1, None, None] * f
    model.register_buffer("ramp", torch.sqrt(shares)[:, None, None] * torch.exp(-2j * pi * turn))
    return model


@torch.no_grad()
def _expected(model: Any, frames: Frames, points: Indices) -> NDArray[np.float32]:
    translations = _dataset(frames).translations.to(model.probe.device)[points]
    simulated = model.forward(torch.zeros(len(points), dtype=torch.long, device=model.probe.device), translations)
    return np.asarray(simulated.cpu().numpy(), np.float32)
