"""The demo's maps and volumes against the truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from models.phantoms.specimens import Specimen
from models.physics.probe import Probe
from models.quality.metrics import psnr, ssim
from models.scan import Motion
from models.superres.enhancers import make_enhancer
from models.tomo.algorithms import ALGORITHMS
from models.xrf.maps import ElementMaps
from services.catalog.records import SeriesRecord

Method = Literal["coarse", "bicubic", "enhanced"]
Kind = Literal["maps", "volume"]
Array = NDArray[np.float32]
METHODS: tuple[Method, ...] = ("coarse", "bicubic", "enhanced")


@dataclass(frozen=True)
class Score:
    """How near one method comes to the truth; for maps the mean over all angles."""

    kind: Kind
    element: str
    method: Method
    psnr_db: float
    ssim: float


@dataclass(frozen=True)
class Measured:
    """What a series holds for one element.

    Attributes:
        fitted, fitted_sigma: (angle, y, x) in ug/cm^2.
        enhanced: (angle, s*y, s*x) in ug/cm^2.
        volumes: by source, (z, y, x) in g/cm^3: "fitted" on coarse voxels, "enhanced" on fine ones.
    """

    fitted: Array
    fitted_sigma: Array
    enhanced: Array
    volumes: Mapping[str, Array]


@dataclass(frozen=True)
class Comparison:
    """One element's stacks and volumes on the fine grid: each method and the truth."""

    element: str
    angles_deg: tuple[float, ...]
    pixel_size_nm: float
    stacks: Mapping[str, Array]
    volumes: Mapping[str, Array]
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Truth:
    """The specimen on the fine grid, the elements in its order.

    Attributes:
        stacks: (element, angle, y, x) in ug/cm^2.
        volumes: (element, z, y, x) in g/cm^3.
    """

    elements: tuple[str, ...]
    stacks: Array
    volumes: Array


def render_truth(series: SeriesRecord, specimen: Specimen) -> Truth:
    """See the specimen as a perfect instrument would, at every angle and in every voxel."""
    rows, points = (side * series.scale for side in series.shape)
    pixel_size_nm = series.pixel_size_nm("enhanced")
    stacks = [specimen.areal_density_ug_cm2(theta, (rows, points), pixel_size_nm) for theta in series.angles_deg]
    volumes = specimen.density_g_cm3((points, rows, points), pixel_size_nm)
    return Truth(specimen.elements, np.stack(stacks, axis=1), volumes)


def compare_with_truth(
    series: SeriesRecord,
    element: str,
    measured: Measured,
    truth: Truth,
    probe: Probe,
    algorithm: str,
    centre_px: float,
) -> Comparison:
    """Put every method on the fine grid and score it.

    Args:
        algorithm: of the volumes, with its defaults, for that of the bicubic maps, which nobody has reconstructed yet.
        centre_px: of the rotation axis in the fine maps.
    """
    scale, pixel_size_nm = series.scale, series.pixel_size_nm("enhanced")
    number = truth.elements.index(element)
    stacks = {
        "coarse": _repeated(measured.fitted, scale, axes=(1, 2)),
        "bicubic": _bicubic(series, element, measured, probe),
        "enhanced": measured.enhanced,
        "truth": truth.stacks[number],
    }
    volumes = {
        "coarse": _repeated(measured.volumes["fitted"], scale, axes=(0, 1, 2)),
        "bicubic": ALGORITHMS[algorithm].reconstruct(
            stacks["bicubic"], np.asarray(series.angles_deg), centre_px, pixel_size_nm
        ),
        "enhanced": measured.volumes["enhanced"],
        "truth": truth.volumes[number],
    }
    scores = _map_scores(element, stacks) + _volume_scores(element, volumes)
    return Comparison(element, series.angles_deg, pixel_size_nm, stacks, volumes, scores)


def score_table(scores: tuple[Score, ...]) -> Table:
    """The scores as people read them: a line an element, PSNR in dB and SSIM of each method, and the gain."""
    table = Table(title="against the truth: PSNR in dB, SSIM")
    for heading in ("", *METHODS, "gain over bicubic"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    by_place = {(score.kind, score.element, score.method): score for score in scores}
    for kind, element in dict.fromkeys((score.kind, score.element) for score in scores):
        line = [by_place[kind, element, method] for method in METHODS]
        cells = [f"{score.psnr_db:.2f}  {score.ssim:.3f}" for score in line]
        gain_db = line[METHODS.index("enhanced")].psnr_db - line[METHODS.index("bicubic")].psnr_db
        table.add_row(f"{element} {kind}", *cells, f"{gain_db:+.2f} dB")
    return table


def _map_scores(element: str, stacks: Mapping[str, Array]) -> tuple[Score, ...]:
    """Every projection is judged against the brightest true pixel of the whole series, so that angles weigh alike."""
    truth = stacks["truth"]
    data_range = float(truth.max())
    scores = []
    for method in METHODS:
        pairs = list(zip(stacks[method], truth, strict=True))
        mean_psnr_db = float(np.mean([psnr(image, true, data_range) for image, true in pairs]))
        mean_ssim = float(np.mean([ssim(image, true, data_range) for image, true in pairs]))
        scores.append(Score("maps", element, method, mean_psnr_db, mean_ssim))
    return tuple(scores)


def _volume_scores(element: str, volumes: Mapping[str, Array]) -> tuple[Score, ...]:
    truth = volumes["truth"]
    data_range = float(truth.max())
    return tuple(
        Score(
            "volume",
            element,
            method,
            psnr(volumes[method], truth, data_range),
            ssim(volumes[method], truth, data_range),
        )
        for method in METHODS
    )


def _bicubic(series: SeriesRecord, element: str, measured: Measured, probe: Probe) -> Array:
    enhancer = make_enhancer("bicubic")
    motion: Motion = series.metadata["motion"]
    images = []
    for values, sigma in zip(measured.fitted, measured.fitted_sigma, strict=True):
        maps = ElementMaps(
            (element,), values[None], sigma[None] ** 2, np.isfinite(values), series.step_nm, np.ones(1, np.float32)
        )
        images.append(enhancer.enhance(maps, probe, motion, series.scale).values[0])
    return np.stack(images)


def _repeated(array: Array, scale: int, axes: tuple[int, ...]) -> Array:
    for axis in axes:
        array = array.repeat(scale, axis)
    return array
