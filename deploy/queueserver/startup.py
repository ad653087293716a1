"""What the environment of a queue server holds: RE, the devices of the nanoprobe, the plans that may be queued.

Settings come from ``SUBPROBE_*``; the file that ``SUBPROBE_CONFIG`` names, where it names one, comes second.
"""

import os
from pathlib import Path

from bluesky_queueserver import parameter_annotation_decorator

from services.beamline.queued import with_detectors
from services.beamline.session import open_session
from services.settings import load_settings

_config = os.environ.get("SUBPROBE_CONFIG")
_session = open_session(load_settings(Path(_config) if _config else None, {}))
_beamline = _session.beamline

RE = _session.RE

stage = _beamline.stage
xrf = _beamline.xrf
scaler = _beamline.scaler
encoders = _beamline.encoders
camera = _beamline.camera
ring_current = _beamline.ring_current

# Checked as an item is queued; what depends on the beamline, as the reach of the stage, is checked as its plan begins.
_limits = parameter_annotation_decorator(
    {
        "parameters": {
            "detectors": {
                "description": "to record with; by default what the plan needs",
                "annotation": "typing.Optional[typing.List[Detector]]",
                "devices": {"Detector": ["xrf", "scaler", "encoders", "camera"]},
            },
            "step_nm": {"description": "between points and between rows", "min": 1.0},
            "dwell_s": {"description": "per point", "min": 1e-4},
        }
    }
)

coarse_flyscan_tomo, flyscan_projection, ptychography_scan = (
    _limits(with_detectors(_session.plans[name], _beamline))
    for name in ("coarse_flyscan_tomo", "flyscan_projection", "ptychography_scan")
)

structured_illumination_scan = _session.plans["structured_illumination_scan"]  # by the full-field microscope
