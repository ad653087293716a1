"""Structured illumination: frames and spectra of one physics, documents that say everything, and safe interruptions."""

import json
import threading
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from event_model import DocumentNames, schema_validators

from models.physics.absorption import optical_depth
from models.physics.structured_light import GRITS
from models.physics.txm import measured_optical_depth, relative_light
from models.run_schema import I0, LIVE_TIME_S, REAL_TIME_S, SPECTRA
from models.structured_schema import DIFFUSER_X_UM, STRUCTURED_SPEC, TXM_FRAMES, StructuredStart
from models.xrf.fit import MapFit
from plans.devices.txm_beamline import TxmBeamline, make_txm_beamline
from plans.progress import PatternProgress
from plans.singlepixel import estimate_structured, structured_illumination_scan

SIDE, N = 16, 40
SCAN: dict[str, Any] = {"sample": "mixed cathode", "n_patterns": N, "n_images": 8}
Twin = Callable[..., TxmBeamline]


@pytest.fixture
def make_microscope(tmp_path: Path) -> Twin:
    """Builds twins of 16 x 16 pixels of 500 nm that write to this test's folder."""

    def make(**options: Any) -> TxmBeamline:
        defaults: dict[str, Any] = {"shape": (SIDE, SIDE), "pixel_size_nm": 500.0, "time_scale": 0.0}
        return make_txm_beamline(tmp_path / "raw", **(defaults | options))

    return make


@pytest.fixture
def microscope(make_microscope: Twin) -> TxmBeamline:
    return make_microscope()


def arrays(run: Any) -> dict[tuple[str, str], np.ndarray]:
    """What a run's files hold, by stream and data key."""
    names = {doc["uid"]: doc["name"] for doc in run.named("descriptor")}
    streams = {doc["stream_resource"]: names[doc["descriptor"]] for doc in run.named("stream_datum")}
    found = {}
    for resource in run.named("stream_resource"):
        with h5py.File(resource["uri"].removeprefix("file://localhost")) as file:
            found[streams[resource["uid"]], resource["data_key"]] = file[resource["parameters"]["dataset"]][:]
    return found


def light(run: Any, stream: str) -> np.ndarray:
    """Frames of a stream in units of the mean light without diffusers, (frame, y, x)."""
    measured, start = arrays(run), StructuredStart.from_metadata(run.start)
    dark = measured["dark", TXM_FRAMES]
    shares = {name: measured[name, I0] for name in ("flat", stream)}
    flat = relative_light(measured["flat", TXM_FRAMES], shares["flat"], dark).mean()
    monitored_s = start.dwell_s if stream == "xrf" else start.camera_s
    return relative_light(measured[stream, TXM_FRAMES], shares[stream] * start.camera_s / monitored_s, dark) / flat


def bucket(run: Any) -> np.ndarray:
    """Fitted areal density under each pattern, (element, pattern)."""
    measured, start = arrays(run), StructuredStart.from_metadata(run.start)
    maps = MapFit(start.elements, start.detector, start.energy_kev).fit(
        measured["xrf", SPECTRA],
        live_time_s=measured["xrf", LIVE_TIME_S],
        real_time_s=measured["xrf", REAL_TIME_S],
        i0=measured["xrf", I0][:, None],
        i0_nominal=start.i0_nominal,
        dwell_s=start.dwell_s,
        shape=(start.n_patterns, 1),
        pixel_size_nm=start.pixel_size_nm,
    )
    return maps.values[:, :, 0]


def test_documents_are_valid_plain_and_say_everything(RE: RunEngine, runs: list[Any], microscope: TxmBeamline) -> None:
    uid = RE(structured_illumination_scan(microscope, **SCAN, phases=["LiCoO2"], md={"user": "a"})).plan_result
    (run,) = runs
    for name, document in run.documents:
        schema_validators[DocumentNames[name]].validate(document)
    assert json.loads(json.dumps(run.start)) == run.start
    assert (run.start["uid"], run.start["user"], run.start["tiled_specs"]) == (uid, "a", [STRUCTURED_SPEC])
    assert "equal incident flux" in run.start["dose_convention"]
    start = StructuredStart.from_metadata(run.start)
    assert start.elements == ("Mn", "Co", "Ni")
    assert (start.shape, start.n_patterns, start.grits, start.phases) == ((16, 16), N, ("fine", "coarse"), ("LiCoO2",))
    assert start.photons_per_pattern == pytest.approx(start.i0_nominal * start.detector.photons_per_i0_count)


