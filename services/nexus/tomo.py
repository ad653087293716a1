"""Element maps of an angle series as NXtomo, one entry for each element, written angle by angle.

NXtomo asks for integers as detector data, for it was made for cameras; ours are areal densities, hence real numbers, as
many facilities write them.

Source: NXtomo, NeXus definitions v2026.01.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.nexus.file import new_entry, new_group, write_field, write_process

Plane = NDArray[np.float32]

_PROJECTION = 0
"""Of ``image_key``."""


@dataclass(frozen=True)
class TomoSeries:
    """What holds for all frames of an entry.

    Attributes:
        title: of the entry.
        sample: its name.
        angles_deg: one per frame.
        shape: (y, x) of a frame.
        pixel_nm: side of a pixel.
        units: of the maps.
        energy_kev: of the beam; None where it is not known.
        metadata: everything else.
    """

    title: str
    sample: str
    angles_deg: tuple[float, ...]
    shape: tuple[int, int]
    pixel_nm: float
    units: str
    energy_kev: float | None
    metadata: Mapping[str, Any]


def write_tomo(file: Any, element: str, series: TomoSeries, frames: Iterable[tuple[Plane, Plane]]) -> None:
    """Write one element's entry.

    Args:
        file: see `services.nexus.file.nexus_file`.
        element: names the entry.
        series: what holds for all frames.
        frames: (map, its standard deviation) at each angle, both (y, x), in the order of the angles.
    """
    entry = new_entry(file, element, f"{series.title}: {element}")
    entry["definition"] = "NXtomo"
    detector = _instrument(entry, series)
    sample = new_group(entry, "sample", "NXsample")
    sample["name"] = series.sample
    write_field(sample, "rotation_angle", np.asarray(series.angles_deg, np.float64), "deg")
    shape = (len(series.angles_deg), *series.shape)
    for name in ("data", "data_errors"):
        detector.create_dataset(name, shape, np.float32, chunks=(1, *series.shape), fillvalue=np.nan)
        detector[name].attrs["units"] = series.units
    detector["data"].attrs["long_name"] = f"{element}, areal density"
    for index, (plane, sigma) in enumerate(frames):
        detector["data"][index], detector["data_errors"][index] = plane, sigma
    _plot(entry, series)
    parameters = {"element": element, "source": series.metadata.get("source"), "pixel_size_nm": series.pixel_nm}
    write_process(entry, "processing", series.metadata, parameters)


def _instrument(entry: Any, series: TomoSeries) -> Any:
    instrument = new_group(entry, "instrument", "NXinstrument")
    new_group(instrument, "source", "NXsource")["probe"] = "x-ray"
    if series.energy_kev is not None:
        beam = new_group(instrument, "beam", "NXbeam")
        write_field(beam, "incident_energy", series.energy_kev, "keV")
    detector = new_group(instrument, "detector", "NXdetector")
    detector["image_key"] = np.full(len(series.angles_deg), _PROJECTION, np.int32)
    for name in ("x_pixel_size", "y_pixel_size"):
        write_field(detector, name, series.pixel_nm, "nm")
    return detector


def _plot(entry: Any, series: TomoSeries) -> None:
    """The NXdata that viewers open, with links as NXtomo wants them."""
    plot = new_group(entry, "data", "NXdata")
    entry.attrs["default"] = "data"
    for name in ("data", "data_errors", "image_key"):
        _link(plot, name, entry[f"instrument/detector/{name}"])
    _link(plot, "rotation_angle", entry["sample/rotation_angle"])
    for name, n in zip(("y", "x"), series.shape, strict=True):
        write_field(plot, name, (np.arange(n) + 0.5) * series.pixel_nm, "nm")
    plot.attrs["signal"] = "data"
    plot.attrs["axes"] = ["rotation_angle", "y", "x"]


def _link(group: Any, name: str, target: Any) -> None:
    target.attrs["target"] = target.name  # how NeXus tells the original from its links
    group[name] = target
