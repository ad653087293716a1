"""Wu et al. 2023: an NMC particle under a zone plate and under Laue lenses, by step and by fly scan.

Halves are two whole scans, as theirs were. What the text at hand leaves open is chosen here: steps are half of the
paper's raw resolution, optics are those of the paper's focus with a source that gives its width. Probes are known.
Source: npj Comput. Mater. 9 (2023) 43, supplement.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models.phantoms.specimens import Specimen, make_specimen
from models.physics.probe import Probe, mll_probe, zone_plate_probe
from models.quality.metrics import psnr
from models.scan import Motion
from models.superres.enhancers import make_enhancer
from paper_experiments.pictures import draw_curves, draw_slices
from paper_experiments.report import Report, Table, say
from paper_experiments.series import Scan, Series, density, enhanced, series
from paper_experiments.tomograms import Judged, Volume, judged, period, reconstructed

SPECIMEN_SEED, NOISE_SEED, ELEMENT = 91, 92, "Ni"
METHODS = ("rdn_small", "unrolled")
MAP_METHODS = ("bicubic", "lmmse", *METHODS)
MOTIONS: tuple[Motion, ...] = ("step", "fly")
VIEWS_DEG = (0.0, 45.0, 90.0)


@dataclass(frozen=True)
class Optics:
    """A focus of the paper.

    Attributes:
        probe: on fine pixels.
        step_nm: half of the paper's raw resolution: the raw maps' own limit.
        papers: raw and enhanced resolution in nm, with the criterion.
    """

    probe: Probe
    step_nm: float
    papers: str


OPTICS: dict[str, Callable[[], Optics]] = {
    "FZP": lambda: Optics(
        zone_plate_probe(outermost_zone_nm=40.0, source_fwhm_nm=48.5, pixel_size_nm=9.0), 36.0, "72 -> 22, half-bit"
    ),
    "MLL": lambda: Optics(mll_probe(source_fwhm_nm=18.15, pixel_size_nm=6.5), 26.0, "51.8 -> 24.5, one-bit"),
}


@dataclass(frozen=True)
class Size:
    """Field of view and height in nm, projections, iterations on coarse and fine voxels."""

    width_nm: float
    height_nm: float
    n_angles: int
    iterations: int
    fine_iterations: int


SIZES = {
    "tiny": Size(700, 150, 9, 2, 1),
    "small": Size(3744, 312, 91, 20, 6),
    "paper": Size(3744, 3744, 91, 20, 20),
}


def run(size_name: str, out: Path) -> Report:
    """The whole experiment."""
    del out
    size, begun = SIZES[size_name], time.perf_counter()
    specimen = make_specimen("nmc-particle", SPECIMEN_SEED)
    found: dict[tuple[str, Motion, str], tuple[Judged, Volume]] = {}
    maps: dict[str, float] = {}
    for name, optics in ((name, make()) for name, make in OPTICS.items()):
        truth: dict[int, Volume] = {}
        for motion in MOTIONS:
            scan = _scan(size, optics, motion)
            for scale in (1, scan.scale):
                truth.setdefault(scale, density(specimen, ELEMENT, scan, scale))
            measured = series(specimen, ELEMENT, optics.probe, scan, np.linspace(-90, 90, size.n_angles))
            for method, row in _rows(measured, optics.probe, size, truth):
                found[name, motion, method] = row
                say(f"{name}, {motion}, {method}: truth {row[0].of_truth}; repeats {row[0].half_bit}")
            maps |= _views(specimen, optics, scan, f"{name}, {motion}")
    setting = {
        **asdict(size),
        "specimen": f"nmc-particle seed {SPECIMEN_SEED}, {ELEMENT}",
        "noise seed": NOISE_SEED,
        "brightest point": "300 counts",
        "seconds": round(time.perf_counter() - begun),
    }
    rows = {", ".join(key): row.figures() for key, (row, _) in found.items()}
    return Report("wu", setting, [_table(found), _map_table(maps)], {"rows": rows, "maps": maps}, _pictures(found))


def _scan(size: Size, optics: Optics, motion: Motion) -> Scan:
    shape = round(size.height_nm / optics.step_nm), round(size.width_nm / optics.step_nm)
    return Scan(shape, optics.step_nm, 4, motion, 300)


def _rows(measured: Series, probe: Probe, size: Size, truth: dict[int, Volume]) -> Any:
    """Fitted maps, then each method: two scans, a volume of each; the first is judged by the truth."""
    scan, angles, unit = measured.scan, measured.angles_deg, np.float32(measured.ug_cm2_per_count)
    scans = [measured.counts(np.random.default_rng([NOISE_SEED, repeat])) for repeat in (0, 1)]
    one, other = (reconstructed(counts * unit, angles, scan.step_nm, size.iterations) for counts in scans)
    yield "fitted maps", (judged(one, (one, other), truth[1], scan.step_nm), one)
    for method in METHODS:
        stacks = (enhanced(counts, probe, make_enhancer(method), scan) * unit for counts in scans)
        one, other = (reconstructed(stack, angles, scan.fine_nm, size.fine_iterations) for stack in stacks)
        yield method, (judged(one, (one, other), truth[scan.scale], scan.fine_nm), one)


def _views(specimen: Specimen, optics: Optics, scan: Scan, where: str) -> dict[str, float]:
    """Mean PSNR of single enhanced projections by element and method, of the brightest pixel."""
    found = {}
    for element in specimen.elements:
        measured = series(specimen, element, optics.probe, scan, np.array(VIEWS_DEG))
        counts = measured.counts(np.random.default_rng([NOISE_SEED, 2]))
        top = float(measured.truth.max())
        for method in MAP_METHODS:
            fine = enhanced(counts, optics.probe, make_enhancer(method), scan) * measured.ug_cm2_per_count
            both = zip(fine, measured.truth, strict=True)
            found[f"{where}, {element}, {method}"] = float(np.mean([psnr(one, true, top) for one, true in both]))
    return found


def _table(found: dict[tuple[str, Motion, str], tuple[Judged, Volume]]) -> Table:
    papers = {name: make().papers for name, make in OPTICS.items()}
    periods_nm = (60.0, 50.0, 40.0, 30.0, 22.0)
    header = ["probe (paper's, nm)", "mode", "maps", "two scans, half bit", "one bit", "truth, 1/2"]
    header += [*(f"truth at {one:g}" for one in periods_nm), "PSNR"]
    rows = []
    for (name, motion, method), (row, _) in found.items():
        at = [f"{row.truth_at(one):.2f}" for one in periods_nm]
        resolutions = [period(row.half_bit), period(row.one_bit), period(row.of_truth)]
        rows.append([f"{name} ({papers[name]})", motion, method, *resolutions, *at, f"{row.psnr_db:.2f} dB"])
    return Table(f"{ELEMENT}: resolution as a full period in nm, correlation with the truth by period", header, rows)


def _map_table(maps: dict[str, float]) -> Table:
    methods = MAP_METHODS
    places = list(dict.fromkeys(key.rsplit(", ", 1)[0] for key in maps))
    rows = [[place, *(f"{maps[f'{place}, {method}']:.2f}" for method in methods)] for place in places]
    title = f"Single projections at {', '.join(f'{view:g}' for view in VIEWS_DEG)} degrees: mean PSNR in dB"
    return Table(title, ["probe, mode, element", *methods], rows)


def _pictures(found: dict[tuple[str, Motion, str], tuple[Judged, Volume]]) -> dict[str, Callable[[Path], None]]:
    panels: dict[str, Any] = {}
    slices = {}
    for (name, motion, method), (row, volume) in found.items():
        if motion != "fly":
            continue
        frequency = row.truth_curve.frequency_per_px / row.voxel_nm
        curves = (frequency, row.truth_curve.values), (frequency, row.halves_curve.values)
        panels.setdefault(f"{name}, fly", {})[method] = curves
        if method in ("fitted maps", "rdn_small", "unrolled"):
            middle = volume.shape[0] // 2
            part = slice(middle, middle + middle // 2)
            slices[f"{name}, {method}"] = volume[part, volume.shape[1] // 2, part]
    marks = {"60": 60.0, "40": 40.0, "22": 22.0}
    return {
        "wu-slices.png": partial(draw_slices, slices),
        "wu-correlation.png": partial(draw_curves, panels, marks_nm=marks),
    }
