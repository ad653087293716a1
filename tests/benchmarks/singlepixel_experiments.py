"""What `singlepixel.py` runs: each function simulates, reconstructs, and returns a table of how near it came."""

import resource
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import matplotlib.cbook
import matplotlib.image
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, zoom
from singlepixel import ELEMENTS, PHASES, Conditions, Simulated, Specimen, cathode, mean_psnr, measure, speckle

from models.quality.correlation import crossing, fourier_correlation
from models.quality.metrics import ssim
from models.singlepixel.measurement import PatternMeasurement
from models.singlepixel.patterns.figures import pattern_figures
from models.singlepixel.reconstruct import SinglePixelResult, reconstruct

SPECIMENS = (61, 62, 63)
SIDE = 80
USUAL = Conditions(mu_error=0.05)
OFF_PHASE = 0.02
COUNTS = (1e6, 1e4)
METHODS = ("pinv", "ridge", "tv", "siren", "siren-simplex", "siren-phase", "auto")
FRC = 1 / 7


@dataclass(frozen=True)
class Table:
    """Rows of one experiment."""

    rows: list[dict[str, Any]]

    def lines(self) -> list[str]:
        """As Markdown."""
        names = list(self.rows[0])
        body = [[_shown(row[name]) for name in names] for row in self.rows]
        return [f"| {' | '.join(line)} |" for line in (names, ["---"] * len(names), *body)]


def _shown(value: Any) -> str:
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 10
        else (
            f"{value:.1f}"
            if isinstance(value, float) and abs(value) < 1e4
            else f"{value:g}"
            if isinstance(value, float)
            else str(value)
        )
    )


def default() -> Table:
    """Every method at 5 %, and the default with weights 10 % off and patterns off by 0.25 px, mean of the specimens."""
    rows = []
    hard = replace(USUAL, mu_error=0.1, pattern_jitter_px=0.25)
    for name, conditions, methods in (("usual", USUAL, METHODS), ("hard", hard, ("pinv", "tv", "auto"))):
        for counts in COUNTS:
            simulated = [_measured(seed, replace(conditions, mean_counts=counts)) for seed in SPECIMENS]
            rows += [
                {"case": name, "counts": counts, "method": method} | _mean(_scores(one, method) for one in simulated)
                for method in methods
            ]
    return Table(rows)


def sampling() -> Table:
    """PSNR and SSIM against measurements per pixel, of one specimen."""
    rows = []
    for n in (320, 1000, 1600, 3200, 6400):
        for counts in COUNTS:
            simulated = _measured(SPECIMENS[0], replace(USUAL, mean_counts=counts, n_patterns=n))
            rows += [
                {"N": n, "%": 100 * n / SIDE**2, "counts": counts, "method": method} | _scores(simulated, method)
                for method in ("pinv", "ridge", "tv", "siren", "auto")
            ]
    return Table(rows)


def noise() -> Table:
    """Resolution in pixels by FRC with the truth; the last method is the TXM image, which is no map."""
    rows = []
    for counts in (1e7, 1e6, 1e5, 1e4, 1e3):
        simulated = _measured(SPECIMENS[0], replace(USUAL, mean_counts=counts))
        maps = {method: _found(simulated, method).maps for method in ("pinv", "tv", "siren", "auto")}
        txm = simulated.measurement.txm
        assert txm is not None
        maps["the TXM image"] = {name: txm * true.sum() / txm.sum() for name, true in simulated.truth.items()}
        rows += [{"counts": counts, "method": name} | _sharpness(one, simulated) for name, one in maps.items()]
    return Table(rows)


def invertibility() -> Table:
    """PSNR against the invertibility of the patterns, by their contrast and grits."""
    rows = []
    sets = [((1.0, 3.0), (0.5, 0.3)), ((1.0, 3.0), (0.2, 0.1)), ((3.0,), (0.5,)), ((1.0,), (0.1,)), ((6.0,), (0.5,))]
    for grits, contrasts in sets:
        conditions = replace(USUAL, mean_counts=1e5, grits_px=grits, contrasts=contrasts)
        simulated = _measured(SPECIMENS[0], conditions)
        figures = pattern_figures(simulated.measurement.patterns, relative_noise=1e5**-0.5)
        told = {"grits px": str(grits), "contrasts": str(contrasts), "invertibility": float(figures.invertibility)}
        rows.append(
            told
            | {
                f"{method} PSNR dB": mean_psnr(_found(simulated, method).maps, simulated.truth)
                for method in ("pinv", "tv", "siren", "auto")
            }
        )
    return Table(sorted(rows, key=lambda row: row["invertibility"]))


