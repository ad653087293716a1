"""What machines ask of this service, at its root and without a key: /metrics, /healthz, /readyz."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from services.catalog.client import is_answering
from services.monitoring.checks import Check, look
from services.monitoring.service_metrics import ServiceMetrics
from services.reconstruction.dependencies import TheRunner, TheStore
from services.reconstruction.job_database import JobTableUnreachableError
from services.reconstruction.jobs import JobStore
from services.reconstruction.runner import Runner

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Figures for Prometheus: of this replica, and of the job table that all share."""
    told: ServiceMetrics = request.app.state.metrics
    return Response(generate_latest(told.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/healthz")
def health(runner: TheRunner) -> JSONResponse:
    """Whether jobs are being done here: restart the process where not. What else it needs is asked by /readyz."""
    return _answer({"runner": _runner_check(runner)})


@router.get("/readyz")
def readiness(request: Request, store: TheStore, runner: TheRunner) -> JSONResponse:
    """Whether requests can be answered now."""
    uri, stopping = request.app.state.tiled_uri, request.app.state.stopping
    return _answer(
        {
            "runner": _runner_check(runner),
            "stopping": lambda: "the service is stopping" if stopping.is_set() else "",
            "job table": _table_check(store),
            "tiled": lambda: "" if is_answering(uri) else "it does not answer",
        }
    )


def _answer(checks: dict[str, Check]) -> JSONResponse:
    status, body = look(checks)
    return JSONResponse(body, status)


def _runner_check(runner: Runner) -> Check:
    return lambda: "" if runner.is_alive else "jobs are not being done"


def _table_check(store: JobStore) -> Check:
    def check() -> str:
        try:
            store.ping()
        except JobTableUnreachableError:
            return "it does not answer"
        return ""

    return check