def test_every_stream_holds_its_frames_and_is_announced_once(
    RE: RunEngine, runs: list[Any], microscope: TxmBeamline
) -> None:
    RE(structured_illumination_scan(microscope, **SCAN, flush_period_s=0.01))
    measured = arrays(runs[0])
    frames = {stream: len(values) for (stream, key), values in measured.items() if key == TXM_FRAMES}
    assert frames == {"dark": 8, "flat": 8, "image": 8, "patterns": N, "xrf": N}
    assert measured["xrf", SPECTRA].shape == (N, 1, 1, 2048)
    for resource in runs[0].named("stream_resource"):
        spans = [doc["indices"] for doc in runs[0].named("stream_datum") if doc["stream_resource"] == resource["uid"]]
        assert [span["start"] for span in spans] == [0, *(span["stop"] for span in spans[:-1])]
    assert not microscope.shutter.get()
    assert not microscope.specimen_in.get()


def test_the_image_shows_what_the_specimen_takes(RE: RunEngine, runs: list[Any], microscope: TxmBeamline) -> None:
    RE(structured_illumination_scan(microscope, **SCAN | {"n_images": 64}))
    specimen = microscope.specimen
    fine = optical_depth(specimen.areal_density_ug_cm2(0.0, (64, 64), 125.0), specimen.elements, 9.0)
    expected = -np.log(np.exp(-fine).reshape(SIDE, 4, SIDE, 4).mean(axis=(1, 3)))
    error = measured_optical_depth(light(runs[0], "image"), light(runs[0], "flat")) - expected
    photons = microscope.beam.flux_hz * runs[0].start["camera_s"] / SIDE**2 * 0.5 * 64
    assert error.std() < 1.3 * np.sqrt(2 / photons) + 1e-3
    assert expected.max() > 50 * error.std()


def test_the_bucket_is_the_pattern_times_the_specimen(RE: RunEngine, runs: list[Any], make_microscope: Twin) -> None:
    """Frames and spectra of the same moment, put together by nothing but y = A x, agree.

    Within 3 %: grains of 100 nm vary within these pixels of 500 nm, of which the frame tells the mean alone.
    """
    microscope = make_microscope(jitter_nm=0.0)
    RE(structured_illumination_scan(microscope, **SCAN))
    density = microscope.specimen.areal_density_ug_cm2(0.0, (2 * SIDE, 2 * SIDE), 250.0)[:3]
    coarse = density.reshape(3, SIDE, 2, SIDE, 2).mean(axis=(2, 4))
    expected = np.einsum("nyx,eyx->en", light(runs[0], "patterns"), coarse) / SIDE**2
    ratio = bucket(runs[0]) / expected
    np.testing.assert_allclose(ratio.mean(axis=1), 1.0, atol=0.02)
    assert np.all(ratio.std(axis=1) < 0.03)
    assert np.all(expected.std(axis=1) / expected.mean(axis=1) > 0.03)


def test_diffusers_do_not_come_back_to_where_they_were(RE: RunEngine, runs: list[Any], make_microscope: Twin) -> None:
    for jitter_nm in (0.0, 150.0):
        RE(structured_illumination_scan(make_microscope(jitter_nm=jitter_nm), **SCAN, elements=["Co"]))
    np.testing.assert_array_equal(arrays(runs[0])["xrf", DIFFUSER_X_UM], arrays(runs[1])["patterns", DIFFUSER_X_UM])

    def misfit(run: Any) -> float:
        before, with_specimen = light(run, "patterns"), light(run, "xrf")
        return float(np.std(with_specimen / np.exp(-measured_optical_depth(light(run, "image"), light(run, "flat")))
                            / before - 1))  # fmt: skip

    still, moved = (misfit(run) for run in runs)
    assert moved > 5 * still


def test_one_grit_alone_makes_patterns_of_its_own_contrast(
    RE: RunEngine, runs: list[Any], microscope: TxmBeamline
) -> None:
    for grit, contrast in (("fine", 0.5), ("coarse", 0.3)):
        RE(structured_illumination_scan(microscope, **SCAN, grits=[grit]))
        taken = light(runs[-1], "patterns") / light(runs[-1], "flat").mean(axis=0)
        # The camera averages over its pixels, which are larger than the grains here.
        assert 0.2 * contrast < np.log(taken).std() < contrast
        absent = [other != grit for other in GRITS]
        np.testing.assert_array_equal(np.isnan(arrays(runs[-1])["patterns", DIFFUSER_X_UM][0]), absent)


def test_the_same_seed_gives_the_same_bits_and_another_flight_other_noise(
    RE: RunEngine, runs: list[Any], make_microscope: Twin
) -> None:
    first = make_microscope()
    for one in (first, make_microscope(), first):
        RE(structured_illumination_scan(one, **SCAN))
    once, again, later = (arrays(run) for run in runs)
    for place, values in once.items():
        np.testing.assert_array_equal(values, again[place])
    assert np.any(once["xrf", TXM_FRAMES] != later["xrf", TXM_FRAMES])


