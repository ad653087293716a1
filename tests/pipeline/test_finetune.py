"""From a scan with fine partners to weights of the series' own, and an angle enhanced with them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from running_worker import running_worker
from typer.testing import CliRunner

from models.superres.evaluation import calibration
from models.superres.networks.weights import load_weights
from models.superres.training import presets
from services.beamline.session import open_session
from services.catalog.probes import import_probe
from services.catalog.products import find_series, read_lineage
from services.cli import app
from services.training import run
from services.training.recorded import read_recordings

_N_ANGLES = 5


@pytest.fixture
def quick(monkeypatch):
    """The shipped weights, but few pairs of small patches."""
    recipe = presets.PRESETS["unrolled"]
    small = replace(recipe, conditions=replace(recipe.conditions, coarse_px=12), n_images=2, batch=2)
    monkeypatch.setitem(presets.PRESETS, "unrolled", small)
    monkeypatch.setattr(calibration, "LEVELS", (100.0,))
    monkeypatch.setattr(run, "_KERNELS", 20)


@pytest.fixture
def session(tiled):
    opened = open_session(tiled.settings(), call_returns_result=True)
    import_probe(opened.catalog, opened.beamline.probe, "twin")
    yield opened
    opened.catalog.close()


def _scanned(session, angles_deg, **options):
    plan = session.plans["coarse_flyscan_tomo"](
        sample="tuned", angles_deg=angles_deg, fov_um=[1.44, 1.44], step_nm=120.0, **options
    )
    return session.RE(plan).plan_result


def _processed(tiled, n_runs, enhancer):
    settings = tiled.settings(enhancer=enhancer).worker
    with tiled.connect() as catalog, running_worker(catalog, tiled.folder.root / "status", settings) as worker:
        worker.until_done(n_runs)
    assert worker.status_file.status.n_done == n_runs, worker.status_file.status


def _finetune(tiled, monkeypatch, *arguments):
    monkeypatch.setenv("SUBPROBE_TILED__URI", tiled.uri)
    monkeypatch.setenv("SUBPROBE_TILED__API_KEY", tiled.api_key)
    done = CliRunner().invoke(app, ["finetune", *arguments], env={**os.environ, "COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.long
@pytest.mark.usefixtures("quick")
def test_a_series_with_fine_scans_becomes_weights_that_enhance(tiled, session, tmp_path, monkeypatch):
    angles_deg = list(np.arange(_N_ANGLES) * 180.0 / _N_ANGLES)
    series_uid = _scanned(session, angles_deg, fine_step_nm=60.0).series_uid
    _processed(tiled, 2 * _N_ANGLES, "lmmse")
    key = find_series(session.catalog, series_uid).key

    said = _finetune(tiled, monkeypatch, "--series", key, "--out", str(tmp_path), "--epochs", "4", "--minutes", "0")
    assert "from step 0 of" in said
    weights = tmp_path / f"unrolled-{key}.safetensors"
    _check_pairs(tmp_path / "pairs.h5")
    _check_card(weights, series_uid)
    assert "chi^2 of fine readings" in said
    assert f"SUBPROBE_WORKER__ENHANCER={weights}" in said or "Stay with unrolled" in said

    again = _finetune(tiled, monkeypatch, "--series", series_uid, "--out", str(tmp_path), "--epochs", "4")
    assert "going on with the pairs" in again
    assert "from step 1 of" in again
    _check_card(weights, series_uid)
    assert (tmp_path / "held-out.png").exists()

    other_uid = _scanned(session, [45.0]).series_uid
    _processed(tiled, 1, str(weights))
    assert read_lineage(session.catalog, other_uid, 0)["enhancer"]["name"] == weights.stem


def _check_pairs(path: Path):
    """Four angles to learn from and one that is apart, both elements of each; scans of 60 nm are two fine pixels."""
    learnt, held_out = read_recordings(path), read_recordings(path, "held_out")
    assert (len(learnt), len(held_out)) == (8, 2)
    for recording in (*learnt, *held_out):
        assert (recording.scale, recording.fine_scan.scale) == (4, 2)
        assert recording.fine.shape == (24, 24)


def _check_card(weights: Path, series_uid: str):
    shipped, card = load_weights("unrolled"), load_weights(str(weights)).card
    about = json.loads(weights.with_suffix(".json").read_text())["fine_tuning"]
    assert (about["series_uid"], about["start_digest"]) == (series_uid, shipped.digest)
    assert (about["held_out_deg"], about["learnt_deg"]) == ([72.0], [0.0, 36.0, 108.0, 144.0])
    assert np.abs(about["shifts_nm"]).max() < 12.0
    assert "recorded by the user" in about["licence"]
    assert f"started from weights {shipped.digest}" in card.trained_on
    for when in ("linear", "before", "after"):
        assert 0.5 < card.figures[f"held_out_fine_chi_squared_{when}"] < 20
    assert card.figures["validation_psnr_db"] > 20
    assert card.calibration.sigma
