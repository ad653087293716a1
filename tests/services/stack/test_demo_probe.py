"""The demo's probe beside the true one."""

import numpy as np

from models.physics.probe import zone_plate_probe
from services.catalog.probes import Measurement, import_probe, list_probes
from services.stack.demo_probe import compare_with_true_probe, draw_found_and_true


def test_a_true_probe_is_found_equal_and_drawn(catalog, tmp_path):
    true = zone_plate_probe()
    coarser = true.resampled(15.0)
    phase = np.zeros((20, 20), np.float32)
    import_probe(catalog, coarser, "found", measurement=Measurement("run", 1.0, "zone plate", ("a doubt",), phase))
    (record,) = list_probes(catalog)
    comparison = compare_with_true_probe(catalog, record, true)
    assert np.linalg.norm(comparison.found - comparison.true) < 1e-3 * np.linalg.norm(comparison.true)
    assert "correlation 1.0000" in str(comparison)
    assert "NOT to be relied on: a doubt" in str(comparison)
    assert draw_found_and_true(comparison, tmp_path / "probe.png").read_bytes()[1:4] == b"PNG"
