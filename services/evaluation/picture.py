"""Panels: one map of each kind as measured, by every enhancer, and the truth."""

from pathlib import Path

from matplotlib.figure import Figure

from models.superres.evaluation.compare import Plan
from models.superres.evaluation.held_out import SCALE, scan_of

_INCHES = 2.4


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
