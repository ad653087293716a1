"""The iterations: limits they must have, what gaps and odd values do, and how a run is continued and stopped."""

from dataclasses import replace

import numpy as np
import pytest

from models.tomo.engines import ENGINES, choose_engine
from models.tomo.interruption import ReconstructionCancelledError
from models.tomo.likelihood import LikelihoodResult, LikelihoodSettings, Method, Regularisation
from models.tomo.system import Geometry

ENGINE_NAMES = ["numba", "torch"]
METHODS: list[Method] = ["ospml_hybrid", "ospml_quad", "osem", "mlem", "sirt"]
ANGLES_DEG = np.arange(15) * 12.0
GEOMETRY = Geometry(ANGLES_DEG, 12.3, 24, (20, 26))


def settings_of(method: Method, n_iterations: int = 4, beta: float = 0.02) -> LikelihoodSettings:
    penalised = method.startswith("ospml")
    n_subsets = 1 if method in ("mlem", "sirt") else 3
    return LikelihoodSettings(method, n_iterations, n_subsets, Regularisation(beta, 0.5) if penalised else None)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """(angle, y, u) of two discs in five slices, with zeros."""
    z, x = np.indices(GEOMETRY.size) - np.array([10, 13])[:, None, None] + 0.5
    disc = 2.0 * ((z - 2) ** 2 + (x + 1) ** 2 < 30) + 3.0 * ((z + 3) ** 2 + (x - 4) ** 2 < 6)
    volume = (disc[:, None, :] * np.linspace(0.5, 1.5, 5)[:, None]).astype(np.float32)
    expected = ENGINES["numba"].project(volume, GEOMETRY)
    return np.random.default_rng(0).poisson(expected).astype(np.float32)


