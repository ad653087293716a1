import numpy as np
import pytest
from typer.testing import CliRunner

from models.physics.probe import gaussian_probe
from services.catalog.probes import Measurement, choose_probe, fitting_probe, import_probe, list_probes, read_probe
from services.catalog.records import CatalogError, NotFoundError
from services.cli import app


@pytest.fixture(scope="module")
def probe():
    return gaussian_probe(fwhm_nm=40.0, energy_kev=10.0)


def test_a_probe_comes_back_with_its_focus_and_digest(catalog, probe):
    import_probe(catalog, probe, "zp-10kev", lineage={"from": "a test"})
    back = read_probe(catalog, "zp-10kev")

    np.testing.assert_allclose(back.intensity(), probe.intensity(), rtol=0, atol=1e-6 * probe.intensity().max())
    np.testing.assert_allclose(back.modes, probe.modes, atol=1e-6 * np.abs(probe.modes).max())
    assert (back.pixel_size_nm, back.energy_kev) == (probe.pixel_size_nm, probe.energy_kev)
    (record,) = list_probes(catalog)
    assert record.digest == back.digest
    assert record.metadata["source_digest"] == probe.digest
    assert record.metadata["lineage"] == {"from": "a test"}


def test_browsable_planes_stand_beside_each_other(catalog, probe):
    import_probe(catalog, probe, "zp")

    assert sorted(catalog.probes["zp"]) == ["amplitude", "kernel", "phase"]
    assert {node.dtype for node in catalog.probes["zp"].values()} == {np.dtype(np.float32)}
    assert catalog.probes["zp"]["kernel"].read().sum() == pytest.approx(1.0, rel=1e-5)


def test_importing_again_changes_nothing_and_another_one_is_refused(catalog, probe):
    import_probe(catalog, probe, "zp")
    imported_at = list_probes(catalog)[0].known_at
    import_probe(catalog, probe, "zp")

    assert list_probes(catalog)[0].known_at == imported_at
    with pytest.raises(CatalogError, match="choose another key"):
        import_probe(catalog, gaussian_probe(fwhm_nm=50.0, energy_kev=10.0), "zp")
    with pytest.raises(CatalogError, match="use letters"):
        import_probe(catalog, probe, "a/b")


def test_an_import_that_died_half_way_is_finished(catalog, probe):
    import_probe(catalog, probe, "zp")
    catalog.probes["zp"].update_metadata({"state": "writing"})
    catalog.probes["zp"].delete_contents("phase", external_only=False)
    with pytest.raises(NotFoundError):
        read_probe(catalog, "zp")

    import_probe(catalog, probe, "zp")
    np.testing.assert_allclose(read_probe(catalog, "zp").modes, probe.modes, atol=1e-6)


def test_the_newest_probe_of_the_time_is_taken(catalog):
    for key, fwhm_nm in (("first", 40.0), ("second", 42.0)):
        import_probe(catalog, gaussian_probe(fwhm_nm=fwhm_nm, energy_kev=10.0), key)
    import_probe(catalog, gaussian_probe(fwhm_nm=40.0, energy_kev=12.0), "other-energy")
    first, second = (
        next(record for record in list_probes(catalog) if record.key == key) for key in ("first", "second")
    )

    assert fitting_probe(catalog, 10.05)[0] == "second"
    assert fitting_probe(catalog, 10.0, before=first.known_at)[0] == "first"
    assert fitting_probe(catalog, 10.0, before=second.known_at)[0] == "second"
    assert fitting_probe(catalog, 10.0, before=0.0)[0] == "first"
    assert fitting_probe(catalog, 10.0, key="first")[0] == "first"


def test_a_measured_probe_fits_its_own_optics_and_counts_from_when_it_was_measured(catalog, probe):
    for key, optics, measured_at in (("lens", "MLL", 200.0), ("plate", "zone plate", 100.0)):
        measured = Measurement(f"run-{key}", measured_at, optics, (), np.zeros((4, 4), np.float32))
        import_probe(catalog, probe, key, measurement=measured)

    assert choose_probe(catalog, 10.0, optics="zone plate").key == "plate"
    assert choose_probe(catalog, 10.0, optics="MLL", before=150.0).key == "lens"
    assert choose_probe(catalog, 10.0, before=150.0).key == "plate"
    assert choose_probe(catalog, 10.0, before=150.0, run_uid="run-lens").key == "lens"
    with pytest.raises(NotFoundError, match=r"for 10 keV .* and mirrors in /probes: take a ptychography_scan"):
        choose_probe(catalog, 10.0, optics="mirrors")
    import_probe(catalog, probe, "from-a-file")
    assert choose_probe(catalog, 10.0, optics="mirrors").key == "from-a-file"
    assert catalog.probes["lens"]["object_phase"].shape == (4, 4)


def test_a_probe_that_cannot_be_relied_on_is_taken_only_by_name(catalog, probe):
    doubtful = Measurement("run", 100.0, "zone plate", ("the object is weak",), np.zeros((4, 4), np.float32))
    import_probe(catalog, probe, "doubtful", measurement=doubtful)
    with pytest.raises(NotFoundError, match=r"doubtful is there, but the object is weak.*name that one"):
        choose_probe(catalog, 10.0, optics="zone plate", run_uid="run")
    assert choose_probe(catalog, 10.0, key="doubtful").warnings == ("the object is weak",)
    import_probe(catalog, probe, "sound")
    assert choose_probe(catalog, 10.0, run_uid="run").key == "sound"


def test_a_missing_probe_is_told_with_what_to_do(catalog, probe):
    import_probe(catalog, probe, "zp")
    with pytest.raises(NotFoundError, match=r"11 keV.*subprobe probe import"):
        fitting_probe(catalog, 11.0)
    with pytest.raises(NotFoundError, match=r"'zp' for 11 keV"):
        fitting_probe(catalog, 11.0, key="zp")
    with pytest.raises(NotFoundError, match="subprobe probe import"):
        read_probe(catalog, "../raw")


def test_a_probe_of_another_program_is_imported_by_command(catalog, tiled_server, probe, tmp_path, monkeypatch):
    monkeypatch.setenv("SUBPROBE_TILED__URI", tiled_server.uri)
    monkeypatch.setenv("SUBPROBE_TILED__API_KEY", tiled_server.api_key)
    np.savez(tmp_path / "tike.npz", probe=probe.modes[None, None])
    given = ["--probe-pixel-nm", str(probe.pixel_size_nm), "--probe-energy-kev", "10"]
    done = CliRunner().invoke(app, ["probe", "import", str(tmp_path / "tike.npz"), *given])

    assert (done.exit_code, "probe tike: 40." in done.output) == (0, True), done.output
    (record,) = list_probes(catalog)
    assert record.metadata["source_digest"] == probe.digest
    assert (record.metadata["lineage"]["file"], len(record.metadata["lineage"]["sha256"])) == ("tike.npz", 64)
