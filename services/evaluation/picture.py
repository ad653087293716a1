"""Panels: one map of each kind as measured, by every enhancer, and the truth; and the trap of half sets."""

from math import ceil
from pathlib import Path

from matplotlib.figure import Figure

from models.superres.evaluation.compare import Plan
from models.superres.evaluation.halves import compare_halves
from models.superres.evaluation.held_out import SCALE, scan_of

_INCHES = 2.4
_COLUMNS = 5  # of half sets
_COUNTS_OF_HALVES = 1000.0
_CUT_OFF_NM = 30.0  # of the intensity in the focus of a zone plate with 30 nm zones, as in the held-out probe A


def draw_panels(plan: Plan, path: Path) -> None:
    """Write a PNG with a row for each kind of map, at the first probe and the middle count level of the plan."""
    probe_name, probe = next(iter(plan.probes.items()))
    counts = sorted(plan.peak_counts)[len(plan.peak_counts) // 2]
    columns = len(plan.enhancers) + 2
    figure = Figure(figsize=(_INCHES * columns, _INCHES * len(plan.image_classes) + 0.3), layout="constrained")
    axes = figure.subplots(len(plan.image_classes), columns, squeeze=False)
    for number, (row, (kind, draw)) in enumerate(zip(axes, plan.image_classes.items(), strict=True)):
        coarse, truth = scan_of(draw, 0, probe, counts, plan.coarse_px)
        pictures = {"measured": coarse.values[0]}
        pictures |= {n: e.enhance(coarse, probe, "fly", SCALE).values[0] for n, e in plan.enhancers.items()}
        for axis, (name, picture) in zip(row, (pictures | {"truth": truth}).items(), strict=True):
            axis.imshow(picture, cmap="inferno", vmin=0, vmax=float(truth.max()))
            axis.set(xticks=[], yticks=[], title="" if number else name)
        row[0].set_ylabel(kind)
    figure.suptitle(f"probe {probe_name}, {counts:g} counts, steps of 30 nm to pixels of 7.5 nm", fontsize=9)
    figure.savefig(path, dpi=110)


def draw_halves(plan: Plan, path: Path) -> None:
    """Write a PNG: correlation of two enhanced halves of the counts, and of the enhanced whole with the truth."""
    probe_name, probe = next(iter(plan.probes.items()))
    columns = min(_COLUMNS, len(plan.enhancers))
    rows = ceil(len(plan.enhancers) / columns)
    figure = Figure(figsize=(3.2 * columns, 3 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
    for axis, (name, enhancer) in zip(axes, plan.enhancers.items(), strict=False):
        curves = compare_halves(enhancer, probe, _COUNTS_OF_HALVES, min(4, plan.n_maps), plan.coarse_px)
        per_um = 1000 * curves.frequency_per_nm[1:]  # ring 0 is the mean, which was taken off
        axis.plot(per_um, curves.between[1:], color="tab:red", label="half against half")
        axis.plot(per_um, curves.with_truth[1:], color="tab:blue", label="whole against truth")
        axis.axhline(0.5, color="0.7", linewidth=0.8)
        axis.axvline(1000 / _CUT_OFF_NM, color="0.7", linewidth=0.8, linestyle=":")
        axis.set(title=name, ylim=(-0.1, 1.02))
    for empty in axes[len(plan.enhancers) :]:
        empty.axis("off")
    figure.supxlabel("cycles per um", fontsize=9)
    figure.supylabel("ring correlation", fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    figure.suptitle(
        f"what half sets pretend: probe {probe_name}, {_COUNTS_OF_HALVES:g} counts; dotted: the optics' limit, "
        f"{_CUT_OFF_NM:g} nm",
        fontsize=9,
    )
    figure.savefig(path, dpi=110)
