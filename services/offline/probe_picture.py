"""A picture of a recovered probe: amplitude, phase and the kernel, the object, and what speaks for them."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.ptychography.frames import Frames
from models.ptychography.object_phase import flat_phase
from models.ptychography.recover import Recovery

_PANEL_INCHES = 4.2


def draw_probe(found: Recovery, frames: Frames, path: Path) -> None:
    """Write a PNG of six panels."""
    figure = Figure(figsize=(3 * _PANEL_INCHES, 2 * _PANEL_INCHES + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3)
    side_nm = frames.side_px * frames.pixel_size_nm
    extent = (-side_nm / 2, side_nm / 2, side_nm / 2, -side_nm / 2)
    strongest = found.probe.modes[0]
    intensity = found.probe.intensity()
    panels[0, 0].imshow(_hue_and_brightness(strongest), extent=extent)
    panels[0, 0].set_title(f"strongest mode ({found.probe.mode_power()[0]:.0%}): hue is phase")
    panels[0, 1].imshow(np.sqrt(intensity), cmap="inferno", extent=extent)
    panels[0, 1].set_title("amplitude of the kernel, motion not in it")
    _draw_cuts(panels[0, 2], intensity, frames.pixel_size_nm)
    _draw_object(panels[1, 0], found, frames)
    _draw_frame(panels[1, 1], frames)
    _write_figures(panels[1, 2], found)
    for axis in (panels[0, 0], panels[0, 1]):
        axis.set_xlabel("x [nm]")
        axis.set_ylabel("y [nm]")
    figure.savefig(path, dpi=110, format="png")


def _hue_and_brightness(wave: NDArray[np.complex64]) -> NDArray[np.float64]:
    hue = (np.angle(wave) / (2 * np.pi)) % 1
    value = np.abs(wave) / np.abs(wave).max()
    return np.asarray(hsv_to_rgb(np.stack([hue, np.ones_like(hue), np.sqrt(value)], -1)))


def _draw_cuts(axis: Axes, intensity: NDArray[np.float32], pixel_nm: float) -> None:
    row, column = np.unravel_index(np.argmax(intensity), intensity.shape)
    place_nm = (np.arange(len(intensity)) - len(intensity) // 2) * pixel_nm
    axis.plot(place_nm, intensity[row] / intensity.max(), label="along x")
    axis.plot(place_nm, intensity[:, column] / intensity.max(), label="along y")
    axis.set_title("cuts through the brightest pixel")
    axis.set_xlabel("nm")
    axis.set_ylabel("intensity")
    axis.set_box_aspect(1)
    axis.legend()


def _draw_object(axis: Axes, found: Recovery, frames: Frames) -> None:
    phase = flat_phase(found.obj, frames)
    low, high = np.percentile(phase, (0.5, 99.5))
    side_um = np.array(phase.shape) * frames.pixel_size_nm / 1000
    drawn = axis.imshow(phase, cmap="gray", vmin=low, vmax=high, extent=(0, side_um[1], side_um[0], 0))
    axis.figure.colorbar(drawn, ax=axis, label="rad", shrink=0.8)
    axis.set_title("phase of the object")
    axis.set_xlabel("x [µm]")
    axis.set_ylabel("y [µm]")


def _draw_frame(axis: Axes, frames: Frames) -> None:
    mean = frames.counts.mean(0)
    shown = np.where(frames.seen(), np.log10(np.maximum(mean, 1e-2)), np.nan)
    axis.set_facecolor("steelblue")
    drawn = axis.imshow(shown, cmap="viridis")
    axis.figure.colorbar(drawn, ax=axis, label="log10 photons", shrink=0.8)
    axis.set_title("mean frame; blue does not count")


def _write_figures(axis: Axes, found: Recovery) -> None:
    height_nm, width_nm = found.probe.fwhm_nm()
    lines = [
        f"FWHM {height_nm:.1f} x {width_nm:.1f} nm (y, x)",
        f"model: {found.model}, {len(found.probe.modes)} modes",
        f"power {', '.join(f'{share:.0%}' for share in found.probe.mode_power()[:5])}",
        f"source {found.source_fwhm_nm[0]:.1f} x {found.source_fwhm_nm[1]:.1f} nm FWHM",
        f"held-out deviance {found.deviance:.3f} (1: counting alone)",
        f"two halves differ by {found.halves_difference:.1%}",
        f"structure of the object {found.structure_rad:.2f} rad rms",
        "" if found.reliable else "NOT RELIABLE: see the warnings",
    ]
    axis.axis("off")
    axis.text(0.0, 0.95, "\n".join(lines), va="top", fontsize=9, transform=axis.transAxes)
