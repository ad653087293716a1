"""A RunEngine with the simulated beamline, writing every document into Tiled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bluesky import RunEngine

from plans.devices.beamline import Beamline, make_beamline
from plans.devices.txm_beamline import TxmBeamline, make_txm_beamline
from plans.flyscan import flyscan_projection
from plans.ptychography import ptychography_scan
from plans.singlepixel import structured_illumination_scan
from plans.tomography import bind, coarse_flyscan_tomo
from services.catalog.backup import BackupRestorer
from services.catalog.client import Catalog, connect
from services.catalog.writer import newest_scan_id, owner_metadata, run_writer
from services.settings import Settings


@dataclass(frozen=True)
class BeamlineSession:
    """What a person at the beamline works with."""

    RE: RunEngine
    beamline: Beamline
    microscope: TxmBeamline
    catalog: Catalog
    plans: dict[str, Callable[..., Any]]
    """Plans by name, with the beamline or the microscope already in them."""


def open_session(settings: Settings, **run_engine_options: Any) -> BeamlineSession:
    """Connect devices, RunEngine and catalogue.

    The detectors' files go to ``<folder>/raw``: Tiled must see the same absolute path.
    """
    folder = settings.folder.resolve()
    catalog = connect(str(settings.tiled.uri), settings.tiled.key)
    beamline = make_beamline(
        folder / "raw",
        specimen=settings.beamline.specimen,
        seed=settings.beamline.seed,
        time_scale=settings.beamline.time_scale,
    )
    microscope = make_txm_beamline(folder / "raw", seed=settings.beamline.seed, time_scale=settings.beamline.time_scale)
    RE = RunEngine({"beamline_id": "subprobe-twin"}, **run_engine_options)
    RE.md["scan_id"] = newest_scan_id(catalog)
    RE.md |= owner_metadata(catalog, settings.beamline.access_tags)
    RE.subscribe(run_writer(catalog, folder / "backup"))
    restorer = BackupRestorer(catalog, folder / "backup")
    restorer("stop", {})  # what an earlier session could not write
    RE.subscribe(restorer)
    public = (coarse_flyscan_tomo, flyscan_projection, ptychography_scan)
    plans: dict[str, Callable[..., Any]] = {plan.__name__: bind(plan, beamline) for plan in public}
    plans[structured_illumination_scan.__name__] = bind(structured_illumination_scan, microscope)
    return BeamlineSession(RE, beamline, microscope, catalog, plans)