def test_a_pause_at_any_moment_loses_and_doubles_nothing(RE: RunEngine, runs: list[Any], make_microscope: Twin) -> None:
    RE(structured_illumination_scan(make_microscope(), **SCAN))
    microscope = make_microscope(time_scale=0.002)

    def go_on() -> None:
        if RE.state == "paused":
            RE.resume()
        else:
            RE(structured_illumination_scan(microscope, **SCAN, flush_period_s=0.01))

    for _ in range(6):
        pauser = threading.Timer(0.12, lambda: RE.request_pause() if RE.state == "running" else None)
        pauser.start()
        try:
            go_on()
        except RunEngineInterrupted:
            continue
        finally:
            pauser.join()
        break
    if RE.state == "paused":
        RE.resume()
    assert runs[1].exit_status == "success"
    undisturbed, paused = arrays(runs[0]), arrays(runs[1])
    for place, values in undisturbed.items():
        np.testing.assert_array_equal(values, paused[place])


def test_an_abort_leaves_files_closed_and_the_shutter_shut(
    RE: RunEngine, runs: list[Any], make_microscope: Twin
) -> None:
    microscope = make_microscope(time_scale=0.01)
    RE(structured_illumination_scan(make_microscope(), **SCAN))  # so that everything is imported
    pauser = threading.Timer(0.2, RE.request_pause)
    pauser.start()
    with pytest.raises(RunEngineInterrupted):
        RE(structured_illumination_scan(microscope, **SCAN, flush_period_s=0.01))
    pauser.join()
    RE.abort()
    assert runs[1].exit_status == "abort"
    assert not microscope.shutter.get()
    time.sleep(0.05)
    for values in arrays(runs[1]).values():
        assert len(values)


def test_the_estimate_foretells_bytes_and_dose_is_flux_times_time_over_area(
    RE: RunEngine, runs: list[Any], microscope: TxmBeamline
) -> None:
    RE(structured_illumination_scan(microscope, **SCAN))
    estimate = estimate_structured(microscope, n_patterns=N, n_images=8)
    assert estimate.n_bytes == sum(values.nbytes for values in arrays(runs[0]).values())
    assert runs[0].start["estimate"]["n_bytes"] == estimate.n_bytes
    start = StructuredStart.from_metadata(runs[0].start)
    double = estimate_structured(microscope, n_patterns=2 * N, n_images=8)
    assert (double.dose_gy - estimate.dose_gy) / estimate.dose_gy == pytest.approx(
        N / (N + 8 * start.camera_s), rel=1e-6
    )
    assert "40 patterns, sampling ratio 0.156" in str(estimate)


def test_the_estimated_time_is_what_the_twin_takes(RE: RunEngine, make_microscope: Twin) -> None:
    microscope = make_microscope(time_scale=0.02)
    began = time.monotonic()
    RE(structured_illumination_scan(microscope, **SCAN))
    took = time.monotonic() - began
    foretold = estimate_structured(microscope, n_patterns=N, n_images=8)
    paced = foretold.duration_s - 5 * microscope.timing.run_overhead_s
    assert paced < took < foretold.duration_s + 3


def test_a_bar_counts_patterns_and_spectra(RE: RunEngine, microscope: TxmBeamline) -> None:
    screen = StringIO()
    RE.subscribe(PatternProgress(screen))
    RE(structured_illumination_scan(microscope, **SCAN))
    bars = screen.getvalue().replace("\r", "\n").split("\n")
    assert next(bar for bar in bars if "/80 frames" in bar).count("0/80")
    assert "spectra" in bars[-2]
    assert "80/80 frames" in bars[-2]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"sampling_ratio": 0.1}, "pass one of them"),
        ({"n_patterns": 0}, "n_patterns is 0"),
        ({"n_patterns": None, "sampling_ratio": -1.0}, "sampling_ratio is -1"),
        ({"n_patterns": 10**8}, "pass at most"),
        ({"grits": []}, "grits is"),
        ({"grits": ["sugar"]}, "some of fine, coarse"),
        ({"dwell_s": 0.0}, "dwell_s is 0"),
        ({"dwell_s": 1e-4, "camera_s": 1e-3}, "camera_s is 0.001: pass a positive number up to dwell_s of 0.0001"),
        ({"camera_s": 0.9}, "more than the camera's 65535, pass at most 0.00"),
        ({"n_images": 0}, "n_images is 0"),
        ({"elements": ["Xx"]}, "Xx"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_measured(
    RE: RunEngine, runs: list[Any], microscope: TxmBeamline, wrong: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        RE(structured_illumination_scan(microscope, **(SCAN | wrong)))
    assert runs == []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"specimen": "cheese"}, "cheese"),
        ({"shape": (1, 16)}, "shape"),
        ({"pixel_size_nm": 0.0}, "pixel_size_nm"),
        ({"jitter_nm": -1.0}, "jitter_nm"),
        ({"pixel_size_nm": 5e3}, "pass fewer or smaller pixels"),
        ({"n_detectors": 9}, "n_detectors"),
    ],
)
def test_an_impossible_microscope_is_refused(make_microscope: Twin, wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make_microscope(**wrong)
