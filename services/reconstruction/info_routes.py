"""Operations that tell of the service itself."""

from dataclasses import asdict
from importlib.metadata import version

from fastapi import APIRouter, Depends

from models.tomo.algorithms import ALGORITHMS
from services.reconstruction.auth import authenticate
from services.reconstruction.dependencies import TheRunner, TheStore
from services.reconstruction.parameters import parameter_model
from services.reconstruction.problems import Problem, documented
from services.reconstruction.schemas import DEFAULT_ALGORITHM, AlgorithmDescription, Health, Version

router = APIRouter(tags=["service"])


@router.get(
    "/algorithms",
    response_model=list[AlgorithmDescription],
    dependencies=[Depends(authenticate)],
    responses=documented(401, 403, 503),
)
def list_algorithms() -> list[AlgorithmDescription]:
    """The reconstruction algorithms and the parameters each takes."""
    return [
        AlgorithmDescription(
            name=name,
            description=algorithm.description,
            capabilities=asdict(algorithm.capabilities),
            parameters=parameter_model(name).model_json_schema(),
            is_default=name == DEFAULT_ALGORITHM,
        )
        for name, algorithm in ALGORITHMS.items()
    ]


@router.get("/healthz", response_model=Health, responses=documented(503))
def health(store: TheStore, runner: TheRunner) -> Health:
    """Whether the service answers, its job table does, and jobs are being done; for probes, without a key."""
    store.ping()
    if not runner.is_alive:
        raise Problem(
            503, "Jobs are not being done: see the service's log and restart it", headers={"Retry-After": "30"}
        )
    return Health(status="ok")


@router.get("/version", response_model=Version)
def tell_version() -> Version:
    """What runs here; without a key."""
    return Version(subprobe=version("subprobe"), api="1")