def run(engine: str, projections: np.ndarray, settings: LikelihoodSettings, **options: object) -> LikelihoodResult:
    geometry = options.pop("geometry", GEOMETRY)
    return ENGINES[engine].reconstruct(projections, geometry, settings, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_engines_agree(counts: np.ndarray, method: Method) -> None:
    holed = counts.copy()
    holed[4, 2, 5:9], holed[7, 1, 3] = np.nan, -4.0
    for projections in (counts, holed):
        one, other = (run(engine, projections, settings_of(method)) for engine in ENGINE_NAMES)
        assert one.volume.shape == (20, 5, 26)
        assert np.linalg.norm(one.volume - other.volume) < 1e-5 * np.linalg.norm(one.volume)
        assert one.history.objective == pytest.approx(other.history.objective, rel=1e-5)
        assert one.history.misfit == pytest.approx(other.history.misfit, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_slice_has_the_same_bytes_alone_and_among_others(counts: np.ndarray, method: Method) -> None:
    together = run("numba", counts, settings_of(method)).volume
    alone = [run("numba", counts[:, [row]], settings_of(method)).volume for row in range(5)]
    assert np.array_equal(np.concatenate(alone, axis=1), together)


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_elements_are_computed_as_if_alone(counts: np.ndarray, engine: str) -> None:
    elements = np.stack([counts, 3 * counts[:, ::-1]])
    together = run(engine, elements, settings_of("ospml_hybrid")).volume
    assert together.shape == (2, 20, 5, 26)
    for element, volume in zip(elements, together, strict=True):
        assert volume == pytest.approx(run(engine, element, settings_of("ospml_hybrid")).volume, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_without_a_penalty_ospml_is_osem(counts: np.ndarray, engine: str) -> None:
    plain = run(engine, counts, settings_of("osem")).volume
    assert np.array_equal(run(engine, counts, settings_of("ospml_hybrid", beta=0.0)).volume, plain)
    faint = run(engine, counts, settings_of("ospml_hybrid", beta=1e-6)).volume
    assert np.linalg.norm(faint - plain) < 1e-3 * np.linalg.norm(plain)


def test_one_subset_of_osem_is_mlem(counts: np.ndarray) -> None:
    osem = run("numba", counts, LikelihoodSettings("osem", 3, 1)).volume
    assert np.array_equal(osem, run("numba", counts, settings_of("mlem", 3)).volume)


@pytest.mark.parametrize("engine", ENGINE_NAMES)
@pytest.mark.parametrize(
    "settings",
    [LikelihoodSettings("mlem", 12), LikelihoodSettings("ospml_hybrid", 12, 1, Regularisation(0.05, 0.5))],
)
def test_with_all_angles_at_once_the_objective_never_falls(
    counts: np.ndarray, engine: str, settings: LikelihoodSettings
) -> None:
    objective = np.array(run(engine, counts, settings).history.objective)
    assert (np.diff(objective) > 0).all()


def test_the_misfit_is_that_of_the_image_before_the_iteration(counts: np.ndarray) -> None:
    two, three = (run("numba", counts, settings_of("mlem", n)) for n in (2, 3))
    projected = ENGINES["numba"].project(two.volume, GEOMETRY)
    expected = np.linalg.norm(projected - counts) / np.linalg.norm(counts)
    assert three.history.misfit[-1] == pytest.approx(expected, rel=1e-4)
    seen = projected > 0
    likelihood = np.sum(counts[seen] * np.log(projected[seen])) - projected.sum(dtype=float)
    assert three.history.objective[-1] == pytest.approx(likelihood, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_data_in_another_unit_scale_with_the_volume(counts: np.ndarray, method: Method) -> None:
    settings, factor = settings_of(method, 10), 64.0
    scaled = settings
    if settings.regularisation:
        beta, delta = settings.regularisation.beta / factor, settings.regularisation.delta * factor
        scaled = replace(settings, regularisation=Regularisation(beta, delta))
    one, other = run("numba", counts, settings).volume, run("numba", counts * np.float32(factor), scaled).volume
    assert np.linalg.norm(other / factor - one) < 1e-3 * np.linalg.norm(one)


@pytest.mark.parametrize("engine", ENGINE_NAMES)
@pytest.mark.parametrize("method", METHODS)
def test_an_angle_that_was_not_measured_is_as_if_it_were_not_there(
    counts: np.ndarray, engine: str, method: Method
) -> None:
    holed, order = counts.copy(), tuple(range(15))
    holed[14] = np.nan  # the last of the last subset
    settings = replace(settings_of(method), order=order)
    fewer = replace(settings, order=tuple(range(14)))
    geometry = Geometry(ANGLES_DEG[:14], 12.3, 24, GEOMETRY.size)
    one, other = run(engine, holed, settings).volume, run(engine, counts[:14], fewer, geometry=geometry).volume
    assert np.linalg.norm(one - other) < 1e-5 * np.linalg.norm(other)


@pytest.mark.parametrize("engine", ENGINE_NAMES)
@pytest.mark.parametrize("method", METHODS)
def test_empty_slices_and_odd_values_do_no_harm(counts: np.ndarray, engine: str, method: Method) -> None:
    odd = counts.copy()
    odd[:, 0], odd[:, 1], odd[:, 2] = 0.0, -1.0, np.nan
    odd[3, 3, 4], odd[6, 3, 9] = np.inf, -5.0
    volume = run(engine, odd, settings_of(method, 8)).volume
    assert np.isfinite(volume).all()
    assert not volume[:, 0].any() or method == "sirt"
    if method != "sirt":
        assert volume.min() >= 0
        assert not volume[:, 1].any()


def test_only_sirt_follows_negative_values(counts: np.ndarray) -> None:
    assert run("numba", -counts, settings_of("sirt")).volume.sum() < 0
    assert not run("numba", -counts, settings_of("osem")).volume.any()


@pytest.mark.parametrize("engine", ENGINE_NAMES)
@pytest.mark.parametrize("method", METHODS)
def test_a_warm_start_continues_the_run_and_leaves_the_start_alone(
    counts: np.ndarray, engine: str, method: Method
) -> None:
    halfway = run(engine, counts, settings_of(method, 2)).volume
    kept = halfway.copy()
    continued = run(engine, counts, settings_of(method, 3), initial=halfway).volume
    assert np.array_equal(continued, run(engine, counts, settings_of(method, 5)).volume)
    assert np.array_equal(halfway, kept)


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_it_stops_when_little_changes(counts: np.ndarray, engine: str) -> None:
    told: list[float] = []
    result = run(engine, counts, replace(settings_of("osem", 200), tolerance=0.05), progress=told.append)
    n_done = len(result.history.misfit)
    assert 2 < n_done < 200
    assert result.history.change[-1] < 0.05 <= min(result.history.change[:-1])
    assert len(result.history.objective) == n_done
    assert told[-1] == 1.0
    assert np.array_equal(result.volume, run(engine, counts, settings_of("osem", n_done)).volume)


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_cancelling_stops_between_subsets(counts: np.ndarray, engine: str) -> None:
    told: list[float] = []
    with pytest.raises(ReconstructionCancelledError, match="as asked"):
        run(engine, counts, settings_of("osem", 4), progress=told.append, cancelled=lambda: len(told) == 2)
    assert told == pytest.approx([1 / 12, 2 / 12])


def test_subsets_are_interleaved_by_direction_whatever_the_order_of_measurement() -> None:
    angles_deg = np.array([180.5, 20, 40, 61, 80.0])
    subsets = LikelihoodSettings("osem", 1, 2).subsets(angles_deg)
    assert [subset.tolist() for subset in subsets] == [[0, 2, 4], [1, 3]]
    given = LikelihoodSettings("osem", 1, 2, order=(4, 3, 2, 1, 0)).subsets(angles_deg)
    assert [subset.tolist() for subset in given] == [[4, 3, 2], [1, 0]]
    as_they_came = LikelihoodSettings("osem", 1, 2, order="sequential").subsets(angles_deg)
    assert [subset.tolist() for subset in as_they_came] == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize("angles_deg", [np.arange(7) * -50.0, np.arange(7) * 50.0 - 90, np.array([0, 0, 30, 30, 60.0])])
def test_subsets_of_a_stage_that_turns_one_way_are_interleaved_as_it_turned(angles_deg: np.ndarray) -> None:
    subsets = LikelihoodSettings("osem", 1, 2).subsets(angles_deg)
    assert [subset.tolist() for subset in subsets] == [
        list(range(0, len(angles_deg), 2)),
        list(range(1, len(angles_deg), 2)),
    ]


def test_subsets_of_several_turns_are_interleaved_by_direction() -> None:
    directions = np.arange(36) * 20.0  # every ninth is the first one again, or what stands opposite
    subsets = LikelihoodSettings("osem", 1, 9).subsets(directions)
    assert all(len(set(directions[subset] % 180)) > 1 for subset in subsets)


def test_a_slice_of_one_pixel_has_no_neighbours() -> None:
    projections = np.full((2, 1, 1), 3.0, np.float32)
    geometry = Geometry(np.array([0.0, 90.0]), 0.5, 1, (1, 1))
    for engine in ENGINE_NAMES:
        result = run(
            engine, projections, LikelihoodSettings("ospml_quad", 3, 1, Regularisation(1, 1)), geometry=geometry
        )
        assert result.volume == pytest.approx(3.0, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "art"}, "choose one of ospml_hybrid"),
        ({"order": "random"}, "choose one of interleaved, sequential, or indices"),
        ({"n_iterations": 0}, "each is at least 1"),
        ({"n_subsets": 0}, "each is at least 1"),
        ({"method": "mlem", "n_subsets": 2}, "takes all angles at once"),
        ({"method": "ospml_hybrid"}, "only ospml takes one, and must"),
        ({"regularisation": Regularisation(1, 1)}, "only ospml takes one, and must"),
        ({"tolerance": -1.0}, "pass a fraction"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LikelihoodSettings(**({"method": "osem", "n_iterations": 2} | arguments))


@pytest.mark.parametrize(("beta", "delta"), [(-1, 1), (np.nan, 1), (1, 0), (1, np.inf)])
def test_a_wrong_regularisation_is_refused(beta: float, delta: float) -> None:
    with pytest.raises(ValueError, match="pass a"):
        Regularisation(beta, delta)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": LikelihoodSettings("osem", 1, 16)}, "at most one subset per angle"),
        ({"settings": LikelihoodSettings("osem", 1, 2, order=(0, 1))}, "name each index once"),
        ({"projections": np.ones((14, 5, 24), np.float32)}, "15 angles and 24 detector elements"),
        ({"projections": np.ones((15, 24), np.float32)}, "pass \\(angle, y, u\\)"),
        ({"initial": np.ones((3, 3, 3), np.float32)}, "the result has \\(20, 5, 26\\)"),
        ({"initial": np.full((20, 5, 26), -1, np.float32)}, "negative"),
    ],
)
def test_what_does_not_fit_is_refused(counts: np.ndarray, options: dict, message: str) -> None:
    arguments = {"projections": counts, "settings": settings_of("osem")} | options
    with pytest.raises(ValueError, match=message):
        run("numba", **arguments)


def test_the_engine_is_chosen_by_what_runs_here() -> None:
    chosen = choose_engine("auto", "cpu")
    assert (chosen.engine.name, chosen.fallback) == ("numba", None)
    assert choose_engine("torch").engine.name == "torch"
    with pytest.raises(ValueError, match="choose auto or one of numba, torch"):
        choose_engine("cuda")  # type: ignore[arg-type]
    for name, engine in ENGINES.items():
        assert engine.name == name
        if engine.unavailable():
            with pytest.raises(ValueError, match="cannot run here"):
                choose_engine(name)  # type: ignore[arg-type]


def test_memory_is_stated_for_every_engine() -> None:
    for engine in ENGINES.values():
        few, many = (engine.memory_bytes(GEOMETRY, n, settings_of("osem")) for n in (1, 100))
        assert 0 < few < many
