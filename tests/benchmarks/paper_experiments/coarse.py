"""A tomogram of 120 nm steps, in 1/16 of the time of one of 30 nm steps over the same specimen: what is recovered.

Zheng et al. (2024) put 1 h beside 16 h and speak of no sacrifice of resolution. Every point has the same dwell; beside
it stand 30 nm steps at 1/16 of the dwell, which take the same time and the same photons as the coarse scan.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models.phantoms.specimens import make_specimen
from models.physics.probe import Probe, zone_plate_probe
from models.quality.halves import odd_even_split
from models.superres.enhancers import make_enhancer
from paper_experiments.pictures import draw_curves, draw_slices
from paper_experiments.report import Report, Table, say
from paper_experiments.series import Scan, Series, density, enhanced, series
from paper_experiments.tomograms import Judged, Volume, judged, period, reconstructed

SPECIMEN_SEED, NOISE_SEED, ELEMENT = 81, 82, "Zn"
VOXEL_NM = 30.0
PERIODS_NM = (480.0, 240.0, 160.0, 120.0, 90.0, 60.0)


@dataclass(frozen=True)
class Size:
    """Points of 30 nm, a multiple of 4 along both sides, and projections."""

    rows: int
    points: int
    n_angles: int
    iterations: int


SIZES = {"tiny": Size(16, 24, 9, 2), "small": Size(64, 140, 91, 20), "paper": Size(140, 140, 91, 20)}


def run(size_name: str, out: Path) -> Report:
    """The whole experiment."""
    del out
    size, begun = SIZES[size_name], time.perf_counter()
    specimen, probe = make_specimen("zn-mn-cathode", SPECIMEN_SEED), zone_plate_probe()
    angles = np.linspace(-90, 90, size.n_angles)
    fine = series(specimen, ELEMENT, probe, Scan((size.rows, size.points), 30.0, 4, "fly", 300), angles)
    say("scanned at 30 nm")
    wide = Scan((size.rows // 4, size.points // 4), 120.0, 4, "fly", 300)
    coarse = _as_bright(series(specimen, ELEMENT, probe, wide, angles), fine)
    say("scanned at 120 nm")
    truth = density(specimen, ELEMENT, fine.scan, 1)
    stacks = _stacks(fine, coarse, probe)
    found = {name: _tomogram(stack, angles, truth, size.iterations) for name, (stack, _) in stacks.items()}
    shares = {name: share for name, (_, share) in stacks.items()}
    setting = {
        **asdict(size),
        "specimen": f"zn-mn-cathode seed {SPECIMEN_SEED}, {ELEMENT}",
        "noise seed": NOISE_SEED,
        "probe": "40 nm, known",
        "brightest point": f"300 counts at 30 nm, {coarse.expected.max():.0f} at 120 nm (same dwell)",
        "points of a projection": f"{fine.expected[0].size} and {coarse.expected[0].size}",
        "seconds": round(time.perf_counter() - begun),
    }
    figures = {name: row.figures() for name, (row, _) in found.items()}
    return Report("coarse", setting, [_table(found, shares)], figures, _pictures(found, truth))


def _as_bright(coarse: Series, fine: Series) -> Series:
    """The same dwell and beam as the fine scan had: as many counts to a ug/cm^2, whatever its brightest point is."""
    ratio = np.float32(coarse.ug_cm2_per_count / fine.ug_cm2_per_count)
    return replace(coarse, expected=coarse.expected * ratio, ug_cm2_per_count=fine.ug_cm2_per_count)


def _stacks(fine: Series, coarse: Series, probe: Probe) -> dict[str, tuple[Volume, str]]:
    """Projections in ug/cm^2 on pixels of 30 nm, and the share of the time, by name."""
    unit = np.float32(fine.ug_cm2_per_count)
    many, few, short = (
        one.counts(np.random.default_rng([NOISE_SEED, index]), dwell)
        for index, (one, dwell) in enumerate(((fine, 1.0), (coarse, 1.0), (fine, 1 / 16)))
    )
    stacks = {
        "30 nm, fitted maps": (many * unit, "1"),
        "30 nm, 1/16 of the dwell, fitted maps": (short * 16 * unit, "1/16"),
    }
    for method in ("bicubic", "lmmse", "dual_branch_small", "unrolled"):
        fine_map = enhanced(few, probe, make_enhancer(method), coarse.scan)
        stacks[f"120 nm, {method}"] = (fine_map * unit, "1/16")
        say(f"120 nm, {method}")
    for method in ("lmmse", "unrolled"):
        fine_map = enhanced(short, probe, make_enhancer(method), fine.scan)
        stacks[f"30 nm, 1/16 of the dwell, {method}"] = (_binned(fine_map, 4) * 16 * unit, "1/16")
        say(f"30 nm at 1/16, {method}")
    return stacks


def _binned(stack: Volume, by: int) -> Volume:
    n, rows, points = stack.shape
    means: Volume = stack.reshape(n, rows // by, by, points // by, by).mean(axis=(2, 4))
    return means


def _tomogram(stack: Volume, angles_deg: Any, truth: Volume, n_iterations: int) -> tuple[Judged, Volume]:
    split = odd_even_split(angles_deg)
    whole, one, other = (
        reconstructed(stack[half], angles_deg[half], VOXEL_NM, n_iterations)
        for half in (np.arange(len(angles_deg)), split.even, split.odd)
    )
    return judged(whole, (one, other), truth, VOXEL_NM), whole


def _table(found: dict[str, tuple[Judged, Volume]], shares: dict[str, str]) -> Table:
    header = ["scan and maps", "time", "halves, one bit", "truth, 1/2", *(f"at {p:g}" for p in PERIODS_NM), "PSNR"]
    rows = []
    for name, (row, _) in found.items():
        at = [f"{row.truth_at(period_nm):.2f}" for period_nm in PERIODS_NM]
        rows.append([name, shares[name], period(row.one_bit), period(row.of_truth), *at, f"{row.psnr_db:.2f} dB"])
    title = "Volumes of 30 nm voxels: resolution and correlation with the truth by full period in nm"
    return Table(title, header, rows)


def _pictures(found: dict[str, tuple[Judged, Volume]], truth: Volume) -> dict[str, Callable[[Path], None]]:
    row = truth.shape[1] // 2
    wanted = ("30 nm, fitted maps", "120 nm, bicubic", "120 nm, lmmse", "120 nm, unrolled")
    slices = {"truth": truth[:, row]} | {name: found[name][1][:, row] for name in wanted}
    slices["30 nm, 1/16 of the dwell, unrolled"] = found["30 nm, 1/16 of the dwell, unrolled"][1][:, row]
    curves = {}
    for name, (judgement, _) in found.items():
        frequency = judgement.truth_curve.frequency_per_px / judgement.voxel_nm
        dashed = (frequency, judgement.halves_curve.values) if name.startswith("120") else None
        curves[name] = (frequency, judgement.truth_curve.values), dashed
    marks = {"240: coarse sampling": 240.0, "120": 120.0, "60: grid": 60.0}
    return {
        "coarse-slices.png": partial(draw_slices, slices),
        "coarse-correlation.png": partial(draw_curves, {"Zn, 30 nm voxels": curves}, marks_nm=marks),
    }
