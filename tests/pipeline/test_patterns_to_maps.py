"""From the plan to maps: patterns and spectra of the full-field twin stream into Tiled, a worker makes maps of them."""

import time

import numpy as np
import pytest

from services.beamline.session import open_session
from services.catalog.records import CatalogError
from services.catalog.single_pixel import find_single_pixel, read_product


@pytest.mark.timeout(400)
def test_maps_of_a_structured_illumination_scan_are_those_of_the_specimen(tiled, worker_process):
    session = open_session(tiled.settings(), call_returns_result=True)
    plan = session.plans["structured_illumination_scan"]
    with worker_process(tiled.settings()):
        uid = session.RE(
            plan(sample="mixed cathode", sampling_ratio=0.05, phases=["LiCoO2", "LiNi0.7Mn0.2Co0.1O2", "LiNiO2"])
        ).plan_result
        record = _complete(session.catalog, uid)

    beam = session.microscope.beam
    truth = beam.specimen.areal_density_ug_cm2(0.0, beam.shape, beam.pixel_size_nm)
    assert record.elements == beam.specimen.elements[:3]
    for element, true in zip(record.elements, truth, strict=False):
        found = read_product(session.catalog, record.key, "maps", element)
        sigma = read_product(session.catalog, record.key, "sigma", element)
        assert found.shape == sigma.shape == beam.shape
        assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.97, element
        assert found.sum() == pytest.approx(true.sum(), rel=0.05), element
        assert np.mean(np.abs(found - true) < 1.645 * sigma) > 0.75
    assert set(record.metadata["phase_fractions"]) == {"LiCoO2", "LiNi0.7Mn0.2Co0.1O2", "LiNiO2"}
    assert record.metadata["registration"]["n_registered"] == 320
    session.catalog.close()


def _complete(catalog, run_uid):
    deadline = time.monotonic() + 240
    while True:
        assert time.monotonic() < deadline, "the maps were not made in time"
        try:
            record = find_single_pixel(catalog, run_uid)
        except CatalogError:
            record = None
        if record is not None and record.state == "complete":
            return record
        time.sleep(0.5)
