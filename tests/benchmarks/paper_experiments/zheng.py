"""Zheng et al. 2024: every projection enhanced fourfold, plain, with more directions, and from half of the projections.

The probe is recovered by ptychography at 90 degrees; no enhancer is told the true one. Source: Optica 11 (2024) 146.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from models.phantoms.specimens import make_specimen
from models.physics.probe import Probe, zone_plate_probe
from models.quality.halves import odd_even_split
from models.quality.metrics import psnr
from models.superres.enhancers import make_enhancer
from paper_experiments.pictures import draw_curves, draw_slices
from paper_experiments.recovered import Diffraction, find_probe
from paper_experiments.report import Report, Table, say
from paper_experiments.series import Scan, Series, density, enhanced, series
from paper_experiments.tomograms import Angles, Judged, Volume, judged, period, reconstructed, reprojected

SPECIMEN_SEED, NOISE_SEED, ELEMENT = 71, 72, "Zn"
"""Neither was used before this was written."""
METHODS = ("bicubic", "lmmse", "dual_branch_small", "unrolled")


@dataclass(frozen=True)
class Size:
    """How much of the paper's experiment; its own are 140 rows, 91 and 270 angles."""

    rows: int
    points: int
    n_angles: int
    n_more: int
    iterations: int
    fine_iterations: int
    diffraction: Diffraction


SIZES = {
    "tiny": Size(4, 24, 9, 18, 2, 1, Diffraction(6, 1e5, 1, 1)),
    "small": Size(12, 140, 91, 270, 20, 8, Diffraction(24, 1e6, 30, 1)),
    "paper": Size(140, 140, 91, 270, 20, 20, Diffraction(40, 1e6, 30, 1)),
}


@dataclass(frozen=True, eq=False)
class _Experiment:
    """What every row of the table needs."""

    size: Size
    measured: Series
    counts: Volume
    probe: Probe
    truth: Volume

    @property
    def scan(self) -> Scan:
        return self.measured.scan

    def raw_volume(self, indices: Any) -> Volume:
        stack = self.counts[indices] * np.float32(self.measured.ug_cm2_per_count)
        return reconstructed(stack, self.measured.angles_deg[indices], self.scan.step_nm, self.size.iterations)

    def enhance(self, counts: Volume, method: str) -> Volume:
        """Projections in ug/cm^2."""
        per_count = np.float32(self.measured.ug_cm2_per_count)
        return enhanced(counts, self.probe, make_enhancer(method), self.scan) * per_count

    def more(self, raw: Volume, angles_deg: Angles, method: str) -> Volume:
        """Projections at other angles, by way of a coarse volume; the enhancer takes them as counted."""
        seen = reprojected(raw, angles_deg, self.scan.step_nm) / np.float32(self.measured.ug_cm2_per_count)
        return self.enhance(np.maximum(seen, 0), method)

    def fine_volume(self, stack: Volume, angles_deg: Angles) -> Volume:
        return reconstructed(stack, angles_deg, self.scan.fine_nm, self.size.fine_iterations)

    def halves(self, stack: Volume, angles_deg: Angles) -> tuple[Volume, Volume]:
        """Every other of these projections."""
        split = odd_even_split(angles_deg)
        one, other = (self.fine_volume(stack[half], angles_deg[half]) for half in (split.even, split.odd))
        return one, other


Row = tuple[Judged, Volume]


def plain(experiment: _Experiment, method: str) -> dict[str, Row]:
    """Each measured projection enhanced; halves of them share nothing but the enhancer."""
    angles = experiment.measured.angles_deg
    stack = experiment.enhance(experiment.counts, method)
    volume, halves = experiment.fine_volume(stack, angles), experiment.halves(stack, angles)
    found = judged(volume, halves, experiment.truth, experiment.scan.fine_nm)
    return {f"{len(angles)} enhanced": (found, volume)}


