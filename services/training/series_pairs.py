"""Pairs of a series in Tiled: its coarse maps, its fine scans, and the probe that its lineage names."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.physics.probe import Probe
from models.superres.pairs.fine_pairs import FinePairs, pairs_of_view, usable_scale
from models.superres.pairs.recording import Recording
from models.superres.pairs.views import LEAST_VIEWS, held_out_views
from models.xrf.maps import ElementMaps
from services.catalog.client import Catalog
from services.catalog.fine_scans import ScannedTwice, angles_scanned_twice
from services.catalog.probes import read_probe
from services.catalog.products import find_series, read_fine_scan, read_sigma, read_stack
from services.catalog.records import SeriesRecord
from services.errors import SubprobeError
from services.offline.hdf5 import opened
from services.training.recorded import Part, write_recordings


class PairsError(SubprobeError):
    """A series holds nothing that a network could learn from."""


@dataclass(frozen=True)
class SeriesPairs:
    """What stands in a file of pairs about the series that they come from.

    Attributes:
        series_uid, series_key: of the series.
        elements: that make pairs.
        probes: keys of the probes.
        step_nm, fine_step_nm: of the two scans.
        scale: that the network learns.
        learnt_deg, held_out_deg: angles.
        left_out: what makes no pair, in words.
        shifts_nm: (angle, 2) how far the fine scans were found from their places, y and x: of those learnt, then of
            those held out.
    """

    series_uid: str
    series_key: str
    elements: tuple[str, ...]
    probes: tuple[str, ...]
    step_nm: float
    fine_step_nm: float
    scale: int
    learnt_deg: tuple[float, ...]
    held_out_deg: tuple[float, ...]
    left_out: tuple[str, ...]
    shifts_nm: tuple[tuple[float, float], ...]


def collect_pairs(
    catalog: Catalog,
    series: str,
    path: Path,
    elements: Sequence[str],
    scales: Sequence[int],
    told: Callable[[int, int], None] = lambda _done, _of: None,
) -> SeriesPairs:
    """Make pairs of every angle that was scanned twice, and write them to a file.

    Args:
        catalog: where the series is.
        series: its key or uid.
        path: of the file.
        elements: to make pairs of; all of the series where none are given.
        scales: that the network can learn.
        told: after every angle, with how many of how many are done.

    Raises:
        PairsError: there are too few views, or their steps do not fit.
        CatalogError: no such series or probe, or the catalogue failed.
    """
    record = find_series(catalog, series)
    angles = _usable_angles(catalog, record, elements)
    fine_step_nm = angles[0].fine.scan.step_nm
    try:
        scale = usable_scale(record.step_nm, fine_step_nm, scales, record.scale)
    except ValueError as error:
        raise PairsError(f"series {record.key}: {error}") from error
    found, left_out = _pairs_by_angle(catalog, record, angles, elements, scale, told)
    learnt, held_out = _sides(record.key, [angle for angle in angles if angle.angle_index in found], left_out)
    kept = (*learnt, *held_out)
    about = SeriesPairs(
        series_uid=record.series_uid,
        series_key=record.key,
        elements=tuple(dict.fromkeys(name for pairs in found.values() for name in pairs.recordings)),
        probes=tuple(sorted({angle.probe for angle in kept})),
        step_nm=record.step_nm,
        fine_step_nm=fine_step_nm,
        scale=scale,
        learnt_deg=tuple(angle.theta_deg for angle in learnt),
        held_out_deg=tuple(angle.theta_deg for angle in held_out),
        left_out=tuple(left_out),
        shifts_nm=tuple(found[angle.angle_index].registration.shift_nm for angle in kept),
    )
    parts: dict[Part, dict[str, Recording]] = {"pairs": _named(learnt, found), "held_out": _named(held_out, found)}
    write_recordings(path, parts, {"series": json.dumps(asdict(about))})
    return about


def read_about(path: Path) -> SeriesPairs:
    """What `collect_pairs` wrote about the series of a file.

    Raises:
        InputFileError: it did not write that file.
    """
    with opened(path) as file:
        if "series" not in file.attrs:
            raise ValueError("it says nothing of a series: `subprobe finetune` did not write it")
        said: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(file.attrs["series"]).items()
        }
        return SeriesPairs(**said)


def _usable_angles(catalog: Catalog, record: SeriesRecord, elements: Sequence[str]) -> list[ScannedTwice]:
    """All that were scanned twice, where the series can give what is asked for."""
    unknown = [element for element in elements if element not in record.elements]
    if unknown:
        raise PairsError(f"series {record.key} has no {', '.join(unknown)}: choose among {', '.join(record.elements)}")
    angles = angles_scanned_twice(catalog, record.key)
    if not angles:
        raise PairsError(
            f"series {record.key} has no fine scans that are processed: take some with coarse_flyscan_tomo(..., "
            f"fine_step_nm={record.step_nm / record.scale:g}), at {LEAST_VIEWS} angles or more"
        )
    step_nm = angles[0].fine.scan.step_nm
    others = [angle.angle_index for angle in angles if angle.fine.scan.step_nm != step_nm]
    if others:
        raise PairsError(f"series {record.key} has fine scans of several steps, see angles {others}: one is needed")
    return list(angles)


def _sides(
    key: str, angles: Sequence[ScannedTwice], left_out: Sequence[str]
) -> tuple[list[ScannedTwice], list[ScannedTwice]]:
    """Angles to learn from, and those held out."""
    try:
        apart = held_out_views([angle.theta_deg for angle in angles])
    except ValueError as error:
        reasons = f" (left out: {'; '.join(left_out)})" if left_out else ""
        raise PairsError(f"series {key}: {error}: scan more angles with fine_step_nm{reasons}") from error
    learnt = [angle for place, angle in enumerate(angles) if place not in apart]
    return learnt, [angles[place] for place in apart]


def _pairs_by_angle(
    catalog: Catalog,
    record: SeriesRecord,
    angles: Sequence[ScannedTwice],
    elements: Sequence[str],
    scale: int,
    told: Callable[[int, int], None],
) -> tuple[dict[int, FinePairs], list[str]]:
    """By angle index, and what was left out for which reason."""
    probes: dict[str, Probe] = {}
    found: dict[int, FinePairs] = {}
    left_out: list[str] = []
    for done, angle in enumerate(angles):
        told(done, len(angles))
        if angle.probe not in probes:
            probes[angle.probe] = read_probe(catalog, angle.probe)
        try:
            pairs = _pairs_of_angle(catalog, record, angle, probes[angle.probe], elements, scale)
        except ValueError as error:
            left_out.append(f"{angle.theta_deg:g} deg: {error}")
            continue
        left_out += [f"{angle.theta_deg:g} deg, {element}: {why}" for element, why in pairs.left_out.items()]
        if pairs.recordings:
            found[angle.angle_index] = pairs
    told(len(angles), len(angles))
    return found, left_out


def _pairs_of_angle(
    catalog: Catalog,
    record: SeriesRecord,
    angle: ScannedTwice,
    probe: Probe,
    elements: Sequence[str],
    scale: int,
) -> FinePairs:
    coarse_scan, fine_scan = angle.coarse.scan, angle.fine.scan
    if not (coarse_scan.is_regular and fine_scan.is_regular):
        raise ValueError("rows of unequal pitch or start: a regular raster is needed")
    if coarse_scan.motion != fine_scan.motion:
        raise ValueError(f"the coarse scan is a {coarse_scan.motion} scan, the fine one a {fine_scan.motion} scan")
    index, key = [angle.angle_index], record.key
    coarse, coarse_sigma, fine, fine_sigma = (
        np.concatenate([read(element=element) for element in record.elements])
        for read in (
            partial(read_stack, catalog, key, "fitted", indices=index),
            partial(read_sigma, catalog, key, "fitted", indices=index),
            partial(read_fine_scan, catalog, key, "fine", indices=index),
            partial(read_fine_scan, catalog, key, "fine_sigma", indices=index),
        )
    )
    y_um, x_um = np.subtract(fine_scan.centre_um, coarse_scan.centre_um)
    return pairs_of_view(
        _element_maps(record.elements, coarse_scan.step_nm, coarse, coarse_sigma),
        _element_maps(record.elements, fine_scan.step_nm, fine, fine_sigma),
        probe,
        coarse_scan.motion,
        scale,
        (float(y_um) * 1e3, float(x_um) * 1e3),
        elements or None,
    )


def _element_maps(
    elements: tuple[str, ...], step_nm: float, values: NDArray[np.float32], sigma: NDArray[np.float32]
) -> ElementMaps:
    """A point that any element lacks counts as not measured; counts per unit are not asked for here."""
    measured = np.asarray(np.isfinite(values).all(0) & np.isfinite(sigma).all(0))
    return ElementMaps(elements, values, sigma**2, measured, step_nm, np.ones(len(elements), np.float32))


def _named(angles: Sequence[ScannedTwice], found: dict[int, FinePairs]) -> dict[str, Recording]:
    return {
        f"{angle.angle_index:04d}-{element}": recording
        for angle in angles
        for element, recording in found[angle.angle_index].recordings.items()
    }