def grit() -> Table:
    """PSNR against the feature size of patterns of one grit."""
    rows = []
    for size in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0):
        simulated = _measured(SPECIMENS[0], replace(USUAL, grits_px=(size,), contrasts=(0.5,)))
        rows.append(
            {"sigma px": size}
            | {
                f"{method} PSNR dB": mean_psnr(_found(simulated, method).maps, simulated.truth)
                for method in ("pinv", "tv", "siren", "auto")
            }
        )
    return Table(rows)


def point() -> Table:
    """A point scan of as many points, interpolated: with the flux of a pattern in each point, or with its dose."""
    rows = []
    for percent in (5, 25, 100):
        for counts in COUNTS:
            n = SIDE * SIDE * percent // 100
            simulated = _measured(SPECIMENS[0], replace(USUAL, mean_counts=counts, n_patterns=n))
            row: dict[str, Any] = {
                "%": percent,
                "counts": counts,
                "auto PSNR dB": mean_psnr(_found(simulated, "auto").maps, simulated.truth),
            }
            for told, share in (("equal flux", 1.0), ("equal local flux", 1 / SIDE**2)):
                row[f"point, {told}"] = mean_psnr(_point_scan(simulated, n, share), simulated.truth)
            rows.append(row)
    return Table(rows)


def decoy() -> Table:
    """What absorbers without any element leave in the maps, over what they absorb: inside, and at their edges."""
    rows = []
    for counts in COUNTS:
        for method in ("tv", "siren", "siren-simplex", "auto"):
            leaks = []
            for seed in SPECIMENS:
                specimen = cathode(SIDE, seed, decoy=True, stoichiometry_error=OFF_PHASE)
                simulated = measure(specimen, replace(USUAL, mean_counts=counts), seed)
                maps = _found(simulated, method).maps
                leaks.append(_leaks(simulated, maps) | {"PSNR dB": mean_psnr(maps, simulated.truth)})
            rows.append({"counts": counts, "method": method} | _mean(leaks))
    return Table(rows)


def intervals() -> Table:
    """Share of pixels whose truth lies within map +- 1.645 sigma."""
    rows = []
    for counts in (1e6, 1e5, 1e4):
        for seed in SPECIMENS:
            simulated = _measured(seed, replace(USUAL, mean_counts=counts))
            found = reconstruct(simulated.measurement)
            held = {
                name: np.abs(found.maps[name] - true) <= 1.645 * found.sigma[name]
                for name, true in simulated.truth.items()
            }
            filled = simulated.specimen.maps.sum(0) > 0.02
            rows.append(
                {
                    "counts": counts,
                    "specimen": seed,
                    "held": float(np.mean(list(held.values()))),
                    "held in particles": float(np.mean([one[filled] for one in held.values()])),
                }
            )
    return Table(rows)


def phases() -> Table:
    """Largest error of a phase's share of the field, and pixels whose main phase is wrong, both in %."""
    rows = []
    for counts in COUNTS:
        for method in ("tv", "auto", "siren-phase"):
            for seed in SPECIMENS:
                simulated = _measured(seed, replace(USUAL, mean_counts=counts))
                found = reconstruct(simulated.measurement, method, uncertainty=False, phases=PHASES)
                assert found.phase_fractions is not None
                assert found.phase_maps is not None
                true = simulated.specimen.phases
                off = np.array(list(found.phase_fractions.values())) - true.sum((1, 2)) / true.sum()
                filled = true.sum(0) > 0.05 * true.sum(0).max()
                wrong = np.stack(list(found.phase_maps.values())).argmax(0) != true.argmax(0)
                rows.append(
                    {
                        "counts": counts,
                        "method": method,
                        "specimen": seed,
                        "share off %": 100 * float(np.abs(off).max()),
                        "wrong pixels %": 100 * float((wrong & filled).mean()),
                    }
                )
    return Table(rows)


def size() -> Table:
    """Time and memory at 128 x 128, 1000 patterns, three elements."""
    simulated = measure(
        cathode(128, SPECIMENS[0], stoichiometry_error=OFF_PHASE), replace(USUAL, n_patterns=1000), SPECIMENS[0]
    )
    rows = []
    for method, uncertainty in (("auto", False), ("auto", True), ("siren", False)):
        began = time.perf_counter()
        found = reconstruct(simulated.measurement, method, uncertainty=uncertainty)
        took = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append(
            {
                "method": method,
                "sigma": str(uncertainty),
                "s": took,
                "peak GB so far": peak,
                "PSNR dB": mean_psnr(found.maps, simulated.truth),
            }
        )
    return Table(rows)