def with_more_angles(experiment: _Experiment, method: str) -> dict[str, Row]:
    """Reprojected to more angles; halves once as in the paper, of the reprojections, and once of the measurement."""
    measured, size = experiment.measured, experiment.size
    n = len(measured.angles_deg)
    angles = _directions(size.n_more)
    stack = experiment.more(experiment.raw_volume(np.arange(n)), angles, method)
    volume, shared = experiment.fine_volume(stack, angles), experiment.halves(stack, angles)
    split, fewer = odd_even_split(measured.angles_deg), _directions(size.n_more // 2)
    one, other = (
        experiment.fine_volume(experiment.more(experiment.raw_volume(half), fewer, method), fewer)
        for half in (split.even, split.odd)
    )
    truth, fine_nm = experiment.truth, experiment.scan.fine_nm
    return {
        f"{n} -> {size.n_more}, halves of the reprojections": (judged(volume, shared, truth, fine_nm), volume),
        f"{n} -> {size.n_more}, halves of the measurement": (judged(volume, (one, other), truth, fine_nm), volume),
    }


def from_half(experiment: _Experiment, method: str) -> dict[str, Row]:
    """Every other projection, reprojected to all angles."""
    angles = experiment.measured.angles_deg
    kept = np.arange(1, len(angles), 2)
    stack = experiment.more(experiment.raw_volume(kept), angles, method)
    volume, shared = experiment.fine_volume(stack, angles), experiment.halves(stack, angles)
    found = judged(volume, shared, experiment.truth, experiment.scan.fine_nm)
    return {f"{len(kept)} -> {len(angles)}, halves of the reprojections": (found, volume)}


WAYS: dict[str, tuple[Callable[[_Experiment, str], dict[str, Row]], ...]] = {
    "bicubic": (plain,),
    **dict.fromkeys(METHODS[1:], (plain, with_more_angles, from_half)),
}


def run(size_name: str, out: Path) -> Report:
    """The whole experiment."""
    del out
    size, begun = SIZES[size_name], time.perf_counter()
    specimen, true = make_specimen("zn-mn-cathode", SPECIMEN_SEED), zone_plate_probe()
    scan = Scan((size.rows, size.points), 30.0, 4, "fly", 300)
    say("ptychography at 90 degrees")
    found = find_probe(specimen, true, scan.step_nm, size.diffraction)
    say(f"probe {found.figures}")
    measured = series(specimen, ELEMENT, true, scan, np.linspace(-90, 90, size.n_angles))
    counts = measured.counts(np.random.default_rng(NOISE_SEED))
    truth = density(specimen, ELEMENT, scan, scan.scale)
    experiment = _Experiment(size, measured, counts, found.probe, truth)
    projections = _projections(experiment, true)
    say(f"projections {projections}")
    rows = {("fitted maps", f"{size.n_angles} at 30 nm voxels"): _fitted(experiment, specimen)}
    for method, ways in WAYS.items():
        for way in ways:
            for label, row in way(experiment, method).items():
                rows[method, label] = row
                say(f"{method}, {label}: truth {row[0].of_truth}; halves {row[0].one_bit}")
    setting = {
        **asdict(size),
        "specimen": f"zn-mn-cathode seed {SPECIMEN_SEED}, {ELEMENT}",
        "noise seed": NOISE_SEED,
        "brightest point": "300 counts",
        "mean counts per point": round(float(counts.mean()), 1),
        "seconds": round(time.perf_counter() - begun),
    }
    figures = {
        "probe": found.figures,
        "projections_psnr_db": projections,
        "rows": {f"{method}: {label}": row[0].figures() for (method, label), row in rows.items()},
    }
    tables = [_table(rows), _probe_table(found.figures), _projection_table(projections)]
    return Report("zheng", setting, tables, figures, _pictures(rows, truth))


def _directions(n: int) -> Angles:
    return np.arange(n) * 180.0 / n - 90


def _fitted(experiment: _Experiment, specimen: Any) -> Row:
    """The measured maps as they are, on voxels of their own step."""
    angles, scan = experiment.measured.angles_deg, experiment.scan
    split, volume = odd_even_split(angles), experiment.raw_volume(np.arange(len(angles)))
    halves = experiment.raw_volume(split.even), experiment.raw_volume(split.odd)
    return judged(volume, halves, density(specimen, ELEMENT, scan, 1), scan.step_nm), volume


def _projections(experiment: _Experiment, true: Probe) -> dict[str, dict[str, float]]:
    """Mean PSNR of every tenth enhanced projection by method and by what it was told; of the brightest pixel."""
    truth, told = experiment.measured.truth[::10], {"recovered": experiment, "true": replace(experiment, probe=true)}
    top = float(truth.max())
    found: dict[str, dict[str, float]] = {method: {} for method in METHODS}
    for method, (name, teller) in product(METHODS, told.items()):
        fine = teller.enhance(experiment.counts[::10], method)
        found[method][name] = float(np.mean([psnr(one, real, top) for one, real in zip(fine, truth, strict=True)]))
    return found


def _table(rows: dict[tuple[str, str], Row]) -> Table:
    header = ["maps", "projections", "halves, one bit", "against the truth, 1/2"]
    header += ["truth at 60 nm", "at 40 nm", "at 30 nm", "at 20 nm", "PSNR"]
    lines = []
    for (method, label), (found, _) in rows.items():
        at = [f"{found.truth_at(period_nm):.2f}" for period_nm in (60, 40, 30, 20)]
        lines.append([method, label, period(found.one_bit), period(found.of_truth), *at, f"{found.psnr_db:.2f} dB"])
    return Table("Resolution as a full period in nm, and correlation with the truth by period", header, lines)


def _probe_table(found: dict[str, Any]) -> Table:
    y, x = found["fwhm_nm"]
    true_y, true_x = found["true_fwhm_nm"]
    cells = [f"{y:.1f} x {x:.1f}", f"{true_y:.1f} x {true_x:.1f}", f"{found['kernel_correlation']:.4f}"]
    cells += [f"{found['kernel_relative_error']:.1%}", found["model"], "; ".join(found["warnings"]) or "none"]
    header = ["FWHM, nm", "true", "correlation of the kernels", "relative error", "model chosen", "warnings"]
    return Table("The probe recovered at 90 degrees, y x x", header, [cells])


def _projection_table(found: dict[str, dict[str, float]]) -> Table:
    rows = [
        [method, *(f"{by_probe[told]:.2f}" for told in ("recovered", "true"))] for method, by_probe in found.items()
    ]
    title = "Single projections: mean PSNR in dB, by the probe that the enhancer is told"
    return Table(title, ["maps", "recovered probe", "true probe"], rows)


def _pictures(rows: dict[tuple[str, str], Row], truth: Volume) -> dict[str, Callable[[Path], None]]:
    quarter = truth.shape[0] // 4
    part, row = slice(quarter, 2 * quarter), truth.shape[1] // 2
    slices = {"truth": truth[part, row, part]}
    coarse = rows[next(iter(rows))][1]
    quarter = coarse.shape[0] // 4
    slices["fitted maps"] = coarse[quarter : 2 * quarter, coarse.shape[1] // 2, quarter : 2 * quarter]
    curves: dict[str, Any] = {"enhanced": {}, "reprojected": {}}
    for (method, label), (found, volume) in rows.items():
        through = found.truth_curve.frequency_per_px / found.voxel_nm, found.truth_curve.values
        dashed = through[0], found.halves_curve.values
        if "halves" not in label:
            curves["enhanced"][method] = through, dashed
        elif "->" in label and "reprojections" in label and "270" in label:
            curves["reprojected"][method] = through, dashed
        if label.endswith("enhanced") and method != "fitted maps":
            slices[f"{method}, {label}"] = volume[part, row, part]
    curves = {title: panel for title, panel in curves.items() if panel}
    marks = {"60": 60.0, "30: optics": 30.0, "15: grid": 15.0}
    return {
        "zheng-slices.png": partial(draw_slices, slices, white=0.98),
        "zheng-correlation.png": partial(draw_curves, curves, marks_nm=marks),
    }
