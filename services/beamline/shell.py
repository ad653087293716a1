"""`subprobe shell`: IPython at the beamline."""

import logging

import IPython
from rich.console import Console
from traitlets.config import Config

from plans.estimates import estimate_tomo
from plans.progress import AngleProgress, PatternProgress
from services.beamline.session import open_session
from services.settings import Settings

_BANNER = """
subprobe: the simulated nanoprobe with {specimen} in the beam, writing to {uri}

  RE(coarse_flyscan_tomo(sample="ZnMn-32cyc", angles_deg=angles(24), fov_um=[4.2, 4.2], step_nm=120))
  estimate(angles_deg=angles(24), fov_um=[4.2, 4.2], step_nm=120)     time, dose, bytes before the scan
  RE(ptychography_scan(sample="ZnMn-32cyc"))                          frames that tell the probe
  RE(structured_illumination_scan(sample="mixed cathode"))            maps without a focus, by a full-field microscope
  raw[-1]["xrf"].read()        the newest run            processed          the enhanced series
  coarse_flyscan_tomo?         every argument            RE.abort(), RE.resume() after Ctrl-C
"""


def open_shell(settings: Settings) -> None:
    """Start IPython with RE, the plans, the beamline and the catalogue by name."""
    # The RunEngine logs a traceback for every abort and every wrong argument; IPython shows the error itself.
    logging.getLogger("bluesky").setLevel(logging.CRITICAL)
    session = open_session(settings)
    session.RE.subscribe(AngleProgress())
    session.RE.subscribe(PatternProgress())
    names = {
        "RE": session.RE,
        "beamline": session.beamline,
        "microscope": session.microscope,
        "catalog": session.catalog,
        "raw": session.catalog.raw,
        "processed": session.catalog.processed,
        "probes": session.catalog.probes,
        "angles": evenly_spaced_angles,
        "estimate": lambda **scan: Console().print(estimate_tomo(session.beamline, **scan)),
        **session.plans,
    }
    config = Config()
    config.TerminalInteractiveShell.banner2 = _BANNER.format(
        specimen=settings.beamline.specimen, uri=session.catalog.uri
    )
    IPython.start_ipython(argv=[], user_ns=names, config=config)


def evenly_spaced_angles(n_angles: int, range_deg: float = 180.0) -> list[float]:
    """Angles from zero, the last one step short of ``range_deg``."""
    return [range_deg * index / n_angles for index in range(n_angles)]