def picture() -> Table:
    """A photograph as the only element, its TXM image of another gradation."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        photograph = matplotlib.image.imread(file, format="jpg").mean(2)
    square = photograph[40:552, :512]
    image = zoom(square, SIDE / 512, order=1)
    image = (image - image.min()) / (image.max() - image.min())
    rows = []
    for percent in (5, 25):
        for counts in COUNTS:
            n = SIDE * SIDE * percent // 100
            simulated = _of_picture(image, n, counts)
            rows += [
                {"%": percent, "counts": counts, "method": method} | _scores(simulated, method)
                for method in ("pinv", "ridge", "tv", "siren", "auto")
            ]
    return Table(rows)


EXPERIMENTS: Mapping[str, Callable[[], Table]] = {
    one.__name__: one
    for one in (default, sampling, noise, invertibility, grit, point, decoy, intervals, phases, size, picture)
}


def _measured(seed: int, conditions: Conditions) -> Simulated:
    return measure(cathode(SIDE, seed, stoichiometry_error=OFF_PHASE), conditions, seed)


def _of_picture(image: NDArray[np.float64], n: int, counts: float) -> Simulated:
    rng = np.random.default_rng(SPECIMENS[0])
    patterns = speckle(n, SIDE, SPECIMENS[0])
    signal = np.tensordot(patterns, image, 2)
    unit = counts / signal.mean()
    txm = (image**0.7 + USUAL.txm_noise * rng.standard_normal(image.shape)).astype(np.float32)
    measured = PatternMeasurement(patterns, {"X": rng.poisson(unit * signal).astype(np.float64)}, None, txm)
    nothing = np.zeros_like(image)
    return Simulated(measured, {"X": unit * image}, Specimen(image[None], image[None], nothing), unit)


def _found(simulated: Simulated, method: str) -> SinglePixelResult:
    known = PHASES if method == "siren-phase" else None
    return reconstruct(simulated.measurement, method, uncertainty=False, phases=known)


def _scores(simulated: Simulated, method: str) -> dict[str, Any]:
    began = time.perf_counter()
    found = _found(simulated, method)
    took = time.perf_counter() - began
    alike = [ssim(found.maps[name], true, data_range=true.max()) for name, true in simulated.truth.items()]
    return {"PSNR dB": mean_psnr(found.maps, simulated.truth), "SSIM": float(np.mean(alike)), "s": took}


def _mean(rows: Iterable[dict[str, float]]) -> dict[str, float]:
    every = list(rows)
    return {name: float(np.mean([row[name] for row in every])) for name in every[0]}


def _sharpness(maps: Mapping[str, NDArray[np.floating]], simulated: Simulated) -> dict[str, float]:
    """Resolution in pixels, 2 is the grid's limit; correlation of details of 2 to 4 pixels; means of the elements."""
    window = np.outer(np.hanning(SIDE), np.hanning(SIDE)).astype(np.float32)
    periods, details = [], []
    for name, true in simulated.truth.items():
        curve = fourier_correlation(maps[name].astype(np.float32), true.astype(np.float32), window)
        periods.append(crossing(curve, FRC, 1.0, "1/7").period_nm)
        details.append(curve.values[len(curve.values) // 2 :].mean())
    return {
        "FRC px": float(np.mean(periods)),
        "FRC of details": float(np.mean(details)),
        "PSNR dB": mean_psnr(maps, simulated.truth),
    }


def _point_scan(simulated: Simulated, n: int, share: float) -> dict[str, NDArray[np.float64]]:
    """Maps of about n points on a grid, interpolated; each is lit with `share` of the flux of a pattern."""
    rng = np.random.default_rng(SPECIMENS[0])
    across = min(SIDE, round(n**0.5))
    at = ((np.arange(across) + 0.5) * SIDE / across).astype(int)
    flux = share * float(simulated.measurement.patterns[0].sum())
    maps = {}
    for name, true in simulated.truth.items():
        counts = rng.poisson(np.maximum(true[np.ix_(at, at)], 0) * flux) / flux
        maps[name] = np.maximum(zoom(counts, SIDE / across, order=3, mode="nearest", grid_mode=True), 0)
    return maps


def _leaks(simulated: Simulated, maps: Mapping[str, NDArray[np.floating]]) -> dict[str, float]:
    """Largest of the elements, in parts of what the decoy absorbs, outside of every particle."""
    specimen = simulated.specimen
    empty = ~binary_dilation(specimen.maps.sum(0) > 0.02, iterations=2)
    disc = specimen.decoy > 0.25
    inside, edge = (
        binary_erosion(disc, iterations=2) & empty,
        binary_dilation(disc, iterations=2) & ~binary_erosion(disc, iterations=2) & empty,
    )
    outside = ~binary_dilation(disc, iterations=3) & empty
    left = {name: maps[name] / simulated.counts_per_unit / 0.5 for name in ELEMENTS}

    def most(where: NDArray[np.bool_]) -> float:
        return max(float(one[where].mean() - one[outside].mean()) for one in left.values()) if where.any() else 0.0

    return {"interior": most(inside), "edge": most(edge)}
