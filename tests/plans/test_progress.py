"""What a person sees while a series is measured."""

from io import StringIO
from typing import Any

import pytest
from bluesky import RunEngine

from plans.devices.beamline import Beamline
from plans.flyscan import flyscan_projection
from plans.progress import AngleProgress
from plans.ptychography import ptychography_scan
from plans.tomography import coarse_flyscan_tomo

TINY: dict[str, Any] = {"sample": "NMC 811", "fov_um": [0.12, 0.24], "step_nm": 120, "flush_period_s": 0.05}


@pytest.fixture
def screen(RE: RunEngine) -> StringIO:
    """What the progress bar wrote."""
    screen = StringIO()
    RE.subscribe(AngleProgress(screen))
    return screen


def test_the_cost_comes_first_then_a_bar_to_the_last_angle(RE: RunEngine, beamline: Beamline, screen: StringIO) -> None:
    RE(coarse_flyscan_tomo(beamline, **TINY, angles_deg=[0.0, 30.0], fine_step_nm=60))
    first, *lines = screen.getvalue().replace("\r", "\n").split("\n")
    assert first.startswith("NMC 811: 2 angles in 4 runs")
    bars = [line for line in lines if "/2 angles" in line]
    assert "0/2 angles" in bars[0]
    assert "2/2 angles" in bars[-1]
    assert "fine scan at 30.0 deg" in bars[-1]
    assert all("left" in bar for bar in bars)


def test_a_single_projection_draws_no_bar(RE: RunEngine, beamline: Beamline, screen: StringIO) -> None:
    RE(flyscan_projection(beamline, **TINY))
    assert screen.getvalue() == ""


def test_a_ptychography_scan_tells_what_it_costs_and_draws_no_bar(
    RE: RunEngine, make_imager: Any, overlapping_scan: dict[str, Any], screen: StringIO
) -> None:
    RE(ptychography_scan(make_imager(), **overlapping_scan))
    assert screen.getvalue().startswith("NMC 811: 35 frames of 1.0e+05 photons, 58% overlap: 1 s")
    assert "angles" not in screen.getvalue()


def test_an_angle_that_failed_ends_the_bar_and_says_so(RE: RunEngine, beamline: Beamline, screen: StringIO) -> None:
    beamline.ring_current.put("unplugged")
    with pytest.raises(Exception, match="flyer"):
        RE(coarse_flyscan_tomo(beamline, **TINY, angles_deg=[0.0, 30.0]))
    assert "scan at 0.0 deg: fail" in screen.getvalue()
    assert "1/2 angles" not in screen.getvalue()
